//! Reports of a status: repeats, late payments, contradictions, refunds, the providers' words, times of payment.

use serde_json::json;

use crate::support::App;
use crate::support::merchant::{now_ms, rfc3339, unix_ms};

#[tokio::test]
async fn a_report_sent_again_changes_nothing_and_is_no_error() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let body = json!({
        "status": "succeeded", "transaction_id": "t-1", "amount": 1000, "currency": "CNY", "paid_at": rfc3339(now_ms()),
        "refunded_amount": 300, "reason": "thanks",
    });
    let first = app.try_report(&order, body.clone()).await;
    for _ in 0..3 {
        let again = app.try_report(&order, body.clone()).await;
        assert_eq!(
            (again.status, &again.text, again.header("etag")),
            (200, &first.text, "\"2\"")
        );
    }
    assert_eq!(app.events(&order).await.len(), 2);
}

#[tokio::test]
async fn a_report_by_out_trade_no_is_the_same_report() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let path = format!("/v1/orders/out-trade-no/{}/status", order.out_trade_no);
    let answer = app.put(&path, &json!({ "status": "succeeded" })).await;
    assert_eq!((answer.status, answer.header("etag")), (200, "\"2\""));
    assert_eq!(answer.json(), app.read(&order).await);
    assert_eq!(app.ask(&order).send().await.version(), 2);
    app.put(&path, &json!({ "status": "pending" }))
        .await
        .problem(409, "illegal_transition");
    assert_eq!(app.events(&order).await.len(), 3);
}

#[tokio::test]
async fn a_payment_after_closing_is_late_and_has_an_event_of_its_own() {
    let app = App::spawn().await;
    let order = app.order_at("closed").await;
    let paid = app
        .try_report(&order, json!({ "status": "succeeded", "transaction_id": "t-1" }))
        .await
        .json();
    assert_eq!(
        (&paid["late"], &paid["status"], &paid["version"]),
        (&json!(true), &json!("succeeded"), &json!(3))
    );
    let event = app.events(&order).await.pop().unwrap();
    assert_eq!(
        (&event["type"], &event["from"]),
        (&json!("order.paid_late"), &json!("closed"))
    );
    assert_eq!(
        (&event["to"], &event["data"]["late"]),
        (&json!("succeeded"), &json!(true))
    );
    assert_eq!(app.ask(&order).send().await.json()["late"], true);
    let refunded = app.report(&order, "refunded").await;
    assert_eq!((&refunded["late"], &refunded["version"]), (&json!(true), &json!(4)));
    assert_eq!(app.events(&order).await.pop().unwrap()["type"], "order.refunded");
}

#[tokio::test]
async fn an_order_that_expired_can_still_be_paid_late() {
    let app = App::spawn().await;
    let order = app.create_order_with(json!({ "expires_in": 1 })).await;
    let closed = app.ask(&order).query("until", "final").query("wait", 25).send().await;
    assert_eq!(closed.json()["reason"], "expired");
    let paid = app.report(&order, "succeeded").await;
    assert_eq!((&paid["late"], &paid["version"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn only_a_payment_is_logged_as_paid_late() {
    let app = App::spawn().await;
    let order = app.order_at("closed").await;
    // A repeated notice of the closing that brings the provider's number of the attempt.
    let closed = app
        .try_report(&order, json!({ "status": "closed", "transaction_id": "t-1" }))
        .await
        .json();
    assert_eq!(
        (&closed["status"], &closed["transaction_id"], &closed["late"]),
        (&json!("closed"), &json!("t-1"), &json!(false))
    );
    assert_eq!(app.events(&order).await.pop().unwrap()["type"], "order.updated");
}

#[tokio::test]
async fn a_report_about_something_else_is_rejected_whatever_the_status() {
    let app = App::spawn().await;
    for status in ["pending", "succeeded", "closed"] {
        let order = app.order_at(status).await;
        let before = app.read(&order).await;
        for (name, value, code) in [
            ("amount", json!(999), "amount_mismatch"),
            ("amount", json!(100_000), "amount_mismatch"),
            ("currency", json!("USD"), "currency_mismatch"),
            ("refunded_amount", json!(1001), "refund_exceeds_amount"),
        ] {
            let mut body = json!({ "status": "succeeded", "transaction_id": "t-1" });
            body[name] = value.clone();
            let problem = app.try_report(&order, body).await.problem(409, code);
            assert_eq!(problem["field"], name);
            let event = app.events(&order).await.pop().unwrap();
            assert_eq!((&event["reason"], &event["data"][name]), (&json!(code), &value));
            assert_eq!(event["data"]["transaction_id"], "t-1");
        }
        assert_eq!(app.read(&order).await, before);
    }
}

#[tokio::test]
async fn a_paid_order_keeps_the_transaction_that_paid_it() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let say = async |status: &str, transaction: &str| {
        app.try_report(&order, json!({ "status": status, "transaction_id": transaction }))
            .await
    };
    assert_eq!(say("failed", "t-0").await.json()["transaction_id"], "t-0");
    assert_eq!(say("succeeded", "t-1").await.json()["transaction_id"], "t-1");
    for status in ["succeeded", "refunded"] {
        let problem = say(status, "t-2").await.problem(409, "transaction_mismatch");
        assert_eq!(problem["field"], "transaction_id");
    }
    assert_eq!(say("refunded", "t-1").await.json()["version"], 4);
}

#[tokio::test]
async fn a_repeat_may_bring_the_transaction_that_was_missing() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    let named = app
        .try_report(&order, json!({ "status": "succeeded", "transaction_id": "t-1" }))
        .await;
    assert_eq!((&named.json()["transaction_id"], named.version()), (&json!("t-1"), 3));
    assert_eq!(app.report(&order, "succeeded").await["version"], 3);
}

#[tokio::test]
async fn partial_refunds_are_counted_upwards_while_the_order_stays_succeeded() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    for (sum, counted, version) in [(300, 300, 3), (300, 300, 3), (200, 300, 3), (1000, 1000, 4)] {
        let answer = app
            .try_report(&order, json!({ "status": "succeeded", "refunded_amount": sum }))
            .await;
        assert_eq!(
            (&answer.json()["refunded_amount"], answer.version()),
            (&json!(counted), version)
        );
        assert_eq!(answer.json()["status"], "succeeded");
    }
}

#[tokio::test]
async fn a_refund_is_the_whole_amount_unless_it_names_another() {
    let app = App::spawn().await;
    let whole = app.order_at("succeeded").await;
    assert_eq!(app.report(&whole, "refunded").await["refunded_amount"], 1000);
    let part = app.order_at("succeeded").await;
    let answer = app
        .try_report(&part, json!({ "status": "refunded", "refunded_amount": 400 }))
        .await
        .json();
    assert_eq!(
        (&answer["status"], &answer["refunded_amount"]),
        (&json!("refunded"), &json!(400))
    );
}

#[tokio::test]
async fn each_providers_word_is_the_status_that_the_contract_says() {
    let app = App::spawn().await;
    for (word, from, to) in [
        ("NOTPAY", "processing", "pending"),
        ("USERPAYING", "pending", "processing"),
        ("ACCEPT", "pending", "processing"),
        ("SUCCESS", "pending", "succeeded"),
        ("PAYERROR", "pending", "failed"),
        ("CLOSED", "pending", "closed"),
        ("REVOKED", "pending", "closed"),
        ("REFUND", "succeeded", "refunded"),
        ("WAIT_BUYER_PAY", "processing", "pending"),
        ("TRADE_SUCCESS", "pending", "succeeded"),
        ("TRADE_FINISHED", "pending", "succeeded"),
        ("TRADE_CLOSED", "pending", "closed"),
        ("TRADE_CLOSED", "processing", "closed"),
        ("TRADE_CLOSED", "succeeded", "refunded"),
    ] {
        let order = app.order_at(from).await;
        let answer = app.try_report(&order, json!({ "trade_state": word })).await;
        assert_eq!((answer.status, &answer.json()["status"]), (200, &json!(to)), "{word}");
        assert_eq!(app.events(&order).await.pop().unwrap()["to"], to, "{word}");
        let again = app.try_report(&order, json!({ "trade_state": word })).await;
        assert_eq!((again.status, again.text), (200, answer.text), "{word} again");
    }
}

#[tokio::test]
async fn a_word_of_no_provider_is_refused_with_the_words_that_there_are() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for word in ["success", "PAID", "", "TRADE_CLOSED "] {
        let detail = app
            .try_report(&order, json!({ "trade_state": word }))
            .await
            .invalid("trade_state");
        assert!(
            detail.contains("USERPAYING") && detail.contains("TRADE_FINISHED"),
            "{detail}"
        );
    }
}

#[tokio::test]
async fn a_payment_has_the_time_that_was_reported_else_the_time_of_the_report() {
    let app = App::spawn().await;
    let told = app.create_order().await;
    let paid = json!({ "status": "succeeded", "paid_at": "2026-01-31T08:30:00.123456+08:00" });
    assert_eq!(
        app.try_report(&told, paid).await.json()["paid_at"],
        "2026-01-31T00:30:00.123Z"
    );
    let untold = app.create_order().await;
    let before = now_ms();
    let paid = app.report(&untold, "succeeded").await;
    assert!((before..=now_ms()).contains(&unix_ms(&paid["paid_at"])), "{paid}");
    assert_eq!(app.report(&untold, "refunded").await["paid_at"], paid["paid_at"]);
}

#[tokio::test]
async fn a_payment_from_the_future_is_refused_but_for_a_clock_that_is_a_little_ahead() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for ahead in [3_600_000, 400_000] {
        let body = json!({ "status": "succeeded", "paid_at": rfc3339(now_ms() + ahead) });
        app.try_report(&order, body).await.invalid("paid_at");
    }
    assert_eq!(app.read(&order).await["version"], 1);
    let at = rfc3339(now_ms() + 60_000);
    let paid = app
        .try_report(&order, json!({ "status": "succeeded", "paid_at": at }))
        .await;
    assert_eq!((paid.status, &paid.json()["paid_at"]), (200, &json!(at)));
}
