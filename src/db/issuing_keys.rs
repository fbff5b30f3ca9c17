//! Table `issuing_keys`: the key that client secrets are made with. One row, the same for all replicas.

use sqlx::PgPool;

use super::DbError;
use crate::domain::client_secret::IssuingKey;

/// The installation's key. `candidate` becomes it when there is none yet; the first replica to come wins.
pub async fn find_or_create(pool: &PgPool, candidate: &[u8; IssuingKey::BYTES]) -> Result<IssuingKey, DbError> {
    sqlx::query!(
        "insert into issuing_keys (key) values ($1) on conflict (id) do nothing",
        candidate
    )
    .execute(pool)
    .await?;
    let stored = sqlx::query_scalar!("select key from issuing_keys")
        .fetch_one(pool)
        .await?;
    let bytes = stored
        .try_into()
        .map_err(|_| DbError::Unreadable("issuing key of a wrong length".into()))?;
    Ok(IssuingKey::new(&bytes))
}
