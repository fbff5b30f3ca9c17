//! The status document and the headers around it: what every answer to a poll has, and what never changes within a version.

use crate::support::{Answer, App, Order};
use serde_json::json;

/// The contract's members, in the document's order.
const MEMBERS: [&str; 10] = [
    "order_id",
    "status",
    "reason",
    "final",
    "late",
    "version",
    "amount",
    "currency",
    "paid_at",
    "updated_at",
];

async fn poll(app: &App, order: &Order) -> Answer {
    let answer = app.ask(order).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer
}

#[tokio::test]
async fn the_document_has_exactly_the_contracts_members() {
    let app = App::spawn().await;
    let order = app
        .create_order_with(json!({ "amount": 4200, "currency": "USD" }))
        .await;
    let answer = poll(&app, &order).await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    let members: Vec<&String> = document.as_object().unwrap().keys().collect();
    let mut expected = MEMBERS;
    expected.sort_unstable();
    assert_eq!(members, expected);
    let fields = [
        "order_id", "status", "reason", "final", "late", "version", "amount", "currency", "paid_at",
    ];
    let expected = json!([order.id, "pending", null, false, false, 1, 4200, "USD", null]);
    assert_eq!(json!(fields.map(|field| &document[field])), expected);
}

#[tokio::test]
async fn times_are_utc_with_milliseconds() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    let document = poll(&app, &order).await.json();
    for field in ["paid_at", "updated_at"] {
        let text = document[field].as_str().unwrap();
        assert_eq!(text.len(), "2025-01-31T12:00:00.000Z".len(), "{field}: {text}");
        chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.3fZ").unwrap_or_else(|_| panic!("{text}"));
    }
}

#[tokio::test]
async fn the_bytes_stay_the_same_over_many_polls_until_the_version_changes() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let first = poll(&app, &order).await;
    for _ in 0..50 {
        let again = poll(&app, &order).await;
        assert_eq!((&again.text, again.header("etag")), (&first.text, "\"1\""));
    }
    // A repeated report is no change: neither version nor bytes move.
    app.report(&order, "pending").await;
    assert_eq!(poll(&app, &order).await.text, first.text);
    app.report(&order, "processing").await;
    let changed = poll(&app, &order).await;
    assert_ne!(changed.text, first.text);
    assert_eq!((changed.header("etag"), changed.version()), ("\"2\"", 2));
}

#[tokio::test]
async fn the_bytes_are_the_same_from_memory_from_another_replica_and_after_a_restart() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    poll(&app, &order).await;
    let report =
        json!({ "status": "succeeded", "reason": "付款成功 \"ok\"", "paid_at": "2025-01-31T12:00:00.123+08:00" });
    assert_eq!(app.put(&order.status_path(), &report).await.status, 200);
    // This one was rendered from the report; the others are rendered from the database.
    let published = poll(&app, &order).await.text;
    let replica = app.another().await;
    assert_eq!(poll(&replica, &order).await.text, published);
    drop(replica);
    let app = app.restart().await;
    assert_eq!(poll(&app, &order).await.text, published);
}

#[tokio::test]
async fn a_restart_finds_orders_secrets_keys_and_logs() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    let before = (poll(&app, &order).await.text, app.events(&order).await);
    let app = app.restart().await;
    assert_eq!((poll(&app, &order).await.text, app.events(&order).await), before);
    app.report(&order, "succeeded").await;
    assert_eq!(poll(&app, &order).await.version(), 3);
}

/// What a 200 and a 304 of the same moment have in common (RFC 9110 §15.4.5).
fn common_headers(answer: &Answer) -> [&str; 4] {
    ["etag", "cache-control", "vary", "x-poll-interval"].map(|name| answer.header(name))
}

#[tokio::test]
async fn every_answer_has_the_validators_and_an_open_orders_answer_has_the_pace() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let full = poll(&app, &order).await;
    let unchanged = app.ask(&order).if_none_match("\"1\"").send().await;
    assert_eq!(unchanged.status, 304);
    for answer in [&full, &unchanged] {
        let [etag, cache_control, vary, interval] = common_headers(answer);
        assert_eq!((etag, cache_control), ("\"1\"", "private, no-cache"));
        for name in ["Authorization", "Accept", "Prefer"] {
            assert!(vary.split(", ").any(|member| member == name), "{vary}");
        }
        assert!(interval.parse::<u32>().is_ok_and(|seconds| seconds >= 1), "{interval}");
    }
}

#[tokio::test]
async fn a_final_orders_answers_name_no_pace() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "failed").await;
    let full = poll(&app, &order).await;
    let unchanged = app.ask(&order).if_none_match("\"2\"").send().await;
    assert_eq!((full.json()["final"].as_bool(), unchanged.status), (Some(true), 304));
    for answer in [full, unchanged] {
        assert_eq!(common_headers(&answer)[..2], ["\"2\"", "private, no-cache"]);
        assert!(!answer.has_header("x-poll-interval"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_304_has_no_body_and_says_nothing_of_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let unchanged = app.ask(&order).if_none_match("\"1\"").send().await;
    assert_eq!((unchanged.status, unchanged.text.as_str()), (304, ""));
    assert!(!unchanged.has_header("content-type"), "{unchanged:?}");
    assert!(matches!(unchanged.header("content-length"), "" | "0"), "{unchanged:?}");
}

#[tokio::test]
async fn head_answers_as_get_does_without_the_body() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let get = poll(&app, &order).await;
    let head = app.ask_head(&order).send().await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.text.len().to_string());
    assert_eq!(head.header("content-type"), get.header("content-type"));
    assert_eq!(common_headers(&head)[..3], common_headers(&get)[..3]);
    assert_eq!(app.ask_head(&order).if_none_match("\"1\"").send().await.status, 304);
}

#[tokio::test]
async fn head_is_held_as_get_is() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask_head(&order).if_none_match("\"1\"").query("wait", 25).spawn();
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    let answer = held.await.unwrap();
    assert_eq!(
        (answer.status, answer.header("etag"), answer.text.as_str()),
        (200, "\"2\"", "")
    );
}

#[tokio::test]
async fn the_merchants_api_key_opens_the_document_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let as_merchant = app.ask_with(&order, &app.api_key).send().await;
    assert_eq!(
        (as_merchant.status, as_merchant.text),
        (200, poll(&app, &order).await.text)
    );
}

#[tokio::test]
async fn the_client_secret_may_stand_in_the_query() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let answer = app
        .ask_without_credentials(&order)
        .query("client_secret", &order.secret)
        .send()
        .await;
    assert_eq!((answer.status, answer.version()), (200, 1));
}

#[tokio::test]
async fn the_header_wins_over_the_query() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let right_in_header = app.ask(&order).query("client_secret", "pqs_wrong").send().await;
    assert_eq!(right_in_header.status, 200);
    let wrong_in_header = app
        .ask_with(&order, "pqs_wrong")
        .query("client_secret", &order.secret)
        .send()
        .await;
    wrong_in_header.problem(404, "order_not_found");
}

#[tokio::test]
async fn without_credentials_the_answer_is_401_and_says_how_to_send_them() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let answer = app.ask_without_credentials(&order).send().await;
    answer.problem(401, "unauthorized");
    assert!(answer.header("www-authenticate").starts_with("Bearer"), "{answer:?}");
    let basic = app
        .ask_without_credentials(&order)
        .header("authorization", "Basic cHE6cHE=")
        .send()
        .await;
    basic.problem(401, "unauthorized");
}
