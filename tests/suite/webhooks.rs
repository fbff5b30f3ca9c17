//! Webhooks: what happens to an order is posted to the merchant's endpoints, signed, in order, and to nobody else.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::merchant::now_ms;
use crate::support::webhooks::is_signed_by;
use crate::support::{Answer, App, Receiver, Reply, eventually};

#[tokio::test]
async fn each_change_of_an_order_arrives_as_its_log_has_it_signed_and_in_order() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    app.report(&order, "succeeded").await;
    app.try_report(&order, json!({ "status": "failed" })).await;
    let requests = receiver.wait_for(4).await;
    assert_eq!(
        requests
            .iter()
            .map(crate::support::receiver::Received::json)
            .collect::<Vec<_>>(),
        app.events(&order).await
    );
    for request in &requests {
        assert!(request.head.starts_with("POST /hook HTTP/1.1\r\n"), "{}", request.head);
        assert_eq!(request.header("content-type"), "application/json");
        assert!(
            request.header("user-agent").starts_with("payquery/"),
            "{}",
            request.head
        );
        assert_eq!(request.header("webhook-id"), request.json()["id"]);
        let at: i64 = request.header("webhook-timestamp").parse().unwrap();
        assert!((now_ms() / 1000 - at).abs() < 60, "{at}");
        assert!(is_signed_by(request, &endpoint.secret) && !is_signed_by(request, "whsec_AAAA"));
        assert!(
            !request.header("webhook-signature").contains(' '),
            "one secret, one signature"
        );
    }
    let deliveries = app.wait_for_deliveries(&endpoint, 4).await;
    for (delivery, request) in deliveries.iter().rev().zip(&requests) {
        assert_eq!(delivery["event_id"], request.json()["id"]);
        assert_eq!(
            (&delivery["type"], &delivery["order_id"]),
            (&request.json()["type"], &json!(order.id))
        );
        assert_eq!(
            (&delivery["state"], &delivery["next_attempt_at"]),
            (&json!("delivered"), &Value::Null)
        );
        assert!(delivery["done_at"].is_string() && delivery["endpoint_id"] == endpoint.id.as_str());
        let attempts = delivery["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!(
            (&attempts[0]["number"], &attempts[0]["status"], &attempts[0]["error"]),
            (&json!(1), &json!(200), &Value::Null)
        );
    }
}

#[tokio::test]
async fn an_endpoint_is_sent_the_types_that_it_names_and_each_endpoint_its_own() {
    let app = App::spawn_with_webhooks().await;
    let (paid, all) = (Receiver::start_willing().await, Receiver::start_willing().await);
    let wanting = app
        .create_endpoint_with(json!({ "url": paid.url, "events": ["order.succeeded", "order.paid_late"] }))
        .await;
    app.create_endpoint(&all).await;
    let order = app.order_at("succeeded").await;
    let late = app.order_at("closed").await;
    app.report(&late, "succeeded").await;
    assert_eq!(all.wait_for(5).await.len(), 5);
    let kinds: Vec<_> = paid
        .wait_for(2)
        .await
        .iter()
        .map(|request| (request.order(), request.kind()))
        .collect();
    let (mut expected, mut kinds) = (
        vec![
            (order.id, "order.succeeded".to_owned()),
            (late.id.clone(), "order.paid_late".to_owned()),
        ],
        kinds,
    );
    expected.sort();
    kinds.sort();
    assert_eq!(kinds, expected);
    // What is named anew counts from then on.
    app.patch(&wanting.path(""), &json!({ "events": ["order.refunded"] }))
        .await;
    app.report(&late, "refunded").await;
    all.wait_for(6).await;
    assert_eq!(paid.wait_for(3).await[2].kind(), "order.refunded");
    app.patch(&wanting.path(""), &json!({ "events": null })).await;
    app.create_order().await;
    assert_eq!(paid.wait_for(4).await[3].kind(), "order.created");
}

/// The one who ships when money came: each further delivery, with an id of its own, would be another parcel.
#[tokio::test]
async fn an_order_that_is_paid_and_refunded_in_two_parts_is_told_once_to_whoever_wants_payments() {
    let app = App::spawn_with_webhooks().await;
    let (shipping, ledger) = (Receiver::start_willing().await, Receiver::start_willing().await);
    let wanting = app
        .create_endpoint_with(json!({ "url": shipping.url, "events": ["order.succeeded"] }))
        .await;
    app.create_endpoint(&ledger).await;
    let order = app.order_at("succeeded").await;
    for sum in [300, 500] {
        let part = json!({ "status": "succeeded", "refunded_amount": sum });
        assert_eq!(app.try_report(&order, part).await.status, 200);
    }
    app.report(&order, "refunded").await;
    let told = ledger.wait_for(5).await;
    // All of the order's events are queued by then, whoever wants them.
    let deliveries = app.wait_for_deliveries(&wanting, 1).await;
    assert_eq!(
        (deliveries.len(), &deliveries[0]["type"]),
        (1, &json!("order.succeeded"))
    );
    let payments = shipping.received();
    assert_eq!((payments.len(), payments[0].order()), (1, order.id));
    let told: Vec<_> = told[2..]
        .iter()
        .map(|request| (request.kind(), request.json()["data"]["refunded_amount"].as_i64()))
        .collect();
    let expected = [("order.updated", 300), ("order.updated", 500), ("order.refunded", 1000)];
    assert_eq!(told, expected.map(|(kind, sum)| (kind.to_owned(), Some(sum))));
}

#[tokio::test]
async fn whoever_wants_events_is_sent_those_from_then_on() {
    let app = App::spawn_with_webhooks().await;
    let before = app.order_at("succeeded").await;
    let receiver = Receiver::start_willing().await;
    app.create_endpoint(&receiver).await;
    app.report(&before, "refunded").await;
    let after = app.create_order().await;
    let requests = receiver.wait_for(2).await;
    let mut seen: Vec<_> = requests
        .iter()
        .map(|request| (request.order(), request.kind()))
        .collect();
    seen.sort();
    let mut expected = vec![
        (before.id, "order.refunded".to_owned()),
        (after.id, "order.created".to_owned()),
    ];
    expected.sort();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn another_merchants_orders_are_sent_to_another_merchant() {
    let app = App::spawn_with_webhooks().await;
    let (ours, theirs) = (Receiver::start_willing().await, Receiver::start_willing().await);
    app.create_endpoint(&ours).await;
    let other = app.key_of("other").await;
    let create = |path: &str, body: Value| {
        let request = app.http.request(Method::POST, app.url(path)).bearer_auth(&other);
        Answer::to(request.json(&body))
    };
    assert_eq!(
        create("/v1/webhook-endpoints", json!({ "url": theirs.url }))
            .await
            .status,
        201
    );
    let order = create(
        "/v1/orders",
        json!({ "out_trade_no": "B-1", "amount": 1, "currency": "EUR" }),
    )
    .await
    .json();
    let own = app.create_order().await;
    assert_eq!(theirs.wait_for(1).await[0].order(), order["id"].as_str().unwrap());
    assert_eq!(ours.wait_for(1).await[0].order(), own.id);
    assert_eq!((ours.received().len(), theirs.received().len()), (1, 1));
}

#[tokio::test]
async fn while_a_secret_is_rotated_both_secrets_verify_every_delivery() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start(|_| Reply::Held(Box::new(Reply::status(503)))).await;
    let endpoint = app.create_endpoint(&receiver).await;
    let order = app.create_order().await;
    // One attempt with the old secret is under way, and fails after the rotation.
    receiver.wait_for(1).await;
    let rotated = app.post(&endpoint.path("/rotate-secret"), &json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let new = rotated.json()["secret"].as_str().unwrap().to_owned();
    assert!(rotated.json()["previous_secret_until"].is_string() && new != endpoint.secret);
    receiver.answer_with(|_| Reply::ok());
    receiver.let_go(1);
    app.report(&order, "succeeded").await;
    let requests = receiver.wait_for(3).await;
    assert!(is_signed_by(&requests[0], &endpoint.secret) && !is_signed_by(&requests[0], &new));
    for request in &requests[1..] {
        assert!(
            is_signed_by(request, &endpoint.secret) && is_signed_by(request, &new),
            "{}",
            request.head
        );
    }
    // When the time of the old one is over, the new one signs alone.
    sqlx::query("update webhook_endpoints set previous_secret_until = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    app.report(&order, "refunded").await;
    let last = &receiver.wait_for(4).await[3];
    assert!(is_signed_by(last, &new) && !is_signed_by(last, &endpoint.secret));
}

#[tokio::test]
async fn a_test_event_is_delivered_and_reported_like_any_and_stands_in_no_log() {
    let app = App::spawn_with_webhooks().await;
    let (tried, other) = (
        Receiver::start(|_| Reply::Answer(201, "", "hello".into())).await,
        Receiver::start_willing().await,
    );
    let endpoint = app
        .create_endpoint_with(json!({ "url": tried.url, "events": ["order.failed"] }))
        .await;
    app.create_endpoint(&other).await;
    let delivery = app.try_endpoint(&endpoint).await;
    assert_eq!(
        (&delivery["state"], &delivery["type"]),
        (&json!("delivered"), &json!("webhook_endpoint.test"))
    );
    let attempt = &delivery["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["answer"]), (&json!(201), &json!("hello")));
    let request = &tried.wait_for(1).await[0];
    let event = request.json();
    assert_eq!(event["data"], json!({ "endpoint_id": endpoint.id }));
    for member in ["order_id", "out_trade_no", "version", "from", "to", "reason"] {
        assert_eq!(event[member], Value::Null, "{member}");
    }
    assert_eq!(
        (&event["source"], &event["accepted"]),
        (&json!("service"), &json!(true))
    );
    assert!(is_signed_by(request, &endpoint.secret));
    app.create_order().await;
    assert_eq!(other.wait_for(1).await.len(), 1, "only the order's event");
    let count: i64 = sqlx::query_scalar("select count(*) from order_events")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_disabled_endpoint_is_sent_nothing_until_it_is_enabled() {
    let app = App::spawn_with_webhooks().await;
    let (receiver, other) = (Receiver::start_willing().await, Receiver::start_willing().await);
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_endpoint(&other).await;
    let disabled = app.patch(&endpoint.path(""), &json!({ "enabled": false })).await.json();
    assert_eq!(
        (&disabled["enabled"], &disabled["disabled_reason"]),
        (&json!(false), &json!("merchant"))
    );
    let order = app.create_order().await;
    other.wait_for(1).await;
    for (method, path) in [(Method::POST, "/test"), (Method::POST, "/recover")] {
        let body = json!({ "since": "2026-01-01T00:00:00Z" });
        let answer = Answer::to(app.merchant(method, &endpoint.path(path)).json(&body)).await;
        // (The range is looked at first.)
        assert!([400, 409].contains(&answer.status), "{}", answer.text);
    }
    app.post(&endpoint.path("/test"), &json!({}))
        .await
        .problem(409, "webhook_endpoint_disabled");
    let enabled = app.patch(&endpoint.path(""), &json!({ "enabled": true })).await.json();
    assert_eq!(
        (&enabled["enabled"], &enabled["disabled_at"]),
        (&json!(true), &Value::Null)
    );
    app.report(&order, "succeeded").await;
    assert_eq!(receiver.wait_for(1).await[0].kind(), "order.succeeded");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_stop_waits_for_the_attempts_in_hand_and_marks_them() {
    let app = App::spawn_with_webhooks().await;
    let receiver = Receiver::start(|_| Reply::Late(Duration::from_millis(300), Box::new(Reply::ok()))).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    receiver.wait_for(1).await;
    let app = app.restart().await;
    let delivery = &app.deliveries(&endpoint).await[0];
    assert_eq!(delivery["state"], "delivered", "{delivery}");
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn the_metrics_tell_what_waits_and_what_came_of_the_attempts() {
    let app = App::builder().webhooks("1h").spawn().await;
    let (good, bad) = (
        Receiver::start_willing().await,
        Receiver::start(|_| Reply::status(500)).await,
    );
    app.create_endpoint(&good).await;
    app.create_endpoint(&bad).await;
    app.create_order().await;
    let attempts = async |outcome: &str| app.metric("payquery_webhook_attempts_total", outcome).await;
    eventually(
        async || (attempts("\"delivered\"").await, attempts("\"failed\"").await),
        |got| *got == (1.0, 1.0),
    )
    .await;
    let webhooks = "channel=\"webhooks\"";
    let backlog = async || app.metric("payquery_delivery_backlog", webhooks).await;
    eventually(backlog, |backlog| *backlog == 1.0).await;
    assert!(app.metric("payquery_delivery_oldest_seconds", webhooks).await > 0.0);
    assert_eq!(app.metric("payquery_delivery_failures_total", webhooks).await, 1.0);
    assert!(app.metric("payquery_delivery_lag_seconds", webhooks).await < 5.0);
}
