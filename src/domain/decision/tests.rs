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
