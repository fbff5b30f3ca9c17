//! The status document: what a payer's screen is told of an order. Small, and the same bytes for the same version.

use serde::Serialize;

use super::money::{Amount, Currency};
use super::order::{Order, OrderId, Version};
use super::status::Status;
use super::text::Reason;
use super::time::Timestamp;

/// The payer's view of an order at one version. Nothing in it depends on the time of asking, so a strong `ETag` is honest
/// (RFC 9110 §8.8.1).
#[derive(Debug, Serialize)]
pub struct StatusDocument<'a> {
    order_id: OrderId,
    status: Status,
    reason: Option<&'a Reason>,
    #[serde(rename = "final")]
    is_final: bool,
    late: bool,
    version: Version,
    amount: Amount,
    currency: Currency,
    paid_at: Option<Timestamp>,
    updated_at: Timestamp,
}

impl<'a> StatusDocument<'a> {
    pub fn of(order: &'a Order) -> Self {
        Self {
            order_id: order.id,
            status: order.status,
            reason: order.reason.as_ref(),
            is_final: order.status.is_final(),
            late: order.late,
            version: order.version,
            amount: order.amount,
            currency: order.currency,
            paid_at: order.paid_at,
            updated_at: order.updated_at,
        }
    }

    /// The document as JSON.
    pub fn render(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a struct of texts and numbers always serialises")
    }
}
