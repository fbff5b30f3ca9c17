//! Table `webhook_endpoints`: where merchants want their events, and the secrets that sign them. What the deliveries ask of it is in
//! [`webhook_listeners`](super::webhook_listeners).

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::order::MerchantId;
use crate::domain::webhook::{DisabledReason, Endpoint, EndpointId, EventFilter, WebhookSecret, WebhookUrl};

/// A row as sqlx reads it.
pub(super) struct EndpointRow {
    pub id: Uuid,
    pub merchant_id: Uuid,
    pub url: String,
    pub events: Vec<String>,
    pub disabled_at: Option<DateTime<Utc>>,
    pub disabled_reason: Option<String>,
    pub failing_since: Option<DateTime<Utc>>,
    pub previous_secret_until: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl TryFrom<EndpointRow> for Endpoint {
    type Error = DbError;

    fn try_from(row: EndpointRow) -> Result<Self, DbError> {
        let disabled = match (row.disabled_reason, row.disabled_at) {
            (Some(word), Some(at)) => {
                let reason = DisabledReason::parse(&word)
                    .ok_or_else(|| DbError::Unreadable(format!("reason {word:?} of a disabled endpoint")))?;
                Some((reason, at.into()))
            }
            _ => None,
        };
        Ok(Self {
            id: EndpointId(row.id),
            merchant_id: MerchantId(row.merchant_id),
            url: row.url,
            filter: EventFilter::from_stored(row.events),
            disabled,
            failing_since: row.failing_since.map(Into::into),
            previous_secret_until: row.previous_secret_until.map(Into::into),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        })
    }
}

/// An endpoint that is to be.
#[derive(Debug)]
pub struct NewEndpoint {
    pub merchant: MerchantId,
    pub url: WebhookUrl,
    pub filter: EventFilter,
    pub secret: WebhookSecret,
}

pub async fn insert(executor: impl PgExecutor<'_>, new: &NewEndpoint) -> Result<Endpoint, DbError> {
    sqlx::query_as!(
        EndpointRow,
        "insert into webhook_endpoints (id, merchant_id, url, events, secret) values ($1, $2, $3, $4, $5)
         returning id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                   created_at, updated_at",
        Uuid::now_v7(),
        new.merchant.0,
        new.url.as_str(),
        new.filter.types(),
        new.secret.bytes(),
    )
    .fetch_one(executor)
    .await?
    .try_into()
}

/// Nobody else makes an endpoint of that merchant's until the transaction ends.
pub async fn lock_merchant(executor: impl PgExecutor<'_>, merchant: MerchantId) -> Result<(), DbError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('webhook_endpoints of ' || $1::uuid, 0)) as lock",
        merchant.0
    )
    .fetch_one(executor)
    .await?;
    Ok(())
}

/// How many endpoints a merchant has.
pub async fn count(executor: impl PgExecutor<'_>, merchant: MerchantId) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints where merchant_id = $1 and deleted_at is null"#,
        merchant.0
    )
    .fetch_one(executor)
    .await?;
    Ok(count)
}

/// A merchant's endpoints, oldest first.
pub async fn list(executor: impl PgExecutor<'_>, merchant: MerchantId) -> Result<Vec<Endpoint>, DbError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        "select id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                created_at, updated_at
         from webhook_endpoints where merchant_id = $1 and deleted_at is null order by id",
        merchant.0,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

pub async fn find(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    id: EndpointId,
) -> Result<Option<Endpoint>, DbError> {
    let row = sqlx::query_as!(
        EndpointRow,
        "select id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                created_at, updated_at
         from webhook_endpoints where id = $1 and merchant_id = $2 and deleted_at is null",
        id.0,
        merchant.0,
    )
    .fetch_optional(executor)
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// The same, and nobody else changes it until the transaction ends.
pub async fn lock(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    id: EndpointId,
) -> Result<Option<Endpoint>, DbError> {
    let row = sqlx::query_as!(
        EndpointRow,
        "select id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                created_at, updated_at
         from webhook_endpoints where id = $1 and merchant_id = $2 and deleted_at is null for no key update",
        id.0,
        merchant.0,
    )
    .fetch_optional(executor)
    .await?;
    row.map(Endpoint::try_from).transpose()
}

/// Writes what a merchant may change: URL, filter, and whether it is enabled. Enabled anew, it has no failures behind it.
pub async fn update(executor: impl PgExecutor<'_>, endpoint: &Endpoint) -> Result<Endpoint, DbError> {
    let (reason, at) = endpoint.disabled.unzip();
    sqlx::query_as!(
        EndpointRow,
        "update webhook_endpoints
         set url = $2, events = $3, disabled_reason = $4, disabled_at = $5, failing_since = $6, updated_at = now()
         where id = $1
         returning id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                   created_at, updated_at",
        endpoint.id.0,
        endpoint.url,
        endpoint.filter.types(),
        reason.map(DisabledReason::as_str),
        at.map(DateTime::<Utc>::from),
        endpoint.failing_since.map(DateTime::<Utc>::from),
    )
    .fetch_one(executor)
    .await?
    .try_into()
}

/// Gives an endpoint another secret; the one before signs, too, for `overlap_seconds`.
pub async fn rotate_secret(
    executor: impl PgExecutor<'_>,
    id: EndpointId,
    secret: &WebhookSecret,
    overlap_seconds: f64,
) -> Result<Endpoint, DbError> {
    sqlx::query_as!(
        EndpointRow,
        "update webhook_endpoints
         set previous_secret = secret, previous_secret_until = now() + make_interval(secs => $3), secret = $2,
             updated_at = now()
         where id = $1
         returning id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                   created_at, updated_at",
        id.0,
        secret.bytes(),
        overlap_seconds,
    )
    .fetch_one(executor)
    .await?
    .try_into()
}

/// Forgets secrets whose time is over.
pub async fn drop_old_secrets(executor: impl PgExecutor<'_>) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "update webhook_endpoints set previous_secret = null, previous_secret_until = null
         where previous_secret_until < now() - interval '1 hour'"
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}

/// From here on the endpoint is there for nobody.
pub async fn delete(executor: impl PgExecutor<'_>, id: EndpointId) -> Result<(), DbError> {
    sqlx::query!(
        "update webhook_endpoints set deleted_at = now(), secret = decode(repeat('00', 32), 'hex'),
                                      previous_secret = null, previous_secret_until = null
         where id = $1",
        id.0
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Drops the rows of deleted endpoints that have no deliveries any more.
pub async fn drop_deleted(executor: impl PgExecutor<'_>) -> Result<(), DbError> {
    sqlx::query!(
        "delete from webhook_endpoints e where deleted_at is not null
         and not exists (select from webhook_deliveries d where d.endpoint_id = e.id)"
    )
    .execute(executor)
    .await?;
    Ok(())
}
