//! Cursors of the feed: nothing is skipped, whatever order transactions commit in, and they are good wherever they are shown.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Executor as _, PgTransaction};

use crate::support::feed::{FeedPage, check_each_order, ids_of};
use crate::support::{App, Order};

/// Far below the shortest hold of 50 s.
const SOON: Duration = Duration::from_secs(15);

/// A change of an order, written by hand and not committed yet, as a slow replica would. Returns its event's id, too.
async fn begin_change(app: &App, order: &Order) -> (PgTransaction<'static>, String) {
    let mut transaction = app.pool.begin().await.unwrap();
    let id = uuid::Uuid::parse_str(&order.id).unwrap();
    sqlx::query("update orders set status = 'processing', version = 2 where id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await
        .unwrap();
    let event: String = sqlx::query_scalar(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                   accepted, at, data)
         select gen_random_uuid(), 'order.processing', id, merchant_id, out_trade_no, 2, 'pending', 'processing',
                'merchant', true, now(), '{}' from orders where id = $1 returning id::text",
    )
    .bind(id)
    .fetch_one(&mut *transaction)
    .await
    .unwrap();
    (transaction, event)
}

/// Reads all there is after the cursor, by pages of that size, and moves it.
async fn read_on(app: &App, cursor: &mut String, size: usize) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let page = app.feed_page(&format!("after={cursor}&limit={size}")).await;
        events.extend(page.events);
        *cursor = page.cursor;
        if !page.has_more {
            return events;
        }
    }
}

#[tokio::test]
async fn transactions_that_commit_in_the_reverse_order_of_their_ids_are_each_found_once() {
    let app = App::spawn().await;
    let orders = app.create_orders(12, json!({})).await;
    let sizes = [1, 2, 5, 200];
    let start = app.feed_page("limit=200").await.cursor;
    let mut readers: Vec<(usize, String, Vec<Value>)> = sizes
        .map(|size| (size, start.clone(), Vec::new()))
        .into_iter()
        .collect();
    let mut open = Vec::new();
    for order in &orders[..8] {
        open.push(begin_change(&app, order).await);
    }
    let mut expected = Vec::new();
    while let Some((transaction, event)) = open.pop() {
        // The service's own go on between them, later than all of those that are open.
        let order = &orders[8 + open.len() % 4];
        assert!(app.try_report(order, json!({ "status": "refunded" })).await.status == 409);
        for (size, cursor, read) in &mut readers {
            read.extend(read_on(&app, cursor, *size).await);
        }
        transaction.commit().await.unwrap();
        expected.push(event);
        for (size, cursor, read) in &mut readers {
            read.extend(read_on(&app, cursor, *size).await);
            let last = read.last().unwrap();
            assert_eq!(
                &last["id"],
                expected.last().unwrap(),
                "the one that was just committed, page size {size}"
            );
        }
    }
    for (size, _, read) in &readers {
        assert_eq!(read.len(), 16, "page size {size}");
        let by_hand: Vec<_> = read.iter().filter(|event| event["accepted"] == true).cloned().collect();
        assert_eq!(ids_of(&by_hand), expected, "page size {size}");
    }
}

/// In any database of the cluster: a bound at the oldest running transaction would stall behind it.
#[tokio::test]
async fn a_transaction_left_open_holds_nothing_up() {
    let app = App::spawn().await;
    let elsewhere = App::spawn().await;
    let mut open = elsewhere.pool.begin().await.unwrap();
    open.execute("create table left_open (a int)").await.unwrap();
    let mut here = app.pool.begin().await.unwrap();
    here.execute("create table left_open (a int)").await.unwrap();
    let order = app.create_order().await;
    let mut cursor = app.feed_page("").await.cursor;
    for status in ["processing", "pending", "succeeded", "refunded"] {
        let held = app.held_feed(&format!("after={cursor}&wait=50")).await;
        let start = Instant::now();
        app.report(&order, status).await;
        let page = FeedPage::of(&held.await.unwrap());
        assert_eq!(page.types(), [format!("order.{status}")]);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        cursor = page.cursor;
    }
    open.rollback().await.unwrap();
    here.rollback().await.unwrap();
    let start = app.feed_page("").await;
    assert_eq!(start.events.len(), 5);
}

#[tokio::test]
async fn a_change_that_commits_late_wakes_who_waits() {
    let app = App::spawn().await;
    let (early, late) = (app.create_order().await, app.create_order().await);
    let (open, event) = begin_change(&app, &early).await;
    app.report(&late, "succeeded").await;
    let cursor = app.feed_page("").await.cursor;
    let held = app.held_feed(&format!("after={cursor}&wait=50")).await;
    open.commit().await.unwrap();
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(ids_of(&page.events), [event]);
}

#[tokio::test]
async fn cursors_are_good_over_a_restart_and_on_another_replica() {
    let app = App::spawn().await;
    for _ in 0..10 {
        app.order_at("succeeded").await;
    }
    let whole = app.whole_feed("", &[200]).await;
    let (mut read, mut cursor) = (Vec::new(), String::new());
    let mut app = app;
    for size in [3, 4, 1, 2] {
        let after = if cursor.is_empty() {
            String::new()
        } else {
            format!("&after={cursor}")
        };
        let page = app.feed_page(&format!("limit={size}{after}")).await;
        read.extend(page.events);
        cursor = page.cursor;
        let other = app.another().await;
        let page = other.feed_page(&format!("limit={size}&after={cursor}")).await;
        read.extend(page.events);
        cursor = page.cursor;
        drop(other);
        app = app.restart().await;
    }
    assert_eq!(ids_of(&read), ids_of(&whole));
    assert_eq!(check_each_order(&read), 10);
    app.create_order().await;
    assert_eq!(
        app.feed_page(&format!("after={cursor}")).await.types(),
        ["order.created"]
    );
}

#[tokio::test]
async fn events_that_were_dropped_meanwhile_are_no_error() {
    let app = App::spawn().await;
    app.create_order().await;
    let cursor = app.feed_page("").await.cursor;
    app.create_order().await;
    app.pool.execute("delete from order_events").await.unwrap();
    app.create_order().await;
    for query in [String::new(), format!("after={cursor}")] {
        assert_eq!(app.feed_page(&query).await.types(), ["order.created"]);
    }
}

/// While the database is away a held feed stays held, and others are told; afterwards all is well by itself.
#[tokio::test]
async fn an_outage_of_the_database_is_sat_out() {
    let database = std::sync::Arc::new(crate::support::TestDatabase::create().await);
    let mut gate = crate::support::Gate::before(&database.url);
    let app = App::builder()
        .flag("--database-url", &gate.url)
        .spawn_over(database)
        .await;
    let order = app.create_order().await;
    let cursor = app.feed_page("").await.cursor;
    let held = app.held_feed(&format!("after={cursor}&wait=50")).await;
    gate.shut();
    crate::support::eventually(async || app.feed("").await.status, |status| *status == 503).await;
    let refused = app.feed(&format!("after={cursor}&wait=50")).await;
    refused.problem(503, "database_unavailable");
    assert!(!held.is_finished());
    gate.open();
    crate::support::eventually(
        async || app.try_report(&order, json!({ "status": "succeeded" })).await.status,
        |status| *status == 200,
    )
    .await;
    assert_eq!(FeedPage::of(&held.await.unwrap()).types(), ["order.succeeded"]);
}
