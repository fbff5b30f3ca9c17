//! Table `api_keys`.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::api_key::{ApiKey, ApiKeyDigest};
use crate::domain::order::MerchantId;
use crate::domain::time::Timestamp;

/// A key that opens, as a request's authentication needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveKey {
    pub key_id: Uuid,
    pub merchant_id: MerchantId,
}

/// A key as the operator's list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    pub key_id: Uuid,
    pub merchant: String,
    pub hint: String,
    pub created_at: Timestamp,
    pub last_used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

pub async fn insert(executor: impl PgExecutor<'_>, merchant: MerchantId, key: &ApiKey) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into api_keys (id, merchant_id, digest, hint) values ($1, $2, $3, $4)",
        id,
        merchant.0,
        &key.digest(),
        key.hint(),
    )
    .execute(executor)
    .await?;
    Ok(id)
}

/// Makes sure that the key opens: puts it in, or takes its revocation back.
pub async fn insert_or_restore(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    key: &ApiKey,
) -> Result<(), DbError> {
    sqlx::query!(
        "insert into api_keys (id, merchant_id, digest, hint) values ($1, $2, $3, $4)
         on conflict (digest) do update set revoked_at = null",
        Uuid::now_v7(),
        merchant.0,
        &key.digest(),
        key.hint(),
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// The key with that digest, unless it is revoked.
pub async fn find_active(executor: impl PgExecutor<'_>, digest: &ApiKeyDigest) -> Result<Option<ActiveKey>, DbError> {
    let row = sqlx::query!(
        "select id, merchant_id from api_keys where digest = $1 and revoked_at is null",
        digest
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| ActiveKey {
        key_id: row.id,
        merchant_id: MerchantId(row.merchant_id),
    }))
}

/// All keys, or those of one merchant by name, oldest first.
pub async fn list(executor: impl PgExecutor<'_>, merchant: Option<&str>) -> Result<Vec<ListedKey>, DbError> {
    let rows = sqlx::query!(
        "select k.id, m.name, k.hint, k.created_at, k.last_used_at, k.revoked_at
         from api_keys k join merchants m on m.id = k.merchant_id
         where $1::text is null or m.name = $1
         order by m.name, k.created_at, k.id",
        merchant,
    )
    .fetch_all(executor)
    .await?;
    let keys = rows.into_iter().map(|row| ListedKey {
        key_id: row.id,
        merchant: row.name,
        hint: row.hint,
        created_at: row.created_at.into(),
        last_used_at: row.last_used_at.map(Into::into),
        revoked_at: row.revoked_at.map(Into::into),
    });
    Ok(keys.collect())
}

/// Revokes a key; false when there is none with that id. Revoking twice keeps the first time.
pub async fn revoke(executor: impl PgExecutor<'_>, key_id: Uuid) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()) where id = $1",
        key_id
    )
    .execute(executor)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The digests of keys revoked since `since`, by the database's clock, and that clock's time to ask from next.
///
/// A revocation is dated before it commits; the answer's time lies [`REVOCATION_OVERLAP_SECONDS`] back so that none slips through.
pub async fn revoked_since(
    executor: impl PgExecutor<'_>,
    since: DateTime<Utc>,
) -> Result<(Vec<Vec<u8>>, DateTime<Utc>), DbError> {
    let row = sqlx::query!(
        r#"select coalesce((select array_agg(digest) from api_keys where revoked_at >= $1), '{}') as "digests!",
                  clock_timestamp() - make_interval(secs => $2) as "asked_at!""#,
        since,
        REVOCATION_OVERLAP_SECONDS,
    )
    .fetch_one(executor)
    .await?;
    Ok((row.digests, row.asked_at))
}

const REVOCATION_OVERLAP_SECONDS: f64 = 60.0;

/// Notes that these keys were used just now.
pub async fn mark_used(executor: impl PgExecutor<'_>, key_ids: &[Uuid]) -> Result<(), DbError> {
    sqlx::query!("update api_keys set last_used_at = now() where id = any($1)", key_ids)
        .execute(executor)
        .await?;
    Ok(())
}
