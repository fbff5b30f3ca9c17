//! Who is asking: `Authorization: Bearer` with an API key or a client secret, or `?client_secret=`.
//!
//! Good credentials are never held up by somebody else's failures: the limit on failed attempts is asked only when an attempt
//! has failed, or would cost a look-up in the database.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use uuid::Uuid;

use super::Door;
use super::client_address::{client_address, network_of};
use super::error::ApiError;
use super::fields::Fields;
use super::limits::{Allowance, Cost};
use crate::db::api_keys::ActiveKey;
use crate::domain::api_key::{self, ApiKey};
use crate::domain::client_secret;
use crate::domain::order::{MerchantId, OrderId};
use crate::hub::HotOrder;

/// A request with a good API key, within the key's quota.
#[derive(Debug, Clone, Copy)]
pub struct Merchant(pub MerchantId);

impl FromRequest for Merchant {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let door = request.app_data::<web::Data<Door>>().expect("every route has the door");
            let token = bearer_token(request.headers())?.ok_or(MISSING_KEY)?;
            let active = door.authenticate(door.client_of(&request), token).await?;
            let allowance = door
                .merchant_limiter
                .check(active.key_id, Cost::Full)
                .map_err(ApiError::QuotaExceeded)?;
            request.extensions_mut().insert::<Allowance>(allowance);
            Ok(Self(active.merchant_id))
        })
    }
}

pub(super) const MISSING_KEY: ApiError = ApiError::Unauthorized {
    reason: "send the API key: Authorization: Bearer pqk_…",
};
pub(super) const MISSING_CREDENTIALS: ApiError = ApiError::Unauthorized {
    reason: "send the order's client secret or the API key: Authorization: Bearer …",
};
pub(super) const WRONG_KEY: ApiError = ApiError::Unauthorized {
    reason: "this API key does not open; it is unknown, mistyped or revoked",
};
const WRONG_SCHEME: ApiError = ApiError::Unauthorized {
    reason: "only Authorization: Bearer is understood",
};

/// Proxies log addresses. It is refused so that nobody gets used to it; one that was sent so should be replaced.
pub(super) const KEY_IN_ADDRESS: ApiError = ApiError::Unauthorized {
    reason: "an API key must not stand in an address, where logs keep it: send Authorization: Bearer …, and replace this key",
};
const NOT_A_KEY: ApiError = ApiError::Unauthorized {
    reason: "this is a client secret, which opens one order's status; here the merchant's API key (pqk_…) is needed",
};
const NO_TOKEN: ApiError = ApiError::Unauthorized {
    reason: "there is no token after Bearer",
};

/// An order that somebody may see.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) hot: Arc<HotOrder>,
    pub(super) opener: Opener,
}

/// Who opened an order.
#[derive(Debug, Clone, Copy)]
pub(super) enum Opener {
    /// A payer's screen, with the client secret.
    Payer,
    /// The merchant, with the API key of that id.
    Merchant(Uuid),
    /// The merchant, whose quota has been charged already, since the order had to be looked up.
    Charged(Allowance),
}

impl Door {
    /// Opens an order for whoever asks. A wrong secret, another tenant's order and no order at all look the same.
    ///
    /// `client` is the asker's network.
    pub(super) async fn open_order(&self, id: OrderId, token: &str, client: IpAddr) -> Result<Opened, ApiError> {
        if token.starts_with(api_key::PREFIX) {
            let active = self.authenticate(client, token).await?;
            // A look-up in the database comes out of the quota before it is made: a key may ask for any id.
            let opener = if self.service.hub.has(id) {
                Opener::Merchant(active.key_id)
            } else {
                let charged = self.merchant_limiter.check(active.key_id, Cost::Full);
                Opener::Charged(charged.map_err(ApiError::QuotaExceeded)?)
            };
            let hot = self.service.open_with_key(id, active.merchant_id).await?;
            let hot = hot.ok_or(ApiError::OrderNotFound)?;
            return Ok(Opened { hot, opener });
        }
        match self.service.open_with_secret(id, token).await? {
            Some(hot) => Ok(Opened {
                hot,
                opener: Opener::Payer,
            }),
            None => Err(self.count_failure(client, ApiError::OrderNotFound)),
        }
    }

    /// The network of whoever sent the request.
    pub(super) fn client_of(&self, request: &HttpRequest) -> IpAddr {
        let trusted = &self.settings.trusted_proxies;
        network_of(client_address(request.peer_addr(), request.headers(), trusted))
    }

    pub(super) async fn authenticate(&self, client: IpAddr, token: &str) -> Result<ActiveKey, ApiError> {
        let looked_up = self.look_up_key(Some(client), token).await?;
        looked_up.map_err(|wrong| self.count_failure(client, wrong))
    }

    /// The key, or what is wrong with it, which is yet to be counted as a failed attempt. An error when that cannot be told now.
    /// Look-ups for a client's network are limited; without one the caller sees to that.
    pub(super) async fn look_up_key(
        &self,
        client: Option<IpAddr>,
        token: &str,
    ) -> Result<Result<ActiveKey, ApiError>, ApiError> {
        let Ok(key) = ApiKey::parse(token) else {
            let is_secret = token.starts_with(client_secret::PREFIX);
            return Ok(Err(if is_secret { NOT_A_KEY } else { WRONG_KEY }));
        };
        if let Some(active) = self.service.known_keys.find(&key) {
            return Ok(Ok(active));
        }
        // A key that was never seen costs a look-up. Those have a limit of their own, or guessing keys would be a way to load
        // the database; a good key is looked up once and is no failure.
        if let Some(client) = client {
            self.key_lookup_limiter
                .check(client, Cost::Full)
                .map_err(ApiError::QuotaExceeded)?;
        }
        Ok(self.service.find_key(&key).await?.ok_or(WRONG_KEY))
    }

    /// Counts a failed attempt of the client's network: the error to answer with is `error`, or 429 when there were too many.
    pub(super) fn count_failure(&self, client: IpAddr, error: ApiError) -> ApiError {
        match self.auth_failure_limiter.check(client, Cost::Full) {
            Ok(_) => error,
            Err(refusal) => ApiError::QuotaExceeded(refusal),
        }
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 §2.1); None without the header.
pub(super) fn bearer_token(fields: &(impl Fields + ?Sized)) -> Result<Option<&str>, ApiError> {
    let Some(value) = fields.first("authorization") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value).map_err(|_| WRONG_SCHEME)?;
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    match (scheme.eq_ignore_ascii_case("bearer"), token.trim()) {
        (false, _) => Err(WRONG_SCHEME),
        (true, "") => Err(NO_TOKEN),
        (true, token) => Ok(Some(token)),
    }
}
