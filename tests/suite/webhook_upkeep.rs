//! What is old goes; what is deleted goes with all that belongs to it.

use std::time::Instant;

use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

use crate::support::webhooks::Endpoint;
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

/// An application whose first housekeeping is over: the next is that of the process after it.
async fn spawn_upkept() -> App {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-retention-days", "7")
        .spawn()
        .await;
    let cleaned = async || app.database.count_statements(&["previous_secret_until <"]).await;
    eventually(cleaned, |cleaned| *cleaned >= 1).await;
    app
}

/// Deliveries that were done some days ago, numbered in `attempts` from the oldest; listed after all others.
async fn add_done(app: &App, endpoint: &Endpoint, count: i32, days: i32) {
    sqlx::query(
        "insert into webhook_deliveries (id, endpoint_id, event_id, event_type, event_at, payload, state, attempts, done_at)
         select lpad(to_hex(number), 32, '0')::uuid, $1::uuid, gen_random_uuid(), 'order.created', now(), '{}', 'delivered', number,
                now() - make_interval(days => $3) + make_interval(secs => number)
         from generate_series(1, $2) as number",
    )
    .bind(&endpoint.id)
    .bind(count)
    .bind(days)
    .execute(&app.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn old_deliveries_go_a_thousand_at_a_time_past_one_that_somebody_is_at() {
    let app = spawn_upkept().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    add_done(&app, &endpoint, 2500, 8).await;
    let mut somebody = app.database.connect().await;
    let mut somebody = somebody.begin().await.unwrap();
    somebody
        .execute("select from webhook_deliveries where attempts = 7 for update")
        .await
        .unwrap();
    let statements = async |app: &App| {
        let words = ["delete from webhook_deliveries", "done_at <"];
        app.database.count_statements(&words).await
    };
    let before = statements(&app).await;
    let app = app.restart().await;
    let left = async || count(&app, "webhook_deliveries").await;
    eventually(left, |left| *left == 1).await;
    let deliveries = app.deliveries(&endpoint).await;
    assert_eq!(deliveries[0]["id"], "00000000-0000-0000-0000-000000000007");
    let took = eventually(async || statements(&app).await - before, |took| *took >= 3).await;
    assert_eq!(took, 3, "1000, 1000 and the rest");
}

#[tokio::test]
async fn what_is_of_a_deleted_endpoint_goes_a_thousand_at_a_time_too() {
    let app = spawn_upkept().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    add_done(&app, &endpoint, 2500, 1).await;
    let deleted = app.merchant(reqwest::Method::DELETE, &endpoint.path(""));
    assert_eq!(crate::support::Answer::to(deleted).await.status, 204);
    let statements = async |app: &App| {
        let words = ["delete from webhook_deliveries", "deleted_at"];
        app.database.count_statements(&words).await
    };
    let before = statements(&app).await;
    let app = app.restart().await;
    let left = async || count(&app, "webhook_endpoints").await;
    eventually(left, |left| *left == 0).await;
    assert_eq!(count(&app, "webhook_deliveries").await, 0);
    assert_eq!(statements(&app).await - before, 3, "1000, 1000 and the rest");
}

#[tokio::test]
async fn while_old_deliveries_go_new_ones_are_delivered_and_each_batch_is_gone_for_good() {
    const IN_THE_SECOND_BATCH: i64 = 1500;
    let app = spawn_upkept().await;
    let receiver = Receiver::start_willing().await;
    let endpoint = app.create_endpoint(&receiver).await;
    add_done(&app, &endpoint, 2500, 8).await;
    // Dropping that one takes until the lock is let go.
    let mut lock = app.database.connect().await;
    lock.execute(
        "create function wait_before_dropping() returns trigger language plpgsql as
             'begin perform pg_advisory_xact_lock(old.attempts); return old; end';
         create trigger wait_before_dropping before delete on webhook_deliveries
             for each row when (old.attempts = 1500) execute function wait_before_dropping()",
    )
    .await
    .unwrap();
    sqlx::query("select pg_advisory_lock($1)")
        .bind(IN_THE_SECOND_BATCH)
        .execute(&mut lock)
        .await
        .unwrap();
    let app = app.restart().await;
    let left = async || count(&app, "webhook_deliveries").await;
    eventually(left, |left| *left == 1500).await;
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    receiver.wait_for(2).await;
    let deliveries = app.wait_for_deliveries(&endpoint, 2).await;
    assert!(deliveries.iter().all(|delivery| delivery["state"] == "delivered"));
    assert_eq!(left().await, 1502, "the first batch is gone, the second waits");
    lock.close().await.unwrap();
    // (The housekeeping may have given up waiting.)
    let app = app.restart().await;
    let left = async || count(&app, "webhook_deliveries").await;
    eventually(left, |left| *left == 2).await;
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
async fn the_lag_tells_how_long_events_wait_to_be_queued_and_is_none_when_they_are() {
    let app = App::builder().webhooks(&["1s"; 50].join(",")).spawn().await;
    let receiver = Receiver::start(|_| Reply::status(500)).await;
    app.create_endpoint(&receiver).await;
    app.create_order().await;
    receiver.wait_for(1).await;
    // The reader's place is somebody else's: the next event stays in the log.
    let mut lock = app.database.connect().await;
    let mut lock = lock.begin().await.unwrap();
    lock.execute("select from event_readers where name = 'webhooks' for update")
        .await
        .unwrap();
    let start = Instant::now();
    let waiting = app.create_order().await;
    let app = app.restart().await; // it measures at its start, and then every ten seconds
    let figures = async || {
        let of_webhooks = "channel=\"webhooks\"";
        let lag = app.metric("payquery_delivery_lag_seconds", of_webhooks).await;
        (app.metric("payquery_delivery_backlog", of_webhooks).await, lag)
    };
    let (_, lag) = eventually(figures, |(backlog, lag)| *backlog == 1.0 && *lag > 0.0).await;
    assert!(lag <= start.elapsed().as_secs_f64(), "{lag} s");
    lock.rollback().await.unwrap();
    receiver.answer_with(|_| Reply::ok());
    receiver.wait_for_order(&waiting.id).await;
    eventually(figures, |figures| *figures == (0.0, 0.0)).await;
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
    // The first is put off, and the second waits behind it.
    let queued = async || app.deliveries(&endpoint).await;
    eventually(queued, |deliveries| {
        deliveries.len() == 2 && deliveries[1]["attempts"][0].is_object()
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
