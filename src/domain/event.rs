//! Order events: the append-only log of what happened to an order, rejected moves included.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::order::{MerchantId, Order, OrderId, Version};
use super::report::Report;
use super::status::Status;
use super::text::OutTradeNo;
use super::time::Timestamp;

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The merchant's backend, with its API key.
    Merchant,
    /// The service itself, when the order's time was up.
    Expiry,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Expiry => "expiry",
        }
    }

    /// Reads what [`Source::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Merchant, Self::Expiry]
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Created,
    /// The order changed and now has this status.
    Changed(Status),
    /// The order was paid after it had been closed.
    PaidLate,
    Rejected,
}

impl EventKind {
    pub const ALL: [Self; 9] = [
        Self::Created,
        Self::Changed(Status::Pending),
        Self::Changed(Status::Processing),
        Self::Changed(Status::Succeeded),
        Self::Changed(Status::Failed),
        Self::Changed(Status::Closed),
        Self::Changed(Status::Refunded),
        Self::PaidLate,
        Self::Rejected,
    ];

    /// Reads what [`EventKind::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The event's `type`, as the API, the feed and the messages show it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "order.created",
            Self::Changed(Status::Pending) => "order.pending",
            Self::Changed(Status::Processing) => "order.processing",
            Self::Changed(Status::Succeeded) => "order.succeeded",
            Self::Changed(Status::Failed) => "order.failed",
            Self::Changed(Status::Closed) => "order.closed",
            Self::Changed(Status::Refunded) => "order.refunded",
            Self::PaidLate => "order.paid_late",
            Self::Rejected => "order.rejected",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderEvent {
    pub id: Uuid,
    /// The event's `type`; see [`EventKind::as_str`].
    pub kind: String,
    pub order_id: OrderId,
    pub merchant_id: MerchantId,
    pub out_trade_no: OutTradeNo,
    /// The order's version after the event; of a rejected move, the version that it met.
    pub version: Version,
    /// None for the creation.
    pub from: Option<Status>,
    /// Of a rejected move, the status that was asked for.
    pub to: Status,
    pub source: Source,
    pub accepted: bool,
    /// The order's reason; of a rejected move, the code of the rejection.
    pub reason: Option<String>,
    pub at: Timestamp,
    pub data: Value,
}

impl OrderEvent {
    pub fn created(order: &Order) -> Self {
        let data = json!({ "amount": order.amount, "currency": order.currency, "expires_at": order.expires_at });
        Self::accepted(EventKind::Created, order, None, Source::Merchant, data)
    }

    /// `order` is the order after the change, `from` its status before.
    pub fn changed(order: &Order, from: Status, source: Source) -> Self {
        let kind = if from == Status::Closed && order.status == Status::Succeeded {
            EventKind::PaidLate
        } else {
            EventKind::Changed(order.status)
        };
        let data = json!({
            "amount": order.amount,
            "currency": order.currency,
            "refunded_amount": order.refunded_amount,
            "transaction_id": order.transaction_id,
            "paid_at": order.paid_at,
            "late": order.late,
        });
        Self::accepted(kind, order, Some(from), source, data)
    }

    /// `order` is the order as it stands, which `report` did not change; `code` says why.
    pub fn rejected(order: &Order, to: Status, report: &Report, code: &str, at: Timestamp) -> Self {
        let data = json!({
            "amount": report.amount,
            "currency": report.currency,
            "refunded_amount": report.refunded_amount,
            "transaction_id": report.transaction_id,
            "paid_at": report.paid_at,
            "reason": report.reason,
        });
        Self {
            to,
            accepted: false,
            reason: Some(code.to_owned()),
            at,
            ..Self::accepted(EventKind::Rejected, order, Some(order.status), Source::Merchant, data)
        }
    }

    fn accepted(kind: EventKind, order: &Order, from: Option<Status>, source: Source, data: Value) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind: kind.as_str().to_owned(),
            order_id: order.id,
            merchant_id: order.merchant_id,
            out_trade_no: order.out_trade_no.clone(),
            version: order.version,
            from,
            to: order.status,
            source,
            accepted: true,
            reason: order.reason.as_ref().map(ToString::to_string),
            at: order.updated_at,
            data,
        }
    }
}

/// An event as everyone is shown it: the API's lists, the feed, and what goes out to the merchants' other systems.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
pub struct EventDocument<'a> {
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

impl<'a> EventDocument<'a> {
    pub fn of(event: &'a OrderEvent) -> Self {
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

    /// The document as JSON.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always serialise")
    }
}
