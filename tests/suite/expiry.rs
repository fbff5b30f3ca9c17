//! Orders whose time is up: closed by the service itself, once, and their waiters told.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{App, eventually};

/// "Within about a second" of its time, on a machine that is busy with other tests and may stand still for seconds; long before
/// a hold ends by itself.
const SOON: Duration = Duration::from_secs(15);

/// The time of all orders is up now, whatever was reported on them before.
async fn end_time_of_all(app: &App) {
    sqlx::query("update orders set expires_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_order_is_closed_soon_after_its_time_and_its_waiters_are_told() {
    let app = App::spawn().await;
    let start = Instant::now();
    let order = app.create_order_with(json!({ "expires_in": 1 })).await;
    let (changed, until_final) = tokio::join!(
        app.ask(&order).if_none_match("\"1\"").query("wait", 50).send(),
        app.ask(&order).query("until", "final").query("wait", 50).send(),
    );
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_secs(1) && elapsed < SOON, "{elapsed:?}");
    for answer in [changed, until_final] {
        let document = answer.json();
        let fields = ["status", "reason", "final", "late", "version"].map(|field| &document[field]);
        assert_eq!(json!(fields), json!(["closed", "expired", true, false, 2]));
    }
    // Counted a moment after the waiters were told.
    let expired = async || app.metric("payquery_orders_expired_total", "").await;
    assert_eq!(eventually(expired, |expired| *expired > 0.0).await, 1.0);
}

#[tokio::test]
async fn the_orders_log_says_that_its_time_closed_it() {
    let app = App::spawn().await;
    let order = app.create_order_with(json!({ "expires_in": 1 })).await;
    assert_eq!(
        app.ask(&order)
            .query("until", "final")
            .query("wait", 50)
            .send()
            .await
            .version(),
        2
    );
    let events = app.events(&order).await;
    assert_eq!(events.len(), 2);
    let fields = ["type", "from", "to", "version", "source", "accepted", "reason"].map(|field| &events[1][field]);
    assert_eq!(
        json!(fields),
        json!(["order.closed", "pending", "closed", 2, "expiry", true, "expired"])
    );
}

#[tokio::test]
async fn an_order_that_the_payer_is_busy_with_is_closed_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    end_time_of_all(&app).await;
    let answer = app.ask(&order).query("until", "final").query("wait", 50).send().await;
    assert_eq!((&answer.json()["status"], answer.version()), (&json!("closed"), 3));
}

#[tokio::test]
async fn an_order_that_was_answered_in_time_stays_as_it_is() {
    let app = App::spawn().await;
    let answered = app.create_orders(3, json!({})).await;
    for (order, status) in answered.iter().zip(["succeeded", "failed", "closed"]) {
        app.report(order, status).await;
    }
    // Whoever closes this one has looked at theirs, too.
    let last = app.create_order().await;
    end_time_of_all(&app).await;
    assert_eq!(
        app.ask(&last)
            .query("until", "final")
            .query("wait", 50)
            .send()
            .await
            .version(),
        2
    );
    for (order, status) in answered.iter().zip(["succeeded", "failed", "closed"]) {
        let document = app.ask(order).send().await.json();
        assert_eq!(
            (&document["status"], &document["reason"], &document["version"]),
            (&json!(status), &json!(null), &json!(2))
        );
    }
}

#[tokio::test]
async fn a_payment_after_the_time_is_late_and_counts() {
    let app = App::spawn().await;
    let order = app.create_order_with(json!({ "expires_in": 1 })).await;
    assert_eq!(
        app.ask(&order)
            .query("until", "final")
            .query("wait", 50)
            .send()
            .await
            .version(),
        2
    );
    app.report(&order, "succeeded").await;
    let document = app.ask(&order).send().await.json();
    assert_eq!(
        (&document["status"], &document["late"], &document["version"]),
        (&json!("succeeded"), &json!(true), &json!(3))
    );
}

#[tokio::test]
async fn two_replicas_close_five_hundred_overdue_orders_once_each() {
    let app = App::spawn().await;
    let replica = app.another().await;
    app.create_orders(500, json!({})).await;
    sqlx::query("update orders set expires_at = now() - interval '1 minute'")
        .execute(&app.pool)
        .await
        .unwrap();
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.pool).await.unwrap();
    eventually(
        async || count("select count(*) from orders where status = 'closed'").await,
        |closed| *closed == 500,
    )
    .await;
    let expired = async |app: &App| app.metric("payquery_orders_expired_total", "").await;
    // Each counts after its commit.
    eventually(
        async || expired(&app).await + expired(&replica).await,
        |closed| *closed >= 500.0,
    )
    .await;
    assert_eq!(expired(&app).await + expired(&replica).await, 500.0);
    assert_eq!(
        count("select count(*) from order_events where kind = 'order.closed'").await,
        500
    );
    assert_eq!(
        count("select count(distinct order_id) from order_events where kind = 'order.closed'").await,
        500
    );
    assert_eq!(
        count("select count(*) from orders where version = 2 and reason = 'expired'").await,
        500
    );
}

/// A report and the closing meet: one of them comes first, and the order and its log tell the same story.
#[tokio::test]
async fn a_payment_that_races_with_the_closing_is_never_lost() {
    let app = App::spawn().await;
    let orders = app.create_orders(60, json!({})).await;
    sqlx::query("update orders set expires_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    let reports: Vec<_> = orders
        .iter()
        .map(|order| app.spawn_report(order, "succeeded"))
        .collect();
    for (order, report) in orders.iter().zip(reports) {
        assert_eq!(report.await.unwrap().status, 200);
        let document = app.ask(order).send().await.json();
        assert_eq!(document["status"], "succeeded");
        let moves: Vec<_> = app
            .events(order)
            .await
            .iter()
            .map(|event| event["to"].clone())
            .collect();
        let expected = if document["late"] == true {
            json!(["pending", "closed", "succeeded"])
        } else {
            json!(["pending", "succeeded"])
        };
        assert_eq!(json!(moves), expected);
    }
}
