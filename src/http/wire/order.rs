//! Orders as their merchant sees them.

use serde::Serialize;

use crate::domain::money::{Amount, Currency};
use crate::domain::order::{Metadata, Order};
use crate::domain::status::Status;
use crate::domain::text::{Description, Reason, TransactionId};
use crate::domain::time::Timestamp;

/// An order, whole, as its merchant sees it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Order, example = json!({
    "id": "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "out_trade_no": "20261120-0001", "amount": 1000, "currency": "CNY",
    "description": "Coffee", "metadata": {"shop": 7}, "status": "pending", "reason": null, "final": false, "late": false,
    "version": 1, "refunded_amount": 0, "transaction_id": null,
    "client_secret": "pqs_2kYVH4kVhB5WlgDm1hb-xsVpjy9773uNqAT7AFAlCq4", "created_at": "2026-11-20T09:37:36.015Z",
    "updated_at": "2026-11-20T09:37:36.015Z", "expires_at": "2026-11-20T10:07:36.015Z", "paid_at": null
}))]
pub struct OrderBody<'a> {
    #[schema(format = Uuid, example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b")]
    id: String,
    #[schema(example = "20261120-0001")]
    out_trade_no: &'a str,
    /// Minor units.
    #[schema(value_type = i64, example = 1000)]
    amount: Amount,
    #[schema(value_type = String, example = "CNY")]
    currency: Currency,
    #[schema(value_type = Option<String>, example = "Coffee")]
    description: Option<&'a Description>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a Metadata>,
    status: Status,
    #[schema(value_type = Option<String>)]
    reason: Option<&'a Reason>,
    /// The payer's question is answered.
    #[serde(rename = "final")]
    is_final: bool,
    /// Paid after it had been closed.
    late: bool,
    /// Counts the order's changes, from 1.
    #[schema(example = 1)]
    version: i64,
    /// Minor units given back so far.
    #[schema(example = 0)]
    refunded_amount: i64,
    #[schema(value_type = Option<String>)]
    transaction_id: Option<&'a TransactionId>,
    /// Opens this order's status, read-only. For the payer's screen.
    #[schema(example = "pqs_3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    client_secret: &'a str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_at: Option<Timestamp>,
}

impl<'a> OrderBody<'a> {
    pub fn of(order: &'a Order) -> Self {
        Self {
            id: order.id.to_string(),
            out_trade_no: order.out_trade_no.as_str(),
            amount: order.amount,
            currency: order.currency,
            description: order.description.as_ref(),
            metadata: order.metadata.as_ref(),
            status: order.status,
            reason: order.reason.as_ref(),
            is_final: order.status.is_final(),
            late: order.late,
            version: order.version.0,
            refunded_amount: order.refunded_amount,
            transaction_id: order.transaction_id.as_ref(),
            client_secret: order.client_secret.expose(),
            created_at: order.created_at,
            updated_at: order.updated_at,
            expires_at: order.expires_at,
            paid_at: order.paid_at,
        }
    }
}

/// A page of orders, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderList)]
pub struct OrderListBody<'a> {
    pub data: Vec<OrderBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}
