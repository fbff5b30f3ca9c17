//! Table `idempotency_keys`: first answers, to be given again.

use sqlx::{PgConnection, PgExecutor};

use super::DbError;
use crate::domain::idempotency::{Answer, Fingerprint, IdempotencyKey};
use crate::domain::order::MerchantId;

/// What a key was first used for, and what was answered.
#[derive(Debug)]
pub struct FirstUse {
    pub fingerprint: Vec<u8>,
    pub answer: Answer,
}

/// Keeps every other request with this key waiting until the transaction ends. Two keys that share a hash wait for each
/// other too, which does no harm.
pub async fn lock(connection: &mut PgConnection, merchant: MerchantId, key: &IdempotencyKey) -> Result<(), DbError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0)) as lock",
        merchant.0.to_string(),
        key.as_str(),
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

pub async fn find(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &IdempotencyKey,
) -> Result<Option<FirstUse>, DbError> {
    let row = sqlx::query!(
        "select fingerprint, status, body from idempotency_keys where merchant_id = $1 and key = $2",
        merchant.0,
        key.as_str(),
    )
    .fetch_optional(executor)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let status = u16::try_from(row.status).map_err(|_| DbError::Unreadable("negative HTTP status".into()))?;
    Ok(Some(FirstUse {
        fingerprint: row.fingerprint,
        answer: Answer { status, body: row.body },
    }))
}

pub async fn insert(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &IdempotencyKey,
    fingerprint: &Fingerprint,
    answer: &Answer,
) -> Result<(), DbError> {
    sqlx::query!(
        "insert into idempotency_keys (merchant_id, key, fingerprint, status, body) values ($1, $2, $3, $4, $5)",
        merchant.0,
        key.as_str(),
        fingerprint,
        i16::try_from(answer.status).map_err(|_| DbError::Unreadable("HTTP status out of range".into()))?,
        answer.body,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Drops up to `limit` answers older than two days; says how many.
pub async fn drop_old(executor: impl PgExecutor<'_>, limit: i64) -> Result<u64, DbError> {
    let done = sqlx::query!(
        "delete from idempotency_keys where (merchant_id, key) in (
             select merchant_id, key from idempotency_keys where created_at < now() - interval '2 days'
             order by created_at limit $1 for update skip locked)",
        limit,
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected())
}
