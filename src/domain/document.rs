//! The status document: what a payer's screen is told of an order. Small, and the same bytes for the same version.

use serde::Serialize;

use super::money::{Amount, Currency};
use super::order::{Order, OrderId, Version};
use super::status::Status;
use super::text::Reason;
use super::time::Timestamp;

/// The payer's view of an order at one version. Nothing in it depends on the time of asking, so a strong `ETag` is honest
/// (RFC 9110 §8.8.1).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(example = json!({
    "order_id": "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "status": "succeeded", "reason": null, "final": true, "late": false,
    "version": 2, "amount": 1000, "currency": "CNY", "paid_at": "2026-11-20T09:37:37.042Z",
    "updated_at": "2026-11-20T09:37:37.042Z"
}))]
pub struct StatusDocument<'a> {
    #[schema(value_type = String, format = Uuid, example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")]
    order_id: OrderId,
    status: Status,
    /// Why, where there is something to say: `expired`, or the merchant's words.
    #[schema(value_type = Option<String>)]
    reason: Option<&'a Reason>,
    /// The question is answered; a poller stops here.
    #[serde(rename = "final")]
    is_final: bool,
    /// Paid after the order had been closed.
    late: bool,
    /// Counts the order's changes, from 1. Equal to the ETag.
    #[schema(value_type = i64, example = 1)]
    version: Version,
    /// Minor units.
    #[schema(value_type = i64, example = 1000)]
    amount: Amount,
    #[schema(value_type = String, example = "CNY")]
    currency: Currency,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
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
