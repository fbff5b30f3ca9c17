//! Events that went with their month: whoever had not read them is told so, and nobody else.

use std::sync::Arc;
use std::time::Instant;

use payquery::domain::log_cursor::LogCursor;
use reqwest::Method;
use serde_json::json;
use sqlx::Executor as _;

use crate::support::feed::{check_each_order, ids_of};
use crate::support::{Answer, App, Order, eventually};

/// Makes the log believe that the events of these orders are of long ago.
async fn age(app: &App, orders: &[&Order]) {
    app.pool
        .execute(
            "create table if not exists order_events_2025_01 partition of order_events
             for values from ('2025-01-01 00:00:00Z') to ('2025-02-01 00:00:00Z')",
        )
        .await
        .unwrap();
    for order in orders {
        sqlx::query("update order_events set at = '2025-01-15 00:00:00Z' where order_id = $1::uuid")
            .bind(&order.id)
            .execute(&app.pool)
            .await
            .unwrap();
    }
}

/// Drops what is of long ago, as the service does every hour.
async fn drop_old(app: &App) {
    let dropped: i32 = sqlx::query_scalar("select keep_order_event_partitions(30)")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(dropped, 1);
}

/// The cursor after such a page, of a moment when nothing older than the last event was still running (other tests share the
/// server): for such a transaction might have written more.
async fn settled_cursor(app: &App, query: &str) -> String {
    let last = "select max(xid::text::bigint) from order_events";
    let last: i64 = sqlx::query_scalar(last).fetch_one(&app.pool).await.unwrap();
    let first_unread = |cursor: &String| {
        let horizon = LogCursor::decode(cursor).unwrap().horizon().to_text();
        horizon.split(':').next().unwrap().parse::<i64>().unwrap()
    };
    eventually(
        async || app.feed_page(query).await.cursor,
        |cursor| first_unread(cursor) >= last,
    )
    .await
}

#[tokio::test]
async fn a_cursor_from_before_what_was_dropped_is_refused_with_what_to_do() {
    let app = App::spawn().await;
    let first = app.create_order().await;
    let early = app.feed_page("").await.cursor;
    let second = app.create_order().await;
    let cut_early = app.feed_page("limit=1").await.cursor;
    let cut_at_the_last = settled_cursor(&app, "limit=2").await;
    let late = settled_cursor(&app, "").await;
    age(&app, &[&first, &second]).await;
    drop_old(&app).await;
    app.create_order().await;
    for cursor in [&early, &cut_early] {
        for query in [
            format!("after={cursor}"),
            format!("after={cursor}&wait=50&types=order.closed"),
        ] {
            let problem = app.feed(&query).await.problem(410, "cursor_expired");
            assert_eq!(problem["field"], "after");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains("after=now") && detail.contains("GET /v1/orders"),
                "{detail}"
            );
        }
        let lines = app.merchant(Method::GET, &format!("/v1/events?after={cursor}"));
        let refused = Answer::to(lines.header("accept", "application/x-ndjson")).await;
        refused.problem(410, "cursor_expired");
    }
    for query in [
        String::new(),
        format!("after={late}"),
        format!("after={cut_at_the_last}"),
    ] {
        assert_eq!(app.feed_page(&query).await.types(), ["order.created"], "{query}");
    }
}

#[tokio::test]
async fn a_merchant_to_whom_nothing_happened_meanwhile_misses_nothing_and_is_told_nothing() {
    let app = App::spawn().await;
    let rival = app.key_of("rival").await;
    let quiet = app.http.get(app.url("/v1/events")).bearer_auth(&rival);
    let quiet = Answer::to(quiet).await.json()["next_cursor"]
        .as_str()
        .unwrap()
        .to_owned();
    let order = app.create_order().await;
    age(&app, &[&order]).await;
    drop_old(&app).await;
    let theirs = app.http.get(app.url(&format!("/v1/events?after={quiet}")));
    let page = Answer::to(theirs.bearer_auth(&rival)).await;
    assert_eq!((page.status, page.json()["data"].as_array().unwrap().len()), (200, 0));
}

/// A transaction with a higher number may have written into the month that went.
#[tokio::test]
async fn who_begins_with_the_oldest_reads_all_that_is_kept_however_it_lies_around_the_edge() {
    let app = App::spawn().await;
    let orders = app.create_orders(8, json!({})).await;
    for order in &orders {
        app.report(order, "succeeded").await;
    }
    let before = app.feed_page("limit=12").await.cursor;
    let old: Vec<_> = orders.iter().step_by(2).collect();
    age(&app, &old).await;
    drop_old(&app).await;
    app.feed(&format!("after={before}"))
        .await
        .problem(410, "cursor_expired");
    for sizes in [[1, 1], [2, 1], [3, 200]] {
        let kept = app.whole_feed("", &sizes).await;
        assert_eq!((kept.len(), check_each_order(&kept)), (8, 4));
    }
    let kept = app.whole_feed("", &[200]).await;
    let mut lines = app.feed_lines("").await;
    let (told, _) = lines.rest().await;
    assert_eq!(ids_of(&told), ids_of(&kept));
    for (n, line) in told.iter().enumerate() {
        let cursor = line["cursor"].as_str().unwrap();
        let rest = app.feed_page(&format!("after={cursor}")).await;
        assert_eq!(ids_of(&rest.events), ids_of(&kept[n + 1..]));
    }
    // Who began so, and came no further before more of it went, is told, too.
    let begun = app.feed_page("limit=1").await.cursor;
    age(&app, &[&orders[7]]).await;
    drop_old(&app).await;
    app.feed(&format!("after={begun}")).await.problem(410, "cursor_expired");
}

#[tokio::test]
async fn the_service_itself_notes_what_it_drops_and_some_seconds_before() {
    // The one that makes them old keeps all: at its start it might drop the month that is made for them before anything is in it.
    let mut keeps = App::spawn().await;
    let early = keeps.feed_page("").await.cursor;
    let order = keeps.create_order().await;
    age(&keeps, &[&order]).await;
    keeps.stop_and_wait().await;
    let start = Instant::now();
    let app = App::builder()
        .flag("--event-retention-days", "30")
        .spawn_over(Arc::clone(&keeps.database))
        .await;
    let is_there = async || {
        sqlx::query_scalar::<_, bool>("select to_regclass('order_events_2025_01') is not null")
            .fetch_one(&app.pool)
            .await
            .unwrap()
    };
    let refused = async || app.feed(&format!("after={early}")).await.status;
    eventually(refused, |status| *status == 410).await;
    assert!(is_there().await, "{:?} after the start", start.elapsed());
    eventually(is_there, |there| !there).await;
    assert_eq!(refused().await, 410);
}

/// An endpoint's reader was away for too long: it goes on with what is there, and that is told and counted.
#[tokio::test]
async fn a_reader_of_our_own_that_comes_too_late_goes_on_and_the_metrics_tell() {
    let app = App::builder().flag("--webhook-allow", "127.0.0.0/8").spawn().await;
    let endpoint = json!({ "url": "http://127.0.0.1:9/" });
    let request = app.merchant(Method::POST, "/v1/webhook-endpoints").json(&endpoint);
    assert_eq!(Answer::to(request).await.status, 201);
    let place = async || {
        let cursor = sqlx::query_scalar::<_, String>("select cursor from event_readers where name = 'webhooks'");
        cursor.fetch_one(&app.pool).await.unwrap()
    };
    let queued = async || {
        let deliveries = sqlx::query_scalar::<_, i64>("select count(*) from webhook_deliveries");
        deliveries.fetch_one(&app.pool).await.unwrap()
    };
    let early = place().await;
    let order = app.create_order().await;
    eventually(queued, |deliveries| *deliveries == 1).await;
    let gaps = async || app.metric("payquery_delivery_gaps_total", "channel=\"webhooks\"").await;
    assert_eq!(gaps().await, 0.0);
    age(&app, &[&order]).await;
    drop_old(&app).await;
    sqlx::query("update event_readers set cursor = $1 where name = 'webhooks'")
        .bind(&early)
        .execute(&app.pool)
        .await
        .unwrap();
    app.create_order().await;
    eventually(queued, |deliveries| *deliveries == 2).await;
    app.create_order().await;
    eventually(queued, |deliveries| *deliveries == 3).await;
    assert_eq!(gaps().await, 1.0, "once, though it read twice since");
}
