//! What `/metrics` says of polls is what happened.

use crate::support::App;

async fn outcomes<const N: usize>(app: &App, names: [&str; N]) -> [f64; N] {
    let mut counts = [0.0; N];
    for (count, name) in counts.iter_mut().zip(names) {
        *count = app.metric("payquery_polls_total", &format!("outcome=\"{name}\"")).await;
    }
    counts
}

#[tokio::test]
async fn polls_are_counted_by_how_they_ended_and_add_up() {
    let app = App::builder().flag("--max-held-per-order", "1").spawn().await;
    let order = app.create_order().await;
    for _ in 0..3 {
        assert_eq!(app.ask(&order).send().await.status, 200);
    }
    for _ in 0..2 {
        assert_eq!(app.ask(&order).if_none_match("\"1\"").send().await.status, 304);
    }
    assert_eq!(
        app.ask(&order)
            .if_none_match("\"1\"")
            .query("wait", 1)
            .send()
            .await
            .status,
        304
    );
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    assert_eq!(
        app.ask(&order)
            .if_none_match("\"1\"")
            .query("wait", 50)
            .send()
            .await
            .status,
        304
    );
    app.report(&order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
    app.ask_with(&order, "pqs_wrong")
        .send()
        .await
        .problem(404, "order_not_found");
    app.ask_without_credentials(&order)
        .send()
        .await
        .problem(401, "unauthorized");
    app.ask(&order).query("wait", "x").send().await.invalid("wait");

    let names = [
        "full",
        "not_modified",
        "timed_out",
        "woken",
        "degraded",
        "denied",
        "invalid",
        "limited",
        "drained",
        "failed",
    ];
    assert_eq!(
        outcomes(&app, names).await,
        [3.0, 2.0, 1.0, 1.0, 1.0, 2.0, 1.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(app.metric("payquery_polls_total", "").await, 11.0);
}

#[tokio::test]
async fn refusals_by_a_limit_are_counted_by_policy() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "2")
        .spawn()
        .await;
    let order = app.create_order().await;
    for _ in 0..5 {
        app.ask(&order).send().await;
    }
    assert_eq!(outcomes(&app, ["full", "limited"]).await, [2.0, 3.0]);
    assert_eq!(app.metric("payquery_rate_limited_total", "policy=\"poll\"").await, 3.0);
    assert_eq!(app.metric("payquery_rate_limited_total", "").await, 3.0);
    assert_eq!(app.metric("payquery_limiter_keys", "policy=\"merchant\"").await, 0.0);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_outcome_and_never_by_url() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.ask(&order).send().await;
    app.ask(&order).if_none_match("\"1\"").send().await;
    app.ask_with(&order, "pqs_wrong").send().await;
    app.get(&format!("/v1/orders/{}", order.id)).await;
    app.get("/v1/no/such/thing").await;
    let count = async |route: &str, outcome: &str| {
        let text = crate::support::Answer::to(app.http.get(app.url("/metrics"))).await.text;
        let (route, outcome) = (format!("route=\"{route}\""), format!("outcome=\"{outcome}\""));
        let mut lines = text
            .lines()
            .filter(|line| line.starts_with("payquery_http_requests_total{"));
        let line = lines.find(|line| line.contains(&route) && line.contains(&outcome));
        line.map_or(0.0, |line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap())
    };
    let status = "/v1/orders/{id}/status";
    for (route, outcome) in [
        (status, "success"),
        (status, "not_modified"),
        (status, "client_error"),
        ("/v1/orders", "success"),
        ("/v1/orders/{id}", "success"),
        ("unmatched", "client_error"),
    ] {
        assert_eq!(count(route, outcome).await, 1.0, "{route} {outcome}");
    }
    let text = crate::support::Answer::to(app.http.get(app.url("/metrics"))).await.text;
    assert!(!text.contains(&order.id) && !text.contains("no/such/thing"), "{text}");
}

#[tokio::test]
async fn the_hub_counts_what_it_had_and_what_it_had_to_read() {
    let app = App::spawn().await;
    let orders = app.create_orders(3, serde_json::json!({})).await;
    for order in &orders {
        for _ in 0..4 {
            assert_eq!(app.ask(order).send().await.status, 200);
        }
    }
    assert_eq!(app.metric("payquery_hub_misses_total", "").await, 3.0);
    assert_eq!(app.metric("payquery_hub_hits_total", "").await, 9.0);
    assert_eq!(app.metric("payquery_hub_orders", "").await, 3.0);
}

#[tokio::test]
async fn the_time_from_payment_to_screen_is_taken_once_for_each_final_status() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let seen = async || app.metric("payquery_pay_to_seen_seconds_count", "").await;
    app.ask(&order).send().await;
    app.report(&order, "processing").await;
    app.ask(&order).send().await;
    assert_eq!(seen().await, 0.0, "nothing final was shown yet");
    let held: Vec<_> = (0..5)
        .map(|_| app.ask(&order).if_none_match("\"2\"").query("wait", 50).spawn())
        .collect();
    app.wait_for_held(5).await;
    app.report(&order, "succeeded").await;
    for held in held {
        assert_eq!(held.await.unwrap().version(), 3);
    }
    for _ in 0..3 {
        app.ask(&order).send().await;
        app.ask(&order).if_none_match("\"3\"").send().await;
    }
    assert_eq!(seen().await, 1.0);
    assert!(app.metric("payquery_pay_to_seen_seconds_sum", "").await < 10.0);
}

/// The payer's question was answered by the payment; what is added to it later is no payment that somebody waits for.
#[tokio::test]
async fn what_changes_in_a_paid_order_is_no_second_payment() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.ask(&order).send().await;
    app.report(&order, "succeeded").await;
    assert_eq!(app.ask(&order).send().await.version(), 2);
    for report in [
        serde_json::json!({ "status": "succeeded", "transaction_id": "4200000001" }),
        serde_json::json!({ "status": "succeeded", "refunded_amount": 300 }),
    ] {
        assert_eq!(app.put(&order.status_path(), &report).await.status, 200);
        app.ask(&order).send().await;
    }
    assert_eq!(app.ask(&order).send().await.version(), 4);
    assert_eq!(app.metric("payquery_pay_to_seen_seconds_count", "").await, 1.0);
}
