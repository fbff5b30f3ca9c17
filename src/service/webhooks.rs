//! What merchants do with their webhook endpoints.

mod deliveries;
mod recovery;

pub use recovery::Recovered;

use super::{Service, now, random_bytes};
use crate::db::webhook_endpoints::{self, NewEndpoint};
use crate::db::{Connection, DbError, event_readers, webhook_listeners};
use crate::delivery::webhooks::{GuardError, MAX_ENDPOINTS, READER, SECRET_OVERLAP};
use crate::domain::order::MerchantId;
use crate::domain::webhook::{DisabledReason, Endpoint, EndpointId, EventFilter, WebhookSecret, WebhookUrl};

/// Why a merchant's wish was not granted.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such endpoint")]
    EndpointNotFound,
    #[error("there is no such delivery")]
    DeliveryNotFound,
    #[error("the merchant has {MAX_ENDPOINTS} endpoints")]
    TooManyEndpoints,
    #[error("the endpoint is disabled")]
    Disabled,
    #[error(transparent)]
    Guard(#[from] GuardError),
    #[error("lies before the {days} days that deliveries are kept")]
    TooLongAgo { days: u16 },
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for WebhookError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// What is to be different; None stays as it is.
#[derive(Debug, Default)]
pub struct EndpointChange {
    pub url: Option<WebhookUrl>,
    pub filter: Option<EventFilter>,
    pub enabled: Option<bool>,
}

impl Service {
    /// A new endpoint, and its secret, which is shown this once. It is sent what happens from now on.
    pub async fn create_endpoint(
        &self,
        merchant: MerchantId,
        url: WebhookUrl,
        filter: EventFilter,
    ) -> Result<(Endpoint, WebhookSecret), WebhookError> {
        self.webhooks.guard.check_url(&url)?;
        let secret = WebhookSecret::new(random_bytes(&self.random));
        let new = NewEndpoint {
            merchant,
            url,
            filter,
            secret: secret.clone(),
        };
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            webhook_endpoints::lock_merchant(&mut *transaction, merchant).await?;
            if webhook_endpoints::count(&mut *transaction, merchant).await? >= MAX_ENDPOINTS {
                return Ok(None);
            }
            begin_reading(&mut transaction).await?;
            let endpoint = webhook_endpoints::insert(&mut *transaction, &new).await?;
            transaction.commit().await?;
            Ok(Some(endpoint))
        };
        let endpoint = self.writing(work).await?.ok_or(WebhookError::TooManyEndpoints)?;
        self.webhooks.endpoints_changed.notify_one();
        Ok((endpoint, secret))
    }

    /// A merchant's endpoints, oldest first.
    pub async fn list_endpoints(&self, merchant: MerchantId) -> Result<Vec<Endpoint>, DbError> {
        self.reading(webhook_endpoints::list(&self.pool, merchant)).await
    }

    pub async fn find_endpoint(&self, merchant: MerchantId, id: EndpointId) -> Result<Endpoint, WebhookError> {
        let found = self.reading(webhook_endpoints::find(&self.pool, merchant, id)).await?;
        found.ok_or(WebhookError::EndpointNotFound)
    }

    /// Changes an endpoint. What is enabled again is sent what happens from now on; the rest can be recovered.
    pub async fn change_endpoint(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint, WebhookError> {
        if let Some(url) = &change.url {
            self.webhooks.guard.check_url(url)?;
        }
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            if change.enabled == Some(true) {
                begin_reading(&mut transaction).await?;
            }
            let Some(before) = webhook_endpoints::lock(&mut *transaction, merchant, id).await? else {
                return Ok(None);
            };
            let changed = webhook_endpoints::update(&mut *transaction, &apply(before, change)).await?;
            transaction.commit().await?;
            Ok(Some(changed))
        };
        let changed = self.writing(work).await?.ok_or(WebhookError::EndpointNotFound)?;
        self.webhooks.endpoints_changed.notify_one();
        Ok(changed)
    }

    /// Deletes an endpoint, and by and by its deliveries.
    pub async fn delete_endpoint(&self, merchant: MerchantId, id: EndpointId) -> Result<(), WebhookError> {
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            let found = webhook_endpoints::lock(&mut *transaction, merchant, id).await?;
            if found.is_some() {
                webhook_endpoints::delete(&mut *transaction, id).await?;
                transaction.commit().await?;
            }
            Ok(found)
        };
        let deleted = self.writing(work).await?;
        deleted.map(|_| ()).ok_or(WebhookError::EndpointNotFound)
    }

    /// Another secret, shown this once; the one before signs, too, for a day.
    pub async fn rotate_secret(
        &self,
        merchant: MerchantId,
        id: EndpointId,
    ) -> Result<(Endpoint, WebhookSecret), WebhookError> {
        let secret = WebhookSecret::new(random_bytes(&self.random));
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            if webhook_endpoints::lock(&mut *transaction, merchant, id)
                .await?
                .is_none()
            {
                return Ok(None);
            }
            let overlap = SECRET_OVERLAP.as_secs_f64();
            let rotated = webhook_endpoints::rotate_secret(&mut *transaction, id, &secret, overlap).await?;
            transaction.commit().await?;
            Ok(Some(rotated))
        };
        let rotated = self.writing(work).await?.ok_or(WebhookError::EndpointNotFound)?;
        Ok((rotated, secret))
    }
}

/// Before an endpoint becomes one that wants events: while there was none the log was not read, and what happened meanwhile is
/// for nobody. Where there is one the log is being read, and its reader is left alone.
async fn begin_reading(transaction: &mut Connection) -> Result<(), DbError> {
    if webhook_listeners::any_enabled(&mut *transaction).await? {
        return Ok(());
    }
    event_readers::hold(&mut *transaction, READER).await?;
    // (Somebody else may have been first meanwhile.)
    if !webhook_listeners::any_enabled(&mut *transaction).await? {
        event_readers::skip_to_end(transaction, READER).await?;
    }
    Ok(())
}

fn apply(before: Endpoint, change: EndpointChange) -> Endpoint {
    let is_other_url = change.url.as_ref().is_some_and(|url| url.as_str() != before.url);
    let disabled = match change.enabled {
        Some(true) => None,
        Some(false) => before.disabled.or(Some((DisabledReason::Merchant, now()))),
        None => before.disabled,
    };
    let is_enabled_anew = before.disabled.is_some() && disabled.is_none();
    Endpoint {
        disabled,
        failing_since: before.failing_since.filter(|_| !is_other_url && !is_enabled_anew),
        url: change.url.map_or(before.url, |url| url.as_str().to_owned()),
        filter: change.filter.unwrap_or(before.filter),
        ..before
    }
}
