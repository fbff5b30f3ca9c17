//! Table `order_events`: the append-only log. Events of changes are written by [`journal`](super::journal), with the change.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

use super::{DbError, orders};
use crate::domain::event::{EndpointEvent, Event, OrderEvent, Source};
use crate::domain::listing::PageSize;
use crate::domain::order::{MerchantId, OrderId, Version};
use crate::domain::status::Status;

/// An event and its place in the log.
#[derive(Debug)]
pub struct LoggedEvent {
    pub seq: i64,
    pub event: Event,
}

/// A row as sqlx reads it, before it becomes an event.
pub(super) struct EventRow {
    pub seq: i64,
    pub id: Uuid,
    pub kind: String,
    pub order_id: Option<Uuid>,
    pub merchant_id: Uuid,
    pub out_trade_no: Option<String>,
    pub version: Option<i64>,
    pub from_status: Option<String>,
    pub to_status: Option<String>,
    pub source: String,
    pub accepted: bool,
    pub reason: Option<String>,
    pub at: DateTime<Utc>,
    pub data: Value,
}

impl TryFrom<EventRow> for LoggedEvent {
    type Error = DbError;

    fn try_from(row: EventRow) -> Result<Self, DbError> {
        let seq = row.seq;
        let event = match row.order_id {
            Some(order_id) => Event::Order(row.read_order(OrderId(order_id))?),
            None => Event::Endpoint(row.read_endpoint()),
        };
        Ok(Self { seq, event })
    }
}

impl EventRow {
    /// For those who read the whole log: the event; None, and a line in the log, where only a newer version can read it. (While
    /// replicas are exchanged both versions read. A reader that stopped there would stop for every merchant.)
    pub(super) fn read_or_pass_over(self) -> Option<LoggedEvent> {
        let (id, kind) = (self.id, self.kind.clone());
        LoggedEvent::try_from(self)
            .inspect_err(|error| {
                tracing::error!(event.id = %id, event.r#type = kind, %error, "an event was passed over");
            })
            .ok()
    }

    fn read_order(self, order_id: OrderId) -> Result<OrderEvent, DbError> {
        let lacks = |column: &str| DbError::Unreadable(format!("an order's event without {column}"));
        Ok(OrderEvent {
            id: self.id,
            kind: self.kind,
            order_id,
            merchant_id: MerchantId(self.merchant_id),
            out_trade_no: orders::read_text(self.out_trade_no.ok_or_else(|| lacks("out_trade_no"))?)?,
            version: Version(self.version.ok_or_else(|| lacks("version"))?),
            from: self.from_status.as_deref().map(orders::read_status).transpose()?,
            to: orders::read_status(&self.to_status.ok_or_else(|| lacks("to_status"))?)?,
            source: Source::parse(&self.source)
                .ok_or_else(|| DbError::Unreadable(format!("event source {:?}", self.source)))?,
            accepted: self.accepted,
            reason: self.reason,
            at: self.at.into(),
            data: self.data,
        })
    }

    fn read_endpoint(self) -> EndpointEvent {
        EndpointEvent {
            id: self.id,
            kind: self.kind,
            merchant_id: MerchantId(self.merchant_id),
            reason: self.reason,
            at: self.at.into(),
            data: self.data,
        }
    }
}

/// Writes what happened to an endpoint.
pub async fn append_of_endpoint(executor: impl PgExecutor<'_>, event: &EndpointEvent) -> Result<(), DbError> {
    sqlx::query!(
        "insert into order_events (id, kind, merchant_id, source, accepted, reason, at, data)
         values ($1, $2, $3, $4, true, $5, $6, $7)",
        event.id,
        event.kind,
        event.merchant_id.0,
        Source::Service.as_str(),
        event.reason,
        DateTime::<Utc>::from(event.at),
        Json(&event.data) as _,
    )
    .execute(executor)
    .await?;
    Ok(())
}

/// Writes events that change nothing: rejected moves. They stand in the log in the order given.
pub async fn append(executor: impl PgExecutor<'_>, events: &[&OrderEvent]) -> Result<(), DbError> {
    let texts = |text: fn(&OrderEvent) -> &str| events.iter().map(|event| text(event)).collect::<Vec<_>>();
    let uuids = |uuid: fn(&OrderEvent) -> Uuid| events.iter().map(|event| uuid(event)).collect::<Vec<_>>();
    let from: Vec<_> = events.iter().map(|event| event.from.map(Status::as_str)).collect();
    let reasons: Vec<_> = events.iter().map(|event| event.reason.as_deref()).collect();
    sqlx::query!(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status,
                                   source, accepted, reason, at, data)
         select * from unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::text[], $6::bigint[], $7::text[],
                              $8::text[], $9::text[], $10::bool[], $11::text[], $12::timestamptz[], $13::jsonb[])",
        &uuids(|event| event.id),
        &texts(|event| &event.kind) as _,
        &uuids(|event| event.order_id.0),
        &uuids(|event| event.merchant_id.0),
        &texts(|event| event.out_trade_no.as_str()) as _,
        &events.iter().map(|event| event.version.0).collect::<Vec<_>>(),
        &from as _,
        &texts(|event| event.to.as_str()) as _,
        &texts(|event| event.source.as_str()) as _,
        &events.iter().map(|event| event.accepted).collect::<Vec<_>>(),
        &reasons as _,
        &events
            .iter()
            .map(|event| event.at.into())
            .collect::<Vec<DateTime<Utc>>>(),
        &events.iter().map(|event| Json(&event.data)).collect::<Vec<_>>() as _,
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
    let rows = sqlx::query_as!(
        EventRow,
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
    rows.into_iter().map(LoggedEvent::try_from).collect()
}

/// Notes what [`keep_partitions`] is about to drop; says whether that is anything.
pub async fn forget_old(executor: impl PgExecutor<'_>, keep_days: u16) -> Result<bool, DbError> {
    let old = sqlx::query_scalar!(r#"select forget_order_events($1) as "old!""#, i32::from(keep_days))
        .fetch_one(executor)
        .await?;
    Ok(old > 0)
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
