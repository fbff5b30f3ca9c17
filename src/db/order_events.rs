//! Table `order_events`: the append-only log. Events of changes are written by [`journal`](super::journal), with the change.

use sqlx::PgExecutor;

use super::{DbError, orders};
use crate::domain::event::{OrderEvent, Source};
use crate::domain::listing::PageSize;
use crate::domain::order::{MerchantId, OrderId, Version};

/// An event and its place in the log.
#[derive(Debug)]
pub struct LoggedEvent {
    pub seq: i64,
    pub event: OrderEvent,
}

/// Writes an event that changes nothing: a rejected move.
pub async fn append(executor: impl PgExecutor<'_>, event: &OrderEvent) -> Result<(), DbError> {
    sqlx::query!(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status,
                                   source, accepted, reason, at, data)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        event.id,
        event.kind,
        event.order_id.0,
        event.merchant_id.0,
        event.out_trade_no.as_str(),
        event.version.0,
        event.from.map(|status| status.as_str()),
        event.to.as_str(),
        event.source.as_str(),
        event.accepted,
        event.reason,
        chrono::DateTime::from(event.at),
        event.data,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// A page of an order's log, oldest first, after the event `after`.
pub async fn list(
    executor: impl PgExecutor<'_>,
    merchant: MerchantId,
    order: OrderId,
    after: i64,
    size: PageSize,
) -> Result<Vec<LoggedEvent>, DbError> {
    let rows = sqlx::query!(
        "select seq, id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source, accepted,
                reason, at, data
         from order_events where order_id = $1 and merchant_id = $2 and seq > $3 order by seq limit $4",
        order.0,
        merchant.0,
        after,
        size.and_one(),
    )
    .fetch_all(executor)
    .await?;
    let events = rows.into_iter().map(|row| {
        let event = OrderEvent {
            id: row.id,
            kind: row.kind,
            order_id: OrderId(row.order_id),
            merchant_id: MerchantId(row.merchant_id),
            out_trade_no: orders::read_text(row.out_trade_no)?,
            version: Version(row.version),
            from: row.from_status.as_deref().map(orders::read_status).transpose()?,
            to: orders::read_status(&row.to_status)?,
            source: Source::parse(&row.source)
                .ok_or_else(|| DbError::Unreadable(format!("event source {:?}", row.source)))?,
            accepted: row.accepted,
            reason: row.reason,
            at: row.at.into(),
            data: row.data,
        };
        Ok(LoggedEvent { seq: row.seq, event })
    });
    events.collect()
}

/// Makes the partitions of the coming months, and drops those that ended more than `keep_days` ago (0: none). Says whether
/// anything was made or dropped.
pub async fn keep_partitions(executor: impl PgExecutor<'_>, keep_days: u16) -> Result<bool, DbError> {
    let touched = sqlx::query_scalar!(
        r#"select keep_order_event_partitions($1) as "touched!""#,
        i32::from(keep_days)
    )
    .fetch_one(executor)
    .await?;
    Ok(touched > 0)
}
