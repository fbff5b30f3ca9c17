//! Table `merchants`.

use std::collections::HashMap;

use sqlx::PgExecutor;
use uuid::Uuid;

use super::DbError;
use crate::domain::order::MerchantId;
use crate::domain::text::MerchantName;

/// The merchant of that name; made when there is none.
pub async fn find_or_create(executor: impl PgExecutor<'_>, name: &MerchantName) -> Result<MerchantId, DbError> {
    // `do update` and not `do nothing`: so that the row comes back when it was there already.
    let id = sqlx::query_scalar!(
        "insert into merchants (id, name) values ($1, $2)
         on conflict (name) do update set name = excluded.name
         returning id",
        Uuid::now_v7(),
        name.as_str(),
    )
    .fetch_one(executor)
    .await?;
    Ok(MerchantId(id))
}

/// The names of those merchants.
pub async fn names(executor: impl PgExecutor<'_>, ids: &[MerchantId]) -> Result<HashMap<MerchantId, String>, DbError> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select id, name from merchants where id = any($1)", &ids)
        .fetch_all(executor)
        .await?;
    Ok(rows.into_iter().map(|row| (MerchantId(row.id), row.name)).collect())
}
