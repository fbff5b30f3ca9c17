//! What a report, or the passing of time, does to an order. The only place that decides it.

use super::order::Order;
use super::report::Report;
use super::status::Status;
use super::text::Reason;
use super::time::Timestamp;

/// The reason of an order that payquery closed because its time was up.
pub const EXPIRED: &str = "expired";

/// What a report does to an order.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The order says so already. Payment notices are repeated as a rule; a repeat is no change and no error.
    Unchanged,
    /// The order as it will be, one version on.
    Changed(Box<Order>),
    Rejected(Rejection),
}

/// Why a report was not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("an order that is {from} cannot become {to}")]
    IllegalTransition { from: Status, to: Status },
    #[error("the report names the amount {reported}, the order's is {expected}")]
    AmountMismatch { expected: i64, reported: i64 },
    #[error("the report names the currency {reported}, the order's is {expected}")]
    CurrencyMismatch {
        expected: &'static str,
        reported: &'static str,
    },
    #[error(
        "the order was paid by the transaction {expected}, the report names {reported}: it may have been paid twice"
    )]
    TransactionMismatch { expected: String, reported: String },
    #[error("the report counts refunds of {reported}, the order's amount is {amount}")]
    RefundExceedsAmount { amount: i64, reported: i64 },
    #[error("the report counts refunds of an order that becomes {to} without having been paid")]
    RefundWithoutPayment { to: Status },
}

impl Rejection {
    /// The stable code, in the order's log and in the problem document.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::IllegalTransition { .. } => "illegal_transition",
            Self::AmountMismatch { .. } => "amount_mismatch",
            Self::CurrencyMismatch { .. } => "currency_mismatch",
            Self::TransactionMismatch { .. } => "transaction_mismatch",
            Self::RefundExceedsAmount { .. } => "refund_exceeds_amount",
            Self::RefundWithoutPayment { .. } => "refund_without_payment",
        }
    }
}

/// Decides on a report that arrived at `now`.
pub fn decide(order: &Order, report: &Report, now: Timestamp) -> Decision {
    if let Some(rejection) = find_contradiction(order, report) {
        return Decision::Rejected(rejection);
    }
    let (from, to) = (order.status, report.target.status_for(order.status));
    let changed = if from == to {
        repeat(order, report)
    } else if from.may_become(to) {
        Some(transition(order, to, report, now))
    } else {
        return Decision::Rejected(Rejection::IllegalTransition { from, to });
    };
    changed.map_or(Decision::Unchanged, |changed| {
        Decision::Changed(Box::new(one_version_on(order, changed, now)))
    })
}

/// The order closed because its time was up; None while it isn't, and for an order that is answered already.
pub fn expire(order: &Order, now: Timestamp) -> Option<Order> {
    if order.status.is_final() || now < order.expires_at {
        return None;
    }
    let reason = Reason::parse(EXPIRED).expect("a short lower-case word is a reason");
    let closed = Order {
        status: Status::Closed,
        reason: Some(reason),
        ..order.clone()
    };
    Some(one_version_on(order, closed, now))
}

/// What the report claims against facts that no report may change.
fn find_contradiction(order: &Order, report: &Report) -> Option<Rejection> {
    if let Some(reported) = report.amount.filter(|amount| *amount != order.amount) {
        return Some(Rejection::AmountMismatch {
            expected: order.amount.get(),
            reported: reported.get(),
        });
    }
    if let Some(reported) = report.currency.filter(|currency| *currency != order.currency) {
        return Some(Rejection::CurrencyMismatch {
            expected: order.currency.code(),
            reported: reported.code(),
        });
    }
    if let Some(reported) = report.refunded_amount.filter(|refunded| *refunded > order.amount) {
        return Some(Rejection::RefundExceedsAmount {
            amount: order.amount.get(),
            reported: reported.get(),
        });
    }
    // Alipay's TRADE_CLOSED means a refund only of an order that was paid.
    let to = report.target.status_for(order.status);
    if report.refunded_amount.is_some() && !to.is_paid() {
        return Some(Rejection::RefundWithoutPayment { to });
    }
    // Before the payment each attempt has a transaction of its own; the one that paid is a fact.
    let paid_by = order.transaction_id.as_ref().filter(|_| order.status.is_paid());
    match (paid_by, &report.transaction_id) {
        (Some(expected), Some(reported)) if expected != reported => Some(Rejection::TransactionMismatch {
            expected: expected.to_string(),
            reported: reported.to_string(),
        }),
        _ => None,
    }
}

/// A report of the status that the order has: it may bring the transaction's number that was missing, and a higher sum of
/// refunds. A lower sum is an older notice, sent again. Everything else was said before.
fn repeat(order: &Order, report: &Report) -> Option<Order> {
    let refunded_amount = order.refunded_amount.max(reported_refunds(report));
    let transaction_id = order.transaction_id.clone().or_else(|| report.transaction_id.clone());
    let news = refunded_amount != order.refunded_amount || transaction_id != order.transaction_id;
    news.then(|| Order {
        refunded_amount,
        transaction_id,
        ..order.clone()
    })
}

fn transition(order: &Order, to: Status, report: &Report, now: Timestamp) -> Order {
    let refunded_amount = match to {
        Status::Refunded => report
            .refunded_amount
            .map_or(order.amount.get(), |_| reported_refunds(report)),
        _ => reported_refunds(report),
    };
    Order {
        status: to,
        reason: report.reason.clone(),
        late: order.late || (order.status == Status::Closed && to == Status::Succeeded),
        refunded_amount: order.refunded_amount.max(refunded_amount),
        transaction_id: report.transaction_id.clone().or_else(|| order.transaction_id.clone()),
        paid_at: if to == Status::Succeeded {
            report.paid_at.or(Some(now))
        } else {
            order.paid_at
        },
        ..order.clone()
    }
}

fn reported_refunds(report: &Report) -> i64 {
    report.refunded_amount.map_or(0, super::money::Amount::get)
}

/// Time never runs backwards in an order, whatever the clocks of the replicas that change it say.
fn one_version_on(before: &Order, changed: Order, now: Timestamp) -> Order {
    Order {
        version: before.version.next(),
        updated_at: now.max(before.updated_at),
        ..changed
    }
}

#[cfg(test)]
mod tests;
