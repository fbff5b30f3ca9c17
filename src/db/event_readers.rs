//! Table `event_readers`: how far each of the service's own readers of the log has come.

use sqlx::PgExecutor;

use super::{Connection, DbError, event_log};
use crate::domain::log_cursor::LogCursor;

/// Claims a reader's place for the rest of the transaction; None when another replica has it, or when there is none yet.
///
/// If this process disappears without a word, the server ends the transaction after `IDLE_LIMIT`, and another one goes on.
pub async fn claim(transaction: &mut Connection, name: &str) -> Result<Option<LogCursor>, DbError> {
    sqlx::query!(
        "select set_config('idle_in_transaction_session_timeout', $1, true) as setting",
        IDLE_LIMIT
    )
    .fetch_one(&mut *transaction)
    .await?;
    let cursor = sqlx::query_scalar!(
        "select cursor from event_readers where name = $1 for update skip locked",
        name
    )
    .fetch_optional(transaction)
    .await?;
    cursor.map(|text| read(&text)).transpose()
}

/// How long a transaction with a place in the log may say nothing: longer than anything that is done within one.
const IDLE_LIMIT: &str = "30s";

/// Gives a reader that has no place one at the log's end: it begins with what is committed from here on. Says whether it had none. To be
/// committed before anything is read from there: a place that is taken back begins anew the next time, behind what came meanwhile.
pub async fn begin_at_end(transaction: &mut Connection, name: &str) -> Result<bool, DbError> {
    let now = event_log::end(&mut *transaction, None).await?;
    let inserted = sqlx::query!(
        "insert into event_readers (name, cursor) select $1, $2
         where not exists (select from event_readers where name = $1)
         on conflict do nothing",
        name,
        now.encode()
    )
    .execute(transaction)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Moves a reader that was claimed in the same transaction.
pub async fn advance(executor: impl PgExecutor<'_>, name: &str, cursor: &LogCursor) -> Result<(), DbError> {
    sqlx::query!(
        "update event_readers set cursor = $2, moved_at = now() where name = $1",
        name,
        cursor.encode()
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Moves a reader to the log's end, whoever has its place: it skips what is committed so far. The place is locked until the
/// transaction ends.
pub async fn skip_to_end(transaction: &mut Connection, name: &str) -> Result<(), DbError> {
    hold(&mut *transaction, name).await?;
    let now = event_log::end(&mut *transaction, None).await?;
    advance(transaction, name, &now).await
}

/// Keeps a reader where it is until the transaction ends. Waits for whoever has its place just now.
pub async fn hold(transaction: &mut Connection, name: &str) -> Result<(), DbError> {
    let now = event_log::end(&mut *transaction, None).await?;
    sqlx::query!(
        "insert into event_readers (name, cursor) values ($1, $2) on conflict (name) do update set name = excluded.name",
        name,
        now.encode()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Where a reader stands, without claiming its place; None before its first step.
pub async fn find(executor: impl PgExecutor<'_>, name: &str) -> Result<Option<LogCursor>, DbError> {
    let cursor = sqlx::query_scalar!("select cursor from event_readers where name = $1", name)
        .fetch_optional(executor)
        .await?;
    cursor.map(|text| read(&text)).transpose()
}

fn read(text: &str) -> Result<LogCursor, DbError> {
    LogCursor::decode(text).map_err(|_| DbError::Unreadable(format!("reader's cursor {text:?}")))
}
