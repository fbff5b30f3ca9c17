//! What is old goes; what is deleted goes with all that belongs to it.

use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::support::{App, Receiver, Reply, eventually};

async fn count(app: &App, table: &str) -> i64 {
    let sql = AssertSqlSafe(format!("select count(*) from {table}"));
    sqlx::query_scalar(sql).fetch_one(&app.pool).await.unwrap()
}

async fn age_deliveries(app: &App, days: i32) {
    sqlx::query("update webhook_deliveries set done_at = now() - make_interval(days => $1) where state <> 'pending'")
        .bind(days)
        .execute(&app.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn deliveries_past_their_time_go_with_their_attempts_and_what_waits_stays() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-retention-days", "7")
        .spawn()
        .await;
    let receiver = Receiver::start(|request| Reply::status(if request.number < 2 { 200 } else { 500 })).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.create_order().await;
    receiver.wait_for(1).await;
    app.wait_for_deliveries(&endpoint, 1).await;
    age_deliveries(&app, 8).await;
    app.create_order().await;
    receiver.wait_for(2).await;
    app.wait_for_deliveries(&endpoint, 2).await;
    app.create_order().await;
    let attempts = async || count(&app, "webhook_attempts").await;
    eventually(attempts, |attempts| *attempts == 3).await;
    let app = app.restart().await;
    let left = async || {
        (
            count(&app, "webhook_deliveries").await,
            count(&app, "webhook_attempts").await,
        )
    };
    eventually(left, |left| *left == (2, 2)).await;
}

#[tokio::test]
async fn a_deleted_endpoint_is_gone_at_once_and_its_rows_soon() {
    let app = App::builder().webhooks("1h").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    let endpoint = app.create_endpoint(&receiver).await;
    let kept = app.create_endpoint(&receiver).await;
    app.order_at("succeeded").await;
    receiver.wait_for(2).await;
    let deleted = app.merchant(reqwest::Method::DELETE, &endpoint.path(""));
    let deleted = crate::support::Answer::to(deleted).await;
    assert_eq!((deleted.status, &*deleted.text), (204, ""));
    for rest in ["", "/deliveries"] {
        app.get(&endpoint.path(rest))
            .await
            .problem(404, "webhook_endpoint_not_found");
    }
    app.post(&endpoint.path("/test"), &json!({}))
        .await
        .problem(404, "webhook_endpoint_not_found");
    let app = app.restart().await;
    let left = async || {
        (
            count(&app, "webhook_endpoints").await,
            count(&app, "webhook_deliveries").await,
        )
    };
    eventually(left, |left| *left == (1, 2)).await;
    assert_eq!(app.deliveries(&kept).await.len(), 2);
}

#[tokio::test]
async fn the_log_is_not_read_for_webhooks_while_nobody_wants_any() {
    let app = App::spawn_with_webhooks().await;
    for _ in 0..5 {
        app.order_at("succeeded").await;
    }
    let looks = async || {
        app.database
            .count_statements(&["from webhook_endpoints", "exists", "any"])
            .await
    };
    eventually(looks, |looks| *looks >= 3).await;
    assert_eq!(
        app.database
            .count_statements(&["from event_readers", "skip locked"])
            .await,
        0
    );
    assert_eq!(app.database.count_statements(&["looked_at"]).await, 0);
}

#[tokio::test]
async fn a_delivery_that_waits_for_nobody_is_released() {
    let app = App::builder().webhooks("1h").spawn().await;
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    let endpoint = app.create_endpoint(&receiver).await;
    app.order_at("succeeded").await;
    receiver.wait_for(1).await;
    let in_hand = async || app.deliveries(&endpoint).await;
    eventually(in_hand, |deliveries| {
        deliveries.iter().any(|it| it["attempts"][0].is_object())
    })
    .await;
    // As no version of payquery does it.
    sqlx::query("update webhook_deliveries set state = 'failed', done_at = now(), due_at = null where event_type = 'order.created'")
        .execute(&app.pool)
        .await
        .unwrap();
    receiver.answer_with(|_| Reply::ok());
    let app = app.restart().await;
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert_eq!(deliveries[0]["state"], "delivered", "{deliveries:?}");
}
