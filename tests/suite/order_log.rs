//! An order's log: what changed, from what, to what, by whom; rejected moves and what they claimed.

use serde_json::{Value, json};

use crate::support::merchant::{STATUSES, rfc3339};
use crate::support::{Answer, App, Order};

#[tokio::test]
async fn a_log_begins_with_the_creation() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let created = app.read(&order).await;
    let events = app.events(&order).await;
    assert_eq!(events.len(), 1);
    let expected = json!({
        "id": events[0]["id"], "type": "order.created", "order_id": order.id, "out_trade_no": order.out_trade_no,
        "version": 1, "from": null, "to": "pending", "source": "merchant", "accepted": true, "reason": null,
        "at": created["created_at"],
        "data": { "amount": 1000, "currency": "CNY", "expires_at": created["expires_at"] },
    });
    assert_eq!(events[0], expected);
}

#[tokio::test]
async fn each_change_is_in_the_log_as_it_was_answered() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut answered = Vec::new();
    for body in [
        json!({ "status": "processing" }),
        json!({ "status": "failed", "reason": "no funds", "transaction_id": "t-0" }),
        json!({ "status": "succeeded", "transaction_id": "t-1" }),
        json!({ "status": "succeeded", "refunded_amount": 300 }),
        json!({ "status": "refunded", "reason": "returned" }),
    ] {
        answered.push(app.try_report(&order, body).await.json());
    }
    let events = app.events(&order).await;
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = ["created", "processing", "failed", "succeeded", "updated", "refunded"];
    assert_eq!(types, expected.map(|kind| format!("order.{kind}")));
    let mut from = json!("pending");
    for (event, order) in events[1..].iter().zip(&answered) {
        assert_eq!(event["from"], from, "{event}");
        assert_eq!((&event["to"], &event["at"]), (&order["status"], &order["updated_at"]));
        for name in ["version", "reason", "out_trade_no"] {
            assert_eq!(event[name], order[name], "{name}");
        }
        for name in [
            "amount",
            "currency",
            "refunded_amount",
            "transaction_id",
            "paid_at",
            "late",
        ] {
            assert_eq!(event["data"][name], order[name], "{name}: {event}");
        }
        assert_eq!(
            (&event["accepted"], &event["source"]),
            (&json!(true), &json!("merchant"))
        );
        from = event["to"].clone();
    }
    assert_eq!(answered.last().unwrap()["version"], 6);
}

/// Whoever acts on a status (ships when money came) must not be told of it again.
#[tokio::test]
async fn what_is_added_to_an_order_while_its_status_stays_is_an_update_and_no_second_time_of_that_status() {
    let app = App::spawn().await;
    for status in STATUSES {
        let order = app.order_at(status).await;
        let before = app.events(&order).await;
        let mut additions = vec![json!({ "status": status, "transaction_id": "t-1" })];
        if status == "succeeded" {
            additions.extend([300, 500].map(|sum| json!({ "status": status, "refunded_amount": sum })));
        }
        for addition in &additions {
            let answer = app.try_report(&order, addition.clone()).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let event = app.events(&order).await.pop().unwrap();
            assert_eq!(event["type"], "order.updated", "{event}");
            assert_eq!(
                (&event["from"], &event["to"], &event["version"]),
                (&json!(status), &json!(status), &answer.json()["version"])
            );
            for name in ["transaction_id", "refunded_amount"] {
                assert_eq!(event["data"][name], answer.json()[name], "{event}");
            }
            app.try_report(&order, addition.clone()).await;
        }
        let events = app.events(&order).await;
        assert_eq!(events.len(), before.len() + additions.len(), "a repeat is nothing");
        assert_eq!(events[..before.len()], before);
    }
}

/// A report of `refunded` may name less than the whole amount, and a later one more.
#[tokio::test]
async fn a_refund_that_grows_after_the_order_is_refunded_is_an_update() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    for sum in [400, 1000] {
        app.try_report(&order, json!({ "status": "refunded", "refunded_amount": sum }))
            .await;
    }
    let events = app.events(&order).await;
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types[2..], ["order.refunded", "order.updated"]);
}

#[tokio::test]
async fn a_rejected_move_is_in_the_log_with_its_reason_and_what_it_claimed() {
    let app = App::spawn().await;
    let order = app.order_at("failed").await;
    let paid_at = rfc3339(1_767_225_600_000);
    let claims = json!({
        "amount": 999, "currency": "USD", "refunded_amount": 5, "transaction_id": "t-9", "paid_at": paid_at,
        "reason": "said so",
    });
    let mut body = claims.clone();
    body["status"] = json!("succeeded");
    app.try_report(&order, body).await.problem(409, "amount_mismatch");
    let rejected = app.events(&order).await.pop().unwrap();
    let expected = json!({
        "id": rejected["id"], "type": "order.rejected", "order_id": order.id, "out_trade_no": order.out_trade_no,
        "version": 2, "from": "failed", "to": "succeeded", "source": "merchant", "accepted": false,
        "reason": "amount_mismatch", "at": rejected["at"], "data": claims,
    });
    assert_eq!(rejected, expected);
    assert_eq!(app.read(&order).await["version"], 2);
}

#[tokio::test]
async fn each_rejection_is_logged_however_often_the_same_is_claimed() {
    let app = App::spawn().await;
    let order = app.order_at("refunded").await;
    for _ in 0..3 {
        app.try_report(&order, json!({ "status": "closed" }))
            .await
            .problem(409, "illegal_transition");
    }
    let events = app.events(&order).await;
    assert_eq!(events.iter().filter(|event| event["accepted"] == false).count(), 3);
    let ids: std::collections::HashSet<_> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), events.len());
}

#[tokio::test]
async fn a_repeat_and_a_failed_precondition_leave_no_trace_in_the_log() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    app.report(&order, "succeeded").await;
    let path = format!("/v1/orders/{}/status", order.id);
    let stale = app.merchant(reqwest::Method::PUT, &path).header("if-match", "\"1\"");
    Answer::to(stale.json(&json!({ "status": "refunded" })))
        .await
        .problem(412, "precondition_failed");
    app.put(&path, &json!({ "status": "paid" })).await.invalid("status");
    assert_eq!(app.events(&order).await.len(), 2);
}

async fn log_of(app: &App) -> (Order, Vec<Value>) {
    let order = app.create_order().await;
    for status in ["processing", "pending", "processing", "refunded", "succeeded"] {
        app.try_report(&order, json!({ "status": status })).await;
    }
    let events = app.events(&order).await;
    assert_eq!(events.len(), 6);
    (order, events)
}

#[tokio::test]
async fn a_log_is_read_page_by_page_oldest_first_and_goes_on_when_more_happens() {
    let app = App::spawn().await;
    let (order, mut events) = log_of(&app).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = app
            .get(&format!("/v1/orders/{}/events?limit=2{after}", order.id))
            .await
            .json();
        seen.extend(page["data"].as_array().unwrap().clone());
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        after = format!("&cursor={cursor}");
        if seen.len() == 4 {
            app.report(&order, "refunded").await;
            events = app.events(&order).await;
        }
    }
    assert_eq!((seen.len(), &seen), (7, &events));
}

#[tokio::test]
async fn pages_of_a_log_have_the_same_bounds_as_lists() {
    let app = App::spawn().await;
    let (order, _) = log_of(&app).await;
    let path = format!("/v1/orders/{}/events", order.id);
    let whole = app.get(&format!("{path}?limit=6")).await.json();
    assert_eq!(
        (whole["data"].as_array().unwrap().len(), &whole["next_cursor"]),
        (6, &Value::Null)
    );
    app.create_order().await;
    let list = app.get("/v1/orders?limit=1").await.json();
    let order_cursor = format!("cursor={}", list["next_cursor"].as_str().unwrap());
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=junk", "cursor"),
        (&order_cursor, "cursor"),
        ("status=pending", "status"),
        ("limit=1&limit=2", "limit"),
    ] {
        app.get(&format!("{path}?{query}")).await.invalid(field);
    }
}

#[tokio::test]
async fn a_page_after_the_last_event_is_empty_and_not_a_404() {
    let app = App::spawn().await;
    let (first, _) = log_of(&app).await;
    let page = app.get(&format!("/v1/orders/{}/events?limit=5", first.id)).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let (second, _) = log_of(&app).await;
    let later = app
        .get(&format!("/v1/orders/{}/events?limit=5", second.id))
        .await
        .json();
    let later = later["next_cursor"].as_str().unwrap();
    // Each cursor shows its own order's events only: the first one's log ends before the second one's begins.
    let rest = app
        .get(&format!("/v1/orders/{}/events?cursor={cursor}", first.id))
        .await
        .json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
    let rest = app.get(&format!("/v1/orders/{}/events?cursor={later}", first.id)).await;
    assert_eq!(
        (rest.status, rest.json()),
        (200, json!({ "data": [], "next_cursor": null }))
    );
}

#[tokio::test]
async fn a_closing_by_expiry_is_logged_as_the_services_own() {
    let app = App::spawn().await;
    let order = app.create_order_with(json!({ "expires_in": 1 })).await;
    app.ask(&order).query("until", "final").query("wait", 25).send().await;
    let event = app.events(&order).await.pop().unwrap();
    assert_eq!(
        (&event["type"], &event["source"]),
        (&json!("order.closed"), &json!("expiry"))
    );
    assert_eq!((&event["reason"], &event["version"]), (&json!("expired"), &json!(2)));
}
