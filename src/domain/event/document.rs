//! An event as JSON, the same for everyone who is shown one.

use serde::Serialize;
use serde_json::Value;

use super::{EndpointEvent, Event, OrderEvent, Source};
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

/// An event as everyone is shown it: the API's lists, the feed, and what goes out to the merchants' other systems.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
pub struct EventDocument<'a> {
    #[schema(format = Uuid)]
    id: String,
    /// `order.created`; `order.<status>` or `order.paid_late`, when the order comes into a status; `order.updated`, when something is
    /// added to it and its status stays (a partial refund, a transaction's number); `order.rejected`; `webhook_endpoint.disabled`, which is
    /// of no order.
    #[serde(rename = "type")]
    #[schema(example = "order.succeeded")]
    kind: &'a str,
    /// Null, as the next four, when the event is of no order.
    #[schema(format = Uuid)]
    order_id: Option<String>,
    out_trade_no: Option<&'a str>,
    /// The order's version after the event; of a rejected move, the version that it met.
    version: Option<i64>,
    /// Null for the creation.
    from: Option<Status>,
    /// Of a rejected move, what was asked for.
    to: Option<Status>,
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

impl<'a> EventDocument<'a> {
    pub fn of(event: &'a Event) -> Self {
        match event {
            Event::Order(event) => Self::of_order(event),
            Event::Endpoint(event) => Self::of_endpoint(event),
        }
    }

    fn of_order(event: &'a OrderEvent) -> Self {
        Self {
            id: event.id.to_string(),
            kind: &event.kind,
            order_id: Some(event.order_id.to_string()),
            out_trade_no: Some(event.out_trade_no.as_str()),
            version: Some(event.version.0),
            from: event.from,
            to: Some(event.to),
            source: event.source,
            accepted: event.accepted,
            reason: event.reason.as_deref(),
            at: event.at,
            data: &event.data,
        }
    }

    fn of_endpoint(event: &'a EndpointEvent) -> Self {
        Self {
            id: event.id.to_string(),
            kind: &event.kind,
            order_id: None,
            out_trade_no: None,
            version: None,
            from: None,
            to: None,
            source: Source::Service,
            accepted: true,
            reason: event.reason.as_deref(),
            at: event.at,
            data: &event.data,
        }
    }

    /// The document as JSON.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always serialise")
    }

    /// The same as text.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always serialise")
    }
}
