//! The door as streams know it: [`Gate`] over the same credentials, quotas and problems that requests have.

use std::sync::Arc;

use actix_http::ws::HandshakeError;
use actix_web::{Error, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::Door;
use super::auth::{KEY_IN_ADDRESS, Opened, WRONG_KEY, bearer_token};
use super::cors::Grant;
use super::error::ApiError;
use super::fields::Fields as _;
use super::limits::Cost;
use super::request_id::request_id;
use crate::domain::api_key::ApiKey;
use crate::domain::order::{MerchantId, OrderId};
use crate::hub::HotOrder;
use crate::push::Gate;
use crate::push::gate::{Asker, Fault, Opening, Refusal};

const ORIGIN_REFUSED: ApiError = ApiError::OriginRefused {
    reason: "PAYQUERY_CORS_ORIGINS names the origins whose pages may ask",
};

impl Gate for Door {
    fn admit(&self, handshake: &HttpRequest) -> Result<Asker, Error> {
        let fields = handshake.headers();
        // Browsers ask for no leave before they open a socket: the door looks itself (RFC 6455 §10.2).
        let from_page = fields.first("origin").is_some();
        if from_page && self.settings.cors_origins.grant(fields) == Grant::Nothing {
            return Err(ORIGIN_REFUSED.into());
        }
        Ok(Asker {
            client: self.client_of(handshake),
            request_id: request_id(handshake).0.into(),
        })
    }

    fn reject(&self, fault: Fault) -> Error {
        ApiError::from(fault).into()
    }

    fn bearer<'a>(&self, handshake: &'a HttpRequest) -> Option<&'a str> {
        bearer_token(handshake.headers()).ok().flatten()
    }

    fn open_order<'a>(
        &'a self,
        asker: &'a Asker,
        opening: Opening<'a>,
    ) -> LocalBoxFuture<'a, Result<Arc<HotOrder>, Refusal>> {
        Box::pin(async move {
            let opened = self.open_for_stream(asker, opening).await;
            opened.map_err(|error| refusal(&error, asker))
        })
    }

    fn open_merchant<'a>(
        &'a self,
        asker: &'a Asker,
        api_key: &'a str,
    ) -> LocalBoxFuture<'a, Result<MerchantId, Refusal>> {
        Box::pin(async move {
            let active = self.authenticate(asker.client, api_key).await;
            let active = active.map_err(|error| refusal(&error, asker))?;
            self.merchant_limiter
                .check(active.key_id, Cost::Full)
                .map_err(|error| refusal(&ApiError::QuotaExceeded(error), asker))?;
            Ok(active.merchant_id)
        })
    }

    fn still_opens<'a>(&'a self, api_key: &'a str) -> LocalBoxFuture<'a, bool> {
        Box::pin(async move {
            let Ok(key) = ApiKey::parse(api_key) else { return false };
            if self.service.known_keys.find(&key).is_some() {
                return true;
            }
            // While the database does not answer nobody is sent away.
            !matches!(self.service.find_key(&key).await, Ok(None))
        })
    }

    fn refuse(&self, asker: &Asker, fault: Fault) -> Refusal {
        refusal(&fault.into(), asker)
    }
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::NoHandshake(HandshakeError::BadWebsocketKey) => {
                Self::invalid("Sec-WebSocket-Key", "must be 16 bytes in base64")
            }
            Fault::NoHandshake(_) => Self::HandshakeDue,
            Fault::MalformedJson { reason } => Self::MalformedJson { reason },
            Fault::Invalid { field, reason } => Self::invalid(field, reason),
            Fault::Unauthenticated { reason } => Self::Unauthorized { reason },
            Fault::KeyInAddress => KEY_IN_ADDRESS,
            Fault::KeyDoesNotOpen => WRONG_KEY,
            Fault::NoPlace => Self::NoPlace,
            Fault::TooManySubscriptions { most } => Self::TooManySubscriptions { most },
        }
    }
}

impl Door {
    async fn open_for_stream(&self, asker: &Asker, opening: Opening<'_>) -> Result<Arc<HotOrder>, ApiError> {
        let id = OrderId::parse(opening.order_id).map_err(|error| ApiError::invalid("order_id", error))?;
        let Opened { hot, opener } = self.open_order(id, opening.token, asker.client).await?;
        self.charge(opener, id, asker.client, Cost::Full)?;
        self.service.catch_up(&hot, opening.shown).await?;
        Ok(hot)
    }
}

fn refusal(error: &ApiError, asker: &Asker) -> Refusal {
    if let Some(cause) = error.cause() {
        tracing::error!(request.id = %asker.request_id, error.code = %error, cause = %cause, "a stream's request failed");
    }
    let problem = error.problem(Some(asker.request_id.as_ref().into()));
    Refusal {
        status: problem.status,
        code: problem.code,
        detail: problem.detail.as_str().into(),
        retry_after: error.retry_after(),
        problem: serde_json::to_vec(&problem)
            .expect("texts and numbers always serialise")
            .into(),
    }
}
