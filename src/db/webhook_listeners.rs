//! Table `webhook_endpoints` as the deliveries see it: who listens, who takes nothing, who is sent nothing any more.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use super::webhook_endpoints::EndpointRow;
use crate::domain::order::MerchantId;
use crate::domain::time::Timestamp;
use crate::domain::webhook::{DisabledReason, Endpoint, EndpointId, EventFilter};

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

/// An endpoint and when it was last changed, as whoever sent something there saw it.
pub type Seen = (Uuid, DateTime<Utc>);

/// Notes which endpoints took something, and which took nothing, as far as they are as they were seen. In one go and in the order of
/// their ids, so that nobody waits for another crosswise.
pub async fn note_outcomes(executor: impl PgExecutor<'_>, taken: &[Seen], failed: &[Seen]) -> Result<(), DbError> {
    let (ids, times): (Vec<_>, Vec<_>) = taken.iter().chain(failed).copied().unzip();
    let have_failed: Vec<_> = (0..ids.len()).map(|number| number >= taken.len()).collect();
    sqlx::query!(
        "update webhook_endpoints e set failing_since = case when noted.failed then now() end
         from (select e.id, seen.failed
               from unnest($1::uuid[], $2::timestamptz[], $3::bool[]) as seen (id, updated_at, failed)
                    join webhook_endpoints e on e.id = seen.id and e.updated_at = seen.updated_at
               where seen.failed = (e.failing_since is null)
               order by e.id for no key update of e) as noted
         where e.id = noted.id",
        &ids,
        &times,
        &have_failed,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Those of the endpoints that are as they were seen.
pub async fn unchanged(executor: impl PgExecutor<'_>, seen: &[Seen]) -> Result<Vec<Seen>, DbError> {
    let (ids, times): (Vec<_>, Vec<_>) = seen.iter().copied().unzip();
    let unchanged = sqlx::query!(
        "select e.id, e.updated_at from unnest($1::uuid[], $2::timestamptz[]) as seen (id, updated_at)
              join webhook_endpoints e on e.id = seen.id and e.updated_at = seen.updated_at",
        &ids,
        &times,
    )
    .fetch_all(executor)
    .await?;
    Ok(unchanged.into_iter().map(|row| (row.id, row.updated_at)).collect())
}

/// Disables those of the endpoints that are enabled and as they were seen; gives back which it did. One that somebody else has just
/// now is left for its next failure.
pub async fn disable(
    executor: impl PgExecutor<'_>,
    seen: &[Seen],
    reason: DisabledReason,
    failing_for_seconds: f64,
) -> Result<Vec<Endpoint>, DbError> {
    let (ids, times): (Vec<_>, Vec<_>) = seen.iter().copied().unzip();
    let rows = sqlx::query_as!(
        EndpointRow,
        "update webhook_endpoints set disabled_at = now(), disabled_reason = $2, updated_at = now()
         where id in (select e.id
                      from unnest($1::uuid[], $4::timestamptz[]) as seen (id, updated_at)
                           join webhook_endpoints e on e.id = seen.id and e.updated_at = seen.updated_at
                      where e.disabled_at is null and e.deleted_at is null
                        and ($3::float8 = 0 or e.failing_since < now() - make_interval(secs => $3))
                      order by e.id for no key update of e skip locked)
         returning id, merchant_id, url, events, disabled_at, disabled_reason, failing_since, previous_secret_until,
                   created_at, updated_at",
        &ids,
        reason.as_str(),
        failing_for_seconds,
        &times,
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
