//! Events: the append-only log of what happened to orders, rejected moves included, and to a merchant's endpoints.

mod document;

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::order::{MerchantId, Order, OrderId, Version};
use super::report::Report;
use super::status::Status;
use super::text::OutTradeNo;
use super::time::Timestamp;
use super::webhook::{DisabledReason, Endpoint};

pub use document::EventDocument;

/// Who caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The merchant's backend, with its API key.
    Merchant,
    /// The service itself, when the order's time was up.
    Expiry,
    /// The service itself, for another reason.
    Service,
}

impl Source {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Expiry => "expiry",
            Self::Service => "service",
        }
    }

    /// Reads what [`Source::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Merchant, Self::Expiry, Self::Service]
            .into_iter()
            .find(|source| source.as_str() == word)
    }
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Created,
    /// The order came into this status.
    Changed(Status),
    /// The order was paid after it had been closed.
    PaidLate,
    /// Something was added to the order (a partial refund, a transaction's number), and its status stayed. Not told as
    /// [`EventKind::Changed`]: whoever ships goods on `order.succeeded` would be told once more that money came.
    Updated,
    Rejected,
    /// Nothing is sent to an endpoint any more.
    EndpointDisabled,
}

/// The type of the event that a merchant sends itself, to try an endpoint. It is in no log.
pub const TEST_KIND: &str = "webhook_endpoint.test";

impl EventKind {
    /// Every type that the log has, in the contract's order.
    pub const ALL: [Self; 11] = [
        Self::Created,
        Self::Changed(Status::Pending),
        Self::Changed(Status::Processing),
        Self::Changed(Status::Succeeded),
        Self::Changed(Status::Failed),
        Self::Changed(Status::Closed),
        Self::Changed(Status::Refunded),
        Self::PaidLate,
        Self::Updated,
        Self::Rejected,
        Self::EndpointDisabled,
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
            Self::Updated => "order.updated",
            Self::Rejected => "order.rejected",
            Self::EndpointDisabled => "webhook_endpoint.disabled",
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
pub enum Event {
    Order(OrderEvent),
    Endpoint(EndpointEvent),
}

impl Event {
    pub fn id(&self) -> Uuid {
        match self {
            Self::Order(event) => event.id,
            Self::Endpoint(event) => event.id,
        }
    }

    /// The event's `type`; see [`EventKind::as_str`].
    pub fn kind(&self) -> &str {
        match self {
            Self::Order(event) => &event.kind,
            Self::Endpoint(event) => &event.kind,
        }
    }

    pub fn merchant_id(&self) -> MerchantId {
        match self {
            Self::Order(event) => event.merchant_id,
            Self::Endpoint(event) => event.merchant_id,
        }
    }

    /// None: it is of no order.
    pub fn order_id(&self) -> Option<OrderId> {
        match self {
            Self::Order(event) => Some(event.order_id),
            Self::Endpoint(_) => None,
        }
    }

    pub fn at(&self) -> Timestamp {
        match self {
            Self::Order(event) => event.at,
            Self::Endpoint(event) => event.at,
        }
    }
}

/// What happened to one of a merchant's endpoints. The service itself is the cause.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointEvent {
    pub id: Uuid,
    /// The event's `type`; see [`EventKind::as_str`].
    pub kind: String,
    pub merchant_id: MerchantId,
    pub reason: Option<String>,
    pub at: Timestamp,
    pub data: Value,
}

impl EndpointEvent {
    /// Nothing is sent there any more, until the merchant enables it again.
    pub fn disabled(endpoint: &Endpoint, reason: DisabledReason, at: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind: EventKind::EndpointDisabled.as_str().to_owned(),
            merchant_id: endpoint.merchant_id,
            reason: Some(reason.as_str().to_owned()),
            at,
            data: json!({
                "endpoint_id": endpoint.id,
                "url": endpoint.url,
                "failing_since": endpoint.failing_since,
            }),
        }
    }

    /// A try, for the merchant to see whether it arrives.
    pub fn test(endpoint: &Endpoint, at: Timestamp) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind: TEST_KIND.to_owned(),
            merchant_id: endpoint.merchant_id,
            reason: None,
            at,
            data: json!({ "endpoint_id": endpoint.id }),
        }
    }
}

/// What happened to an order.
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
        let kind = match (from, order.status) {
            (from, to) if from == to => EventKind::Updated,
            (Status::Closed, Status::Succeeded) => EventKind::PaidLate,
            (_, to) => EventKind::Changed(to),
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

    /// Whether it tells of a status that the order did not have before. Not so: a rejected move, and a change that left the
    /// status as it was.
    pub fn came_into_its_status(&self) -> bool {
        self.accepted && self.from != Some(self.to)
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

#[cfg(test)]
mod tests;
