//! Table `webhook_endpoints`: where merchants want their events, and the secrets that sign them.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::order::MerchantId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DisabledReason, Endpoint, EndpointId, EventFilter, WebhookSecret, WebhookUrl};

/// A row as sqlx reads it.
struct EndpointRow {
    id: Uuid,
    merchant_id: Uuid,
    url: String,
    events: Vec<String>,
    disabled_at: Option<DateTime<Utc>>,
    disabled_reason: Option<String>,
    failing_since: Option<DateTime<Utc>>,
    previous_secret_until: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
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
            url: read_url(&row.url)?,
            filter: EventFilter::from_stored(row.events),
            disabled,
            failing_since: row.failing_since.map(Into::into),
            previous_secret_until: row.previous_secret_until.map(Into::into),
            created_at: row.created_at.into(),
            updated_at: row.updated_at.into(),
        })
    }
}

pub(super) fn read_url(text: &str) -> Result<WebhookUrl, DbError> {
    WebhookUrl::parse(text).map_err(|_| DbError::Unreadable("URL of a webhook endpoint".into()))
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
        endpoint.url.as_str(),
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

/// Whether anybody wants events at all.
pub async fn any_enabled(executor: impl PgExecutor<'_>) -> Result<bool, DbError> {
    let any = sqlx::query_scalar!(
        r#"select exists (select from webhook_endpoints where disabled_at is null and deleted_at is null) as "any!""#
    )
    .fetch_one(executor)
    .await?;
    Ok(any)
}

/// How many endpoints the service has disabled, and nobody has enabled since.
pub async fn count_disabled(executor: impl PgExecutor<'_>) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from webhook_endpoints
           where disabled_reason in ('gone', 'failing') and deleted_at is null"#
    )
    .fetch_one(executor)
    .await?;
    Ok(count)
}

/// An endpoint as whoever spreads events sees it.
#[derive(Debug)]
pub struct Listening {
    pub id: EndpointId,
    pub merchant: MerchantId,
    pub filter: EventFilter,
}

/// The enabled endpoints of these merchants.
pub async fn find_listening(executor: impl PgExecutor<'_>, merchants: &[Uuid]) -> Result<Vec<Listening>, DbError> {
    let rows = sqlx::query!(
        "select id, merchant_id, events from webhook_endpoints
         where merchant_id = any($1) and disabled_at is null and deleted_at is null",
        merchants
    )
    .fetch_all(executor)
    .await?;
    let listening = rows.into_iter().map(|row| Listening {
        id: EndpointId(row.id),
        merchant: MerchantId(row.merchant_id),
        filter: EventFilter::from_stored(row.events),
    });
    Ok(listening.collect())
}

/// Notes that endpoints took something.
pub async fn note_success(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!(
        // In the order of their ids, as all who have several of them: so nobody waits for another crosswise.
        "update webhook_endpoints set failing_since = null
         where id in (select id from webhook_endpoints where id = any($1) and failing_since is not null
                      order by id for no key update)",
        ids
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Notes that endpoints took nothing.
pub async fn note_failure(executor: impl PgExecutor<'_>, ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!(
        "update webhook_endpoints set failing_since = now()
         where id in (select id from webhook_endpoints where id = any($1) and failing_since is null
                      order by id for no key update)",
        ids
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Disables those of the endpoints that are enabled; gives back which it did.
pub async fn disable(
    executor: impl PgExecutor<'_>,
    ids: &[Uuid],
    reason: DisabledReason,
    failing_for_seconds: f64,
) -> Result<Vec<Endpoint>, DbError> {
    let rows = sqlx::query_as!(
        EndpointRow,
        "update webhook_endpoints set disabled_at = now(), disabled_reason = $2, updated_at = now()
         where id in (select id from webhook_endpoints
                      where id = any($1) and disabled_at is null and deleted_at is null
                        and ($3::float8 = 0 or failing_since < now() - make_interval(secs => $3))
                      order by id for no key update)
         returning id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                   created_at, updated_at",
        ids,
        reason.as_str(),
        failing_for_seconds,
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter().map(Endpoint::try_from).collect()
}

/// The database's clock.
pub async fn now(executor: impl PgExecutor<'_>) -> Result<Timestamp, DbError> {
    let now = sqlx::query_scalar!(r#"select now() as "now!""#)
        .fetch_one(executor)
        .await?;
    Ok(now.into())
}
