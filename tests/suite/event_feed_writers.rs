//! The feed while sixty-four write at once: its readers see every event once, and each order's in the order of its versions.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::feed::{FeedPage, check_each_order};
use crate::support::{App, Order, eventually};

const WRITERS: usize = 64;
const ROUNDS: usize = 6;

/// One merchant's backend: creations, reports, rejections, repeats, orders that nobody pays in time, and orders that all the
/// others report on as well.
async fn write(app: Arc<App>, contended: Arc<Vec<Order>>, writer: usize) {
    for round in 0..ROUNDS {
        let order = app.create_order().await;
        if (writer + round).is_multiple_of(3) {
            app.create_order_with(json!({ "expires_in": 1 })).await;
        }
        app.report(&order, "processing").await;
        let shared = &contended[fastrand::usize(..contended.len())];
        for status in ["processing", "pending"] {
            let code = app.try_report(shared, json!({ "status": status })).await.status;
            assert!([200, 409].contains(&code), "{code}");
        }
        let rejected = app
            .try_report(&order, json!({ "status": "succeeded", "amount": 1 }))
            .await;
        assert_eq!(rejected.status, 409);
        app.report(&order, "succeeded").await;
        app.report(&order, "succeeded").await;
        assert_eq!(app.try_report(&order, json!({ "status": "closed" })).await.status, 409);
    }
}

/// Follows from the oldest event on, by held pages of odd sizes, until the writers are done and nothing is left.
fn follow(app: &Arc<App>, done: &Arc<AtomicBool>, sizes: &'static [u8]) -> JoinHandle<Vec<Value>> {
    let (app, done) = (Arc::clone(app), Arc::clone(done));
    tokio::spawn(async move {
        let (mut events, mut after) = (Vec::new(), String::new());
        for size in sizes.iter().cycle() {
            let was_done = done.load(Ordering::SeqCst);
            let wait = u8::from(!was_done);
            let page = FeedPage::of(&app.feed(&format!("limit={size}&wait={wait}{after}")).await);
            let is_end = page.events.is_empty() && !page.has_more;
            events.extend(page.events);
            after = format!("&after={}", page.cursor);
            if was_done && is_end {
                break;
            }
        }
        events
    })
}

/// The same by lines, of which many answers are cut off in the middle: it goes on from the last whole line.
fn follow_lines(app: &Arc<App>, done: &Arc<AtomicBool>) -> JoinHandle<Vec<Value>> {
    let (app, done) = (Arc::clone(app), Arc::clone(done));
    tokio::spawn(async move {
        let (mut events, mut after) = (Vec::new(), String::new());
        loop {
            let was_done = done.load(Ordering::SeqCst);
            let mut lines = app.feed_lines(&format!("wait={}{after}", u8::from(!was_done))).await;
            let mut left = fastrand::usize(1..300);
            let is_end = loop {
                let line = lines.line().await;
                after = format!("&after={}", line["cursor"].as_str().unwrap());
                if line.get("id").is_none() {
                    break line["has_more"] == false;
                }
                events.push(line);
                left -= 1;
                if left == 0 {
                    break false;
                }
            };
            if was_done && is_end {
                return events;
            }
        }
    })
}

/// The ids of all events in the log.
async fn logged(app: &App) -> HashSet<String> {
    let ids: Vec<String> = sqlx::query_scalar("select id::text from order_events")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    ids.into_iter().collect()
}

#[track_caller]
fn check(name: &str, events: &[Value], logged: &HashSet<String>) {
    let told: HashSet<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(events.len(), told.len(), "{name}: none is told twice");
    assert_eq!(told.len(), logged.len(), "{name}: none is missing");
    assert!(told.iter().all(|id| logged.contains(*id)), "{name}");
    check_each_order(events);
}

async fn wait_until_all_overdue_are_closed(app: &App) {
    let open = async || {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from orders where status in ('pending', 'processing') and expires_at < now() + interval '60 s'",
        )
        .fetch_one(&app.pool)
        .await
        .unwrap()
    };
    eventually(open, |open| *open == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_sixty_four_writers_every_reader_sees_each_event_once_and_each_order_in_its_order() {
    let one = Arc::new(App::builder().flag("--db-connections", "12").spawn().await);
    let other = Arc::new(one.another().await);
    let done = Arc::new(AtomicBool::new(false));
    let early = [
        ("at the writers' replica", follow(&one, &done, &[1, 7, 50, 3, 200])),
        ("at the other one", follow(&other, &done, &[13, 2, 111])),
        ("lines", follow_lines(&other, &done)),
    ];
    let contended = Arc::new(one.create_orders(5, json!({})).await);
    let writers = (0..WRITERS).map(|writer| {
        let app = if writer % 3 == 0 { &other } else { &one };
        tokio::spawn(write(Arc::clone(app), Arc::clone(&contended), writer))
    });
    let writers: Vec<_> = writers.collect();
    eventually(async || logged(&one).await.len(), |count| *count > WRITERS * ROUNDS).await;
    let late = ("joined late", follow(&one, &done, &[17, 1, 64]));
    for writer in join_all(writers).await {
        writer.unwrap();
    }
    wait_until_all_overdue_are_closed(&one).await;
    done.store(true, Ordering::SeqCst);
    let logged = logged(&one).await;
    assert!(logged.len() > WRITERS * ROUNDS * 5, "{}", logged.len());
    for (name, reader) in early.into_iter().chain([late]) {
        check(name, &reader.await.unwrap(), &logged);
    }
    let afterwards = one.whole_feed("", &[199]).await;
    check("afterwards", &afterwards, &logged);
}

/// Each order is reported on by both replicas just when both want to close it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_stay_in_each_orders_order_when_expiry_and_reports_fight_for_the_same_orders() {
    let one = Arc::new(App::spawn().await);
    let other = Arc::new(one.another().await);
    let done = Arc::new(AtomicBool::new(false));
    let reader = follow(&one, &done, &[3, 29, 1]);
    let orders = Arc::new(one.create_orders(60, json!({})).await);
    let reporting = (0..8).map(|n| {
        let (app, orders) = (Arc::clone(if n % 2 == 0 { &one } else { &other }), Arc::clone(&orders));
        tokio::spawn(async move {
            // Until its time has closed it: then the report is rejected.
            let mut open: Vec<&Order> = orders.iter().collect();
            let mut round = n;
            while !open.is_empty() {
                round += 1;
                let status = ["processing", "pending"][round % 2];
                let mut still = Vec::new();
                for order in open {
                    match app.try_report(order, json!({ "status": status })).await.status {
                        200 => still.push(order),
                        409 => {}
                        other => panic!("{other}"),
                    }
                }
                open = still;
            }
        })
    });
    let reporting: Vec<_> = reporting.collect();
    eventually(async || logged(&one).await.len(), |count| *count > 60 * 4).await;
    sqlx::query("update orders set expires_at = now()")
        .execute(&one.pool)
        .await
        .unwrap();
    for reporting in join_all(reporting).await {
        reporting.unwrap();
    }
    wait_until_all_overdue_are_closed(&one).await;
    done.store(true, Ordering::SeqCst);
    let events = reader.await.unwrap();
    check("the reader", &events, &logged(&one).await);
    let closed = events.iter().filter(|event| event["source"] == "expiry").count();
    assert_eq!(closed, 60, "each by its time, and once");
}
