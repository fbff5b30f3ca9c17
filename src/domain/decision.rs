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
mod tests {
    use super::*;
    use crate::domain::money::{Amount, Currency};
    use crate::domain::report::Target;
    use crate::domain::text::TransactionId;

    fn order(status: Status) -> Order {
        Order {
            status,
            ..Order::sample()
        }
    }

    fn report(status: Status) -> Report {
        Report {
            target: Target::Status(status),
            transaction_id: None,
            reason: None,
            amount: None,
            currency: None,
            paid_at: None,
            refunded_amount: None,
        }
    }

    fn amount(units: i64) -> Amount {
        Amount::from_minor_units(units).expect("valid")
    }

    fn transaction(id: &str) -> TransactionId {
        TransactionId::parse(id).expect("valid")
    }

    fn changed(decision: Decision) -> Order {
        match decision {
            Decision::Changed(order) => *order,
            other => panic!("expected a change, got {other:?}"),
        }
    }

    const NOW: i64 = 4_000_000_000_000;

    fn now() -> Timestamp {
        Timestamp::from_unix_ms(NOW)
    }

    #[test]
    fn each_pair_of_statuses_changes_repeats_or_is_rejected() {
        for from in Status::ALL {
            for to in Status::ALL {
                let decision = decide(&order(from), &report(to), now());
                if from == to {
                    assert_eq!(decision, Decision::Unchanged, "{from} -> {to}");
                } else if from.may_become(to) {
                    let after = changed(decision);
                    assert_eq!((after.status, after.version.0), (to, 2), "{from} -> {to}");
                } else {
                    assert_eq!(decision, Decision::Rejected(Rejection::IllegalTransition { from, to }));
                }
            }
        }
    }

    #[test]
    fn a_payment_after_closing_is_late_and_one_after_a_failed_try_is_not() {
        assert!(changed(decide(&order(Status::Closed), &report(Status::Succeeded), now())).late);
        assert!(!changed(decide(&order(Status::Failed), &report(Status::Succeeded), now())).late);
        let late = changed(decide(&order(Status::Closed), &report(Status::Succeeded), now()));
        assert!(changed(decide(&late, &report(Status::Refunded), now())).late);
    }

    #[test]
    fn a_payment_carries_the_time_that_was_reported_else_the_time_of_the_report() {
        let at = Timestamp::from_unix_ms(NOW - 5000);
        let told = Report {
            paid_at: Some(at),
            ..report(Status::Succeeded)
        };
        assert_eq!(changed(decide(&order(Status::Pending), &told, now())).paid_at, Some(at));
        assert_eq!(
            changed(decide(&order(Status::Pending), &report(Status::Succeeded), now())).paid_at,
            Some(now())
        );
        assert_eq!(
            changed(decide(&order(Status::Pending), &report(Status::Closed), now())).paid_at,
            None
        );
    }

    #[test]
    fn a_wrong_amount_or_currency_is_rejected_even_in_a_repeat() {
        for status in [Status::Pending, Status::Succeeded] {
            let wrong = Report {
                amount: Some(amount(999)),
                ..report(Status::Succeeded)
            };
            assert_eq!(
                decide(&order(status), &wrong, now()),
                Decision::Rejected(Rejection::AmountMismatch {
                    expected: 1000,
                    reported: 999
                })
            );
            let wrong = Report {
                currency: Currency::parse("USD").ok(),
                ..report(Status::Succeeded)
            };
            assert_eq!(
                decide(&order(status), &wrong, now()),
                Decision::Rejected(Rejection::CurrencyMismatch {
                    expected: "CNY",
                    reported: "USD"
                })
            );
        }
    }

    #[test]
    fn partial_refunds_count_upwards_while_the_order_stays_succeeded() {
        let paid = order(Status::Succeeded);
        let first = changed(decide(
            &paid,
            &Report {
                refunded_amount: Some(amount(300)),
                ..report(Status::Succeeded)
            },
            now(),
        ));
        assert_eq!(
            (first.status, first.refunded_amount, first.version.0),
            (Status::Succeeded, 300, 2)
        );
        let older = Report {
            refunded_amount: Some(amount(200)),
            ..report(Status::Succeeded)
        };
        assert_eq!(decide(&first, &older, now()), Decision::Unchanged);
        let all = changed(decide(&first, &report(Status::Refunded), now()));
        assert_eq!((all.status, all.refunded_amount), (Status::Refunded, 1000));
        let too_much = Report {
            refunded_amount: Some(amount(1001)),
            ..report(Status::Refunded)
        };
        assert_eq!(
            decide(&first, &too_much, now()),
            Decision::Rejected(Rejection::RefundExceedsAmount {
                amount: 1000,
                reported: 1001
            })
        );
    }

    #[test]
    fn a_repeat_may_bring_the_missing_transaction_but_never_another_one() {
        let paid = order(Status::Succeeded);
        let named = changed(decide(
            &paid,
            &Report {
                transaction_id: Some(transaction("t1")),
                ..report(Status::Succeeded)
            },
            now(),
        ));
        assert_eq!(named.transaction_id, Some(transaction("t1")));
        let again = Report {
            transaction_id: Some(transaction("t1")),
            ..report(Status::Succeeded)
        };
        assert_eq!(decide(&named, &again, now()), Decision::Unchanged);
        let second = Report {
            transaction_id: Some(transaction("t2")),
            ..report(Status::Succeeded)
        };
        assert!(matches!(
            decide(&named, &second, now()),
            Decision::Rejected(Rejection::TransactionMismatch { .. })
        ));
    }

    #[test]
    fn a_refund_of_an_order_that_nobody_paid_is_rejected() {
        let closed = Report {
            target: Target::TradeState(crate::domain::status::TradeState::parse("TRADE_CLOSED").expect("a known word")),
            refunded_amount: Some(amount(300)),
            ..report(Status::Closed)
        };
        let rejected = Decision::Rejected(Rejection::RefundWithoutPayment { to: Status::Closed });
        assert_eq!(decide(&order(Status::Pending), &closed, now()), rejected);
        assert_eq!(
            changed(decide(&order(Status::Succeeded), &closed, now())).refunded_amount,
            300
        );
    }

    #[test]
    fn an_attempts_transaction_gives_way_to_the_one_that_paid() {
        let tried = Order {
            transaction_id: Some(transaction("t1")),
            ..order(Status::Failed)
        };
        let paid = changed(decide(
            &tried,
            &Report {
                transaction_id: Some(transaction("t2")),
                ..report(Status::Succeeded)
            },
            now(),
        ));
        assert_eq!(paid.transaction_id, Some(transaction("t2")));
    }

    #[test]
    fn an_order_expires_when_its_time_is_up_and_never_once_it_is_final() {
        let waiting = order(Status::Processing);
        assert_eq!(
            expire(&waiting, Timestamp::from_unix_ms(waiting.expires_at.unix_ms() - 1)),
            None
        );
        let closed = expire(&waiting, waiting.expires_at).expect("its time is up");
        assert_eq!(
            (closed.status, closed.reason.map(|r| r.to_string())),
            (Status::Closed, Some("expired".into()))
        );
        for status in Status::ALL.into_iter().filter(|status| status.is_final()) {
            assert_eq!(expire(&order(status), now()), None, "{status}");
        }
    }

    #[test]
    fn an_orders_time_of_change_never_runs_backwards() {
        let ahead = order(Status::Pending);
        let after = changed(decide(&ahead, &report(Status::Processing), Timestamp::from_unix_ms(1)));
        assert_eq!(after.updated_at, ahead.updated_at);
    }
}
