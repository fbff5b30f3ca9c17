//! Of one endpoint and order one delivery at a time, in order, whatever fails; and no endpoint waits for another.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::receiver::Received;
use crate::support::{App, Receiver, Reply, eventually};

/// For each order the versions in which its events were first taken, by those of the requests that were answered with success.
fn taken(requests: &[Received], is_taken: impl Fn(&Received) -> bool) -> HashMap<String, Vec<i64>> {
    let mut orders: HashMap<String, Vec<i64>> = HashMap::new();
    for request in requests.iter().filter(|request| is_taken(request)) {
        let versions = orders.entry(request.order()).or_default();
        versions.push(request.json()["version"].as_i64().unwrap());
    }
    orders
}

#[tokio::test]
async fn events_of_one_order_arrive_in_order_and_one_at_a_time_whatever_fails_between() {
    const ORDERS: usize = 30;
    let app = App::builder().webhooks(&["20ms"; 40].join(",")).spawn().await;
    // Every third request fails, in another way each time; the others take a moment.
    let is_taken = |request: &Received| !request.number.is_multiple_of(3);
    let receiver = Receiver::start(move |request| {
        let then = match request.number % 9 {
            0 => Reply::status(500),
            3 => Reply::HangUp,
            6 => Reply::Raw(b"HTTP/1.1 2".to_vec()),
            _ => Reply::ok(),
        };
        Reply::Late(Duration::from_millis(5), Box::new(then))
    })
    .await;
    let endpoint = app.create_endpoint(&receiver).await;
    for _ in 0..ORDERS {
        let order = app.create_order().await;
        for status in ["processing", "pending", "processing", "succeeded"] {
            app.report(&order, status).await;
        }
    }
    let deliveries = app.wait_for_deliveries(&endpoint, ORDERS * 5).await;
    assert!(
        deliveries.iter().all(|delivery| delivery["state"] == "delivered"),
        "{deliveries:?}"
    );
    let orders = taken(&receiver.received(), is_taken);
    assert_eq!(orders.len(), ORDERS);
    for (order, versions) in orders {
        assert_eq!(versions, [1, 2, 3, 4, 5], "{order}");
    }
    let (of_one_order, in_all) = receiver.most_at_once();
    assert_eq!(of_one_order, 1);
    assert!(
        (2..=8).contains(&in_all),
        "orders do not wait for each other, and there are bounds: {in_all}"
    );
}

#[tokio::test]
async fn what_waits_behind_a_failing_event_is_not_tried_before_it_and_comes_at_once_after_it() {
    let app = App::builder().webhooks("1h").spawn().await;
    let receiver = Receiver::start(|request| Reply::status(if request.number == 0 { 500 } else { 200 })).await;
    let endpoint = app.create_endpoint(&receiver).await;
    let stuck = app.create_order().await;
    let is_put_off = |deliveries: &Vec<Value>| deliveries.first().is_some_and(|it| it["attempts"][0].is_object());
    let first = eventually(async || app.deliveries(&endpoint).await, is_put_off)
        .await
        .remove(0);
    app.report(&stuck, "succeeded").await;
    let free = app.create_order().await;
    receiver.wait_for_order(&free.id).await;
    // By the plan its next try is in an hour; the one behind it, which waits for no plan, comes long before that.
    let again = endpoint.path(&format!("/deliveries/{}/resend", first["id"].as_str().unwrap()));
    assert_eq!(app.post(&again, &json!({})).await.status, 202);
    let requests = receiver.wait_for(4).await;
    let seen: Vec<_> = requests
        .iter()
        .map(|request| (request.order(), request.json()["version"].as_i64().unwrap()))
        .collect();
    let [a, b] = [stuck.id, free.id];
    assert_eq!(seen, [(a.clone(), 1), (b, 1), (a.clone(), 1), (a, 2)]);
    assert_eq!(app.wait_for_deliveries(&endpoint, 3).await.len(), 3);
}

#[tokio::test]
async fn when_an_event_is_given_up_the_orders_next_one_is_sent() {
    let app = App::builder().webhooks("20ms").spawn().await;
    let receiver =
        Receiver::start(|request| Reply::status(if request.kind() == "order.created" { 500 } else { 200 })).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.order_at("succeeded").await;
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    let states: Vec<_> = deliveries
        .iter()
        .map(|delivery| (&delivery["type"], &delivery["state"]))
        .collect();
    assert_eq!(
        states,
        [
            (&json!("order.succeeded"), &json!("delivered")),
            (&json!("order.created"), &json!("failed"))
        ]
    );
}

#[tokio::test]
async fn endpoints_that_hang_delay_no_other() {
    const ORDERS: usize = 40;
    // No attempt at those that hang is over before this test is.
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "60")
        .spawn()
        .await;
    let mut hanging = Vec::new();
    for _ in 0..10 {
        let receiver = Receiver::start(|_| Reply::Never).await;
        app.create_endpoint(&receiver).await;
        hanging.push(receiver);
    }
    // All of their places are taken, by orders that nobody else wants.
    for _ in 0..12 {
        app.create_order().await;
    }
    eventually(
        async || hanging.iter().map(|it| it.received().len()).sum::<usize>(),
        |count| *count >= 80,
    )
    .await;
    let well = Receiver::start_willing().await;
    app.create_endpoint(&well).await;
    let mut delays = Vec::new();
    for _ in 0..ORDERS {
        let order = app.create_order().await;
        let created = Instant::now();
        let request = well.wait_for_order(&order.id).await;
        delays.push(request.at.saturating_duration_since(created));
    }
    delays.sort();
    println!(
        "delay beside 10 endpoints that hang: median {:?}, longest {:?}",
        delays[ORDERS / 2],
        delays[ORDERS - 1]
    );
    assert!(delays[ORDERS / 2] < Duration::from_secs(2), "{delays:?}");
    let failed = app.metric("payquery_webhook_attempts_total", "\"failed\"").await;
    assert_eq!(
        failed, 0.0,
        "nobody waited until one of those that hang was left: {delays:?}"
    );
    // At those that hang eight at once, and no more.
    assert!(hanging.iter().all(|receiver| receiver.most_at_once().1 == 8));
}
