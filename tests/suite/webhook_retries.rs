//! What is not taken is tried again by the plan, as receivers ask, and given up in the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::webhooks::{Endpoint, is_signed_by};
use crate::support::{App, Receiver, Reply, eventually};

#[tokio::test]
async fn what_is_not_taken_is_tried_again_by_the_plan_until_it_is() {
    let app = App::builder().webhooks("100ms,300ms,100ms").spawn().await;
    let receiver = Receiver::start(|request| match request.number {
        0 => Reply::Answer(500, "", "out of\r\ntea\u{0}".into()),
        1 => Reply::HangUp,
        _ => Reply::ok(),
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    let delivery = app.wait_for_deliveries(&endpoint, 1).await.remove(0);
    assert_eq!(delivery["state"], "delivered");
    let came_of = |attempt: &Value| {
        (
            attempt["number"].clone(),
            attempt["status"].clone(),
            attempt["error"].clone(),
        )
    };
    let attempts = delivery["attempts"].as_array().unwrap();
    let expected = [
        (json!(1), json!(500), json!("server_error")),
        (json!(2), Value::Null, json!("connection_broken")),
        (json!(3), json!(200), Value::Null),
    ];
    assert_eq!(attempts.iter().map(came_of).collect::<Vec<_>>(), expected);
    assert_eq!(
        (&attempts[0]["answer"], &attempts[1]["answer"]),
        (&json!("out of  tea"), &Value::Null)
    );
    let requests = receiver.received();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(
            request.header("webhook-id"),
            delivery["event_id"],
            "the same in every attempt"
        );
        assert!(is_signed_by(request, &endpoint.secret));
    }
    for (pair, pause) in requests.windows(2).zip([100, 300]) {
        let apart = pair[1].at - pair[0].at;
        assert!(
            apart >= Duration::from_millis(pause * 8 / 10),
            "{apart:?} is less than four fifths of {pause} ms"
        );
    }
    assert_eq!(app.endpoint(&endpoint).await["failing_since"], Value::Null);
}

#[tokio::test]
async fn after_the_last_try_a_delivery_is_given_up_and_can_be_sent_again() {
    let app = App::builder().webhooks("20ms,20ms").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(404)).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    let failed = app.wait_for_deliveries(&endpoint, 1).await.remove(0);
    assert_eq!(
        (&failed["state"], &failed["next_attempt_at"]),
        (&json!("failed"), &Value::Null)
    );
    assert_eq!(failed["attempts"].as_array().unwrap().len(), 3);
    assert_eq!(failed["attempts"][2]["error"], "client_error");
    assert!(app.endpoint(&endpoint).await["failing_since"].is_string());
    receiver.answer_with(|_| Reply::ok());
    let path = endpoint.path(&format!("/deliveries/{}/resend", failed["id"].as_str().unwrap()));
    let again = app.post(&path, &json!({})).await;
    assert_eq!(
        (again.status, &again.json()["state"]),
        (202, &json!("pending")),
        "{}",
        again.text
    );
    let delivered = app.wait_for_deliveries(&endpoint, 1).await.remove(0);
    assert_eq!(
        (&delivered["state"], &delivered["id"]),
        (&json!("delivered"), &failed["id"])
    );
    assert_eq!(delivered["attempts"][3]["number"], 4);
    // So can one that was delivered; the receiver knows it by its id.
    app.post(&path, &json!({})).await;
    let requests = receiver.wait_for(5).await;
    assert!(
        requests
            .iter()
            .all(|request| request.header("webhook-id") == failed["event_id"])
    );
}

#[tokio::test]
async fn one_that_waits_for_its_next_try_is_tried_at_once_when_it_is_sent_again() {
    let app = App::builder().webhooks("1h").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(503)).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    let is_put_off = |deliveries: &Vec<Value>| deliveries.first().is_some_and(|it| it["attempts"][0].is_object());
    let waiting = eventually(async || app.deliveries(&endpoint).await, is_put_off)
        .await
        .remove(0);
    receiver.answer_with(|_| Reply::ok());
    let path = endpoint.path(&format!("/deliveries/{}/resend", waiting["id"].as_str().unwrap()));
    assert_eq!(app.post(&path, &json!({})).await.status, 202);
    assert_eq!(app.wait_for_deliveries(&endpoint, 1).await[0]["state"], "delivered");
}

/// Seconds from the end of each delivery's first attempt to its next one.
async fn pauses(app: &App) -> Vec<f64> {
    sqlx::query_scalar(
        "select extract(epoch from d.due_at - a.at - make_interval(secs => a.duration_ms / 1000.0))::float8
         from webhook_deliveries d join webhook_attempts a on a.delivery_id = d.id and a.number = 1
         where d.claim is null order by 1",
    )
    .fetch_all(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn what_failed_together_does_not_come_back_together_but_some_earlier_and_some_later_than_the_plan() {
    const DELIVERIES: usize = 60;
    let app = App::builder().webhooks("10h").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    app.create_endpoint(&receiver).await;
    for _ in 0..DELIVERIES {
        app.create_order().await;
    }
    let pauses = eventually(async || pauses(&app).await, |pauses| pauses.len() == DELIVERIES).await;
    let hours: Vec<_> = pauses.iter().map(|seconds| seconds / 3600.0).collect();
    // (A minute is for marking them. That none of sixty is on one of the sides: the chance is one in 2^51.)
    assert!(hours[0] >= 7.99 && hours[DELIVERIES - 1] <= 12.02, "{hours:?}");
    assert!(hours[0] < 9.8 && hours[DELIVERIES - 1] > 10.2, "{hours:?}");
}

/// Seconds from the first attempt to the next, when the first is answered so.
async fn pause_after(status: u16, lines: &'static str) -> f64 {
    let app = App::builder().webhooks("10ms,10ms").spawn().await;
    let receiver = Receiver::start(move |request| match request.number {
        0 => Reply::Answer(status, lines, String::new()),
        _ => Reply::ok(),
    })
    .await;
    app.create_endpoint(&receiver).await;
    app.create_order().await;
    let requests = receiver.wait_for(2).await;
    (requests[1].at - requests[0].at).as_secs_f64()
}

#[tokio::test]
async fn a_receiver_that_asks_for_a_pause_has_it() {
    let (throttled, away, other) = tokio::join!(
        pause_after(429, "Retry-After: 2\r\n"),
        pause_after(503, "retry-after: 2\r\n"),
        pause_after(500, "Retry-After: 600\r\n"),
    );
    for pause in [throttled, away] {
        assert!((2.0..20.0).contains(&pause), "{pause} s");
    }
    // (Ten minutes would not even have been waited for.)
    assert!(other < 30.0, "only 429 and 503 may ask: {other} s");
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_at_once_and_its_merchant_told() {
    let app = App::spawn_with_webhooks().await;
    let (gone, other) = (
        Receiver::start(|_| Reply::status(410)).await,
        Receiver::start_willing().await,
    );
    let endpoint = app.create_endpoint(&gone).await;
    app.create_endpoint(&other).await;
    let order = app.create_order().await;
    let disabled = eventually(async || app.endpoint(&endpoint).await, |it| it["enabled"] == false).await;
    assert_eq!(disabled["disabled_reason"], "gone");
    let told = other.wait_for(2).await;
    let event = told
        .iter()
        .find(|request| request.kind() == "webhook_endpoint.disabled")
        .unwrap()
        .json();
    assert_eq!(
        (&event["reason"], &event["source"], &event["order_id"]),
        (&json!("gone"), &json!("service"), &Value::Null)
    );
    assert_eq!(
        (&event["data"]["endpoint_id"], &event["data"]["url"]),
        (&json!(endpoint.id), &json!(gone.url))
    );
    let count = async || app.metric("payquery_webhook_endpoints_disabled", "").await;
    eventually(count, |count| *count == 1.0).await;
    assert_eq!(app.whole_feed("&types=webhook_endpoint.disabled", &[7]).await, [event]);
    // What goes on with orders, and who reads their logs and statuses, is not in its way.
    app.report(&order, "succeeded").await;
    assert_eq!(other.wait_for(3).await.len(), 3);
    assert_eq!((gone.received().len(), app.events(&order).await.len()), (1, 2));
    assert_eq!(app.deliveries(&endpoint).await[0]["state"], "failed");
}

/// 410 is the answer of the URL that was asked. It may come when the endpoint has long been another one.
#[tokio::test]
async fn a_410_that_comes_after_the_endpoint_was_changed_disables_nothing_and_the_delivery_is_sent_to_the_new_url() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "20")
        .spawn()
        .await;
    let old = Receiver::start(|_| Reply::Held(Box::new(Reply::status(410)))).await;
    let new = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&old).await;
    let first = app.create_order().await;
    old.wait_for(1).await;
    app.patch(&endpoint.path(""), &json!({ "url": new.url })).await;
    let second = app.create_order().await;
    assert_eq!(new.wait_for(1).await[0].order(), second.id);
    old.let_go(1);
    assert_eq!(new.wait_for(2).await[1].order(), first.id);
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert!(deliveries.iter().all(|it| it["state"] == "delivered"), "{deliveries:?}");
    assert_eq!(app.endpoint(&endpoint).await["enabled"], true);
}

#[tokio::test]
async fn a_410_of_before_an_endpoint_was_enabled_again_does_not_disable_it() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "20")
        .spawn()
        .await;
    let receiver = Receiver::start(|request| match request.number {
        0 => Reply::Held(Box::new(Reply::status(410))),
        _ => Reply::ok(),
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    receiver.wait_for(1).await;
    for enabled in [false, true] {
        app.patch(&endpoint.path(""), &json!({ "enabled": enabled })).await;
    }
    receiver.let_go(1);
    let attempted = async || app.deliveries(&endpoint).await;
    eventually(attempted, |deliveries| deliveries[0]["attempts"][0].is_object()).await;
    assert_eq!(app.endpoint(&endpoint).await["enabled"], true);
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_for_too_long_is_disabled_and_what_waits_given_up() {
    let app = App::builder()
        .webhooks("200ms,200ms,200ms,200ms,200ms,200ms,200ms,200ms,200ms,1h")
        .flag("--webhook-disable-after", "900ms")
        .spawn()
        .await;
    let (dead, other) = (
        Receiver::start(|_| Reply::Held(Box::new(Reply::HangUp))).await,
        Receiver::start_willing().await,
    );
    let endpoint = app.create_endpoint(&dead).await;
    app.create_endpoint(&other).await;
    app.order_at("succeeded").await;
    // With what the one took all of the order is queued for both; and only then the other fails.
    other.wait_for(2).await;
    let start = Instant::now();
    dead.let_go(1000);
    let disabled = eventually(async || app.endpoint(&endpoint).await, |it| it["enabled"] == false).await;
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert_eq!(disabled["disabled_reason"], "failing");
    assert!(disabled["failing_since"].is_string());
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert!(
        deliveries.iter().all(|delivery| delivery["state"] == "failed"),
        "{deliveries:?}"
    );
    let told = other.wait_for(3).await;
    assert_eq!(told[2].json()["data"]["failing_since"], disabled["failing_since"]);
    assert_eq!(told[2].json()["reason"], "failing");
}

/// Sends a test event that fails, and gives back the endpoint as it is then.
async fn fail_once(app: &App, endpoint: &Endpoint) -> Value {
    let sent = app.post(&endpoint.path("/test"), &json!({})).await;
    assert_eq!(sent.status, 202, "{}", sent.text);
    let id = sent.json()["id"].clone();
    let is_tried = |deliveries: &Vec<Value>| {
        let mut tried = deliveries.iter().filter(|it| it["attempts"][0].is_object());
        tried.any(|it| it["id"] == id)
    };
    eventually(async || app.deliveries(endpoint).await, is_tried).await;
    app.endpoint(endpoint).await
}

/// Forty minutes go by for whoever has been failing.
async fn let_time_pass(app: &App) {
    sqlx::query("update webhook_endpoints set failing_since = failing_since - interval '40 minutes'")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_success_makes_failures_forgotten() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-disable-after", "1h")
        .spawn()
        .await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    // It fails again and again, for longer than the patience lasts, and takes something now and then.
    for _ in 0..3 {
        receiver.answer_with(|_| Reply::status(500));
        assert!(fail_once(&app, &endpoint).await["failing_since"].is_string());
        let_time_pass(&app).await;
        assert_eq!(fail_once(&app, &endpoint).await["enabled"], true);
        receiver.answer_with(|_| Reply::ok());
        assert_eq!(app.try_endpoint(&endpoint).await["state"], "delivered");
        assert_eq!(app.endpoint(&endpoint).await["failing_since"], Value::Null);
    }
    // Without a success between them as much is too much.
    receiver.answer_with(|_| Reply::status(500));
    for _ in 0..2 {
        assert_eq!(fail_once(&app, &endpoint).await["enabled"], true);
        let_time_pass(&app).await;
    }
    assert_eq!(fail_once(&app, &endpoint).await["disabled_reason"], "failing");
}
