//! The table of transitions, all of it, through the real port; then random reports against a plain model of it.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;

use crate::support::App;
use crate::support::merchant::STATUSES;

/// The contract's table, said again.
const ALLOWED: [(&str, &[&str]); 6] = [
    ("pending", &["processing", "succeeded", "failed", "closed"]),
    ("processing", &["pending", "succeeded", "failed", "closed"]),
    ("failed", &["succeeded"]),
    ("closed", &["succeeded"]),
    ("succeeded", &["refunded"]),
    ("refunded", &[]),
];

fn is_allowed(from: &str, to: &str) -> bool {
    ALLOWED
        .iter()
        .any(|(status, next)| *status == from && next.contains(&to))
}

#[tokio::test]
async fn every_move_between_statuses_is_made_repeated_or_rejected_as_the_table_says() {
    let app = App::spawn().await;
    for from in STATUSES {
        for to in STATUSES {
            let order = app.order_at(from).await;
            let before = app.read(&order).await;
            let events = app.events(&order).await.len();
            let answer = app.try_report(&order, json!({ "status": to })).await;
            let after = app.read(&order).await;
            let log = app.events(&order).await;
            let version = before["version"].as_i64().unwrap();
            if from == to {
                assert_eq!((answer.status, answer.json()), (200, before), "{from} -> {to}");
                assert_eq!(log.len(), events, "{from} -> {to}");
            } else if is_allowed(from, to) {
                assert_eq!((answer.status, answer.json()), (200, after.clone()), "{from} -> {to}");
                assert_eq!(answer.header("etag"), format!("\"{}\"", version + 1));
                assert_eq!((&after["status"], &after["version"]), (&json!(to), &json!(version + 1)));
                assert_eq!(
                    after["final"],
                    !["pending", "processing"].contains(&to),
                    "{from} -> {to}"
                );
                assert_eq!(after["late"], from == "closed", "{from} -> {to}");
                assert_eq!(log.len(), events + 1, "{from} -> {to}");
            } else {
                answer.problem(409, "illegal_transition");
                assert_eq!(after, before, "{from} -> {to}");
                let rejected = &log[events];
                assert_eq!(
                    (&rejected["type"], &rejected["reason"]),
                    (&json!("order.rejected"), &json!("illegal_transition"))
                );
                assert_eq!((&rejected["from"], &rejected["to"]), (&json!(from), &json!(to)));
                assert_eq!(rejected["version"], version, "{from} -> {to}");
            }
        }
    }
}

/// A report of a random backend.
#[derive(Debug, Clone)]
struct Said {
    status: &'static str,
    amount: Option<i64>,
    transaction: Option<&'static str>,
    refunded: Option<i64>,
}

/// What the contract says an order knows, told as simply as can be.
#[derive(Debug)]
struct Model {
    status: &'static str,
    version: i64,
    transaction: Option<&'static str>,
    refunded: i64,
    late: bool,
    rejected: usize,
}

impl Model {
    const NEW: Self = Self {
        status: "pending",
        version: 1,
        transaction: None,
        refunded: 0,
        late: false,
        rejected: 0,
    };

    /// Follows the report; the code of the rejection when it must not be followed.
    fn hear(&mut self, said: &Said) -> Result<(), &'static str> {
        let is_paid = ["succeeded", "refunded"].contains(&self.status);
        let another_payment = is_paid && said.transaction.is_some() && self.transaction.is_some();
        let rejection = if said.amount.is_some_and(|amount| amount != 1000) {
            Some("amount_mismatch")
        } else if said.refunded.is_some_and(|refunded| refunded > 1000) {
            Some("refund_exceeds_amount")
        } else if another_payment && said.transaction != self.transaction {
            Some("transaction_mismatch")
        } else if said.status != self.status && !is_allowed(self.status, said.status) {
            Some("illegal_transition")
        } else {
            None
        };
        if let Some(code) = rejection {
            self.rejected += 1;
            return Err(code);
        }
        let transaction = if said.status == self.status {
            self.transaction.or(said.transaction)
        } else {
            said.transaction.or(self.transaction)
        };
        let given_back = match said.refunded {
            None if said.status == "refunded" && self.status != "refunded" => 1000,
            refunded => refunded.unwrap_or(0),
        };
        let refunded = self.refunded.max(given_back);
        if (said.status, transaction, refunded) != (self.status, self.transaction, self.refunded) {
            self.version += 1;
        }
        self.late |= self.status == "closed" && said.status == "succeeded";
        (self.status, self.transaction, self.refunded) = (said.status, transaction, refunded);
        Ok(())
    }
}

fn said() -> impl Strategy<Value = Said> {
    let some = |weight| proptest::option::weighted(weight, Just(()));
    let amounts = (some(0.3), prop_oneof![9 => Just(1000_i64), 1 => Just(999)]);
    let transactions = (some(0.4), prop_oneof![4 => Just("t-1"), 1 => Just("t-2")]);
    let refunds = (some(0.3), prop_oneof![Just(1_i64), Just(400), Just(1000), Just(1001)]);
    (prop::sample::select(&STATUSES[..]), amounts, transactions, refunds).prop_map(
        |(status, amount, transaction, refunded)| Said {
            status,
            amount: amount.0.map(|()| amount.1),
            transaction: transaction.0.map(|()| transaction.1),
            // Refunds of an order that nobody paid are no report but a contradiction; the door refuses them.
            refunded: refunded
                .0
                .filter(|()| ["succeeded", "refunded"].contains(&status))
                .map(|()| refunded.1),
        },
    )
}

async fn order_goes_the_models_way(app: &App, reports: &[Said]) -> Result<(), TestCaseError> {
    let order = app.create_order().await;
    let mut model = Model::NEW;
    for said in reports {
        let mut body = json!({ "status": said.status });
        for (name, value) in [
            ("amount", said.amount.map(Into::into)),
            ("transaction_id", said.transaction.map(Into::into)),
            ("refunded_amount", said.refunded.map(serde_json::Value::from)),
        ] {
            if let Some(value) = value {
                body[name] = value;
            }
        }
        let answer = app.try_report(&order, body).await;
        let expected = model.hear(said);
        let code = answer.json()["code"].as_str().map(str::to_owned);
        prop_assert_eq!(
            (answer.status == 200, code.as_deref()),
            (expected.is_ok(), expected.err())
        );
        let now = app.read(&order).await;
        prop_assert_eq!(&now["status"], model.status);
        prop_assert_eq!(&now["version"], model.version);
        prop_assert_eq!(now["transaction_id"].as_str(), model.transaction);
        prop_assert_eq!(&now["refunded_amount"], model.refunded);
        prop_assert_eq!(&now["late"], model.late);
        prop_assert_eq!(&app.ask(&order).send().await.json()["version"], model.version);
    }
    let events = app.events(&order).await;
    let (accepted, rejected): (Vec<_>, Vec<_>) = events.iter().partition(|event| event["accepted"] == true);
    let versions: Vec<_> = accepted
        .iter()
        .map(|event| event["version"].as_i64().unwrap())
        .collect();
    prop_assert_eq!(versions, (1..=model.version).collect::<Vec<_>>());
    prop_assert_eq!(rejected.len(), model.rejected);
    let late = accepted
        .iter()
        .filter(|event| event["type"] == "order.paid_late")
        .count();
    prop_assert_eq!(late, usize::from(model.late));
    for event in &accepted {
        prop_assert_eq!(
            event["from"] == event["to"],
            event["type"] == "order.updated",
            "{}",
            event
        );
    }
    let payments = accepted
        .iter()
        .filter(|event| event["type"] == "order.succeeded" || event["type"] == "order.paid_late")
        .count();
    prop_assert_eq!(payments, usize::from(["succeeded", "refunded"].contains(&model.status)));
    Ok(())
}

#[test]
fn an_order_goes_the_way_of_a_plain_model_whatever_is_reported() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let app = runtime.block_on(App::spawn());
    let config = Config {
        cases: 64,
        failure_persistence: None,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&prop::collection::vec(said(), 1..14), |reports| {
        runtime.block_on(order_goes_the_models_way(&app, &reports))
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}
