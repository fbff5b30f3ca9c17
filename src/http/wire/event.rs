//! An order's log.

use serde::Serialize;
use serde_json::Value;

use crate::db::order_events::LoggedEvent;
use crate::domain::event::Source;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// One event of an order's log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
pub struct EventBody<'a> {
    #[schema(format = Uuid)]
    id: String,
    /// `order.created`, `order.<status>`, `order.paid_late` or `order.rejected`.
    #[serde(rename = "type")]
    #[schema(example = "order.succeeded")]
    kind: &'a str,
    #[schema(format = Uuid)]
    order_id: String,
    out_trade_no: &'a str,
    /// The order's version after the event; of a rejected move, the version that it met.
    version: i64,
    /// Null for the creation.
    from: Option<Status>,
    /// Of a rejected move, what was asked for.
    to: Status,
    source: Source,
    accepted: bool,
    /// The order's reason; of a rejected move, the code of the rejection.
    reason: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What else was said.
    #[schema(value_type = Object)]
    data: &'a Value,
}

impl<'a> EventBody<'a> {
    pub fn of(logged: &'a LoggedEvent) -> Self {
        let event = &logged.event;
        Self {
            id: event.id.to_string(),
            kind: &event.kind,
            order_id: event.order_id.to_string(),
            out_trade_no: event.out_trade_no.as_str(),
            version: event.version.0,
            from: event.from,
            to: event.to,
            source: event.source,
            accepted: event.accepted,
            reason: event.reason.as_deref(),
            at: event.at,
            data: &event.data,
        }
    }
}

/// A page of an order's log, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEventList)]
pub struct EventListBody<'a> {
    pub data: Vec<EventBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}
