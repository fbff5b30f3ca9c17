//! No wake-up is lost, and no version goes backwards for any one client, while reports and requests race.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::{Answer, App, Asking, Order};

const WAIT: u32 = 50;
/// Below the shortest hold of [`WAIT`]: whoever is answered within this was woken.
const WELL_BEFORE_ITS_TIME: Duration = Duration::from_secs(40);

/// A request that is held in one of three ways, sent after up to two milliseconds.
fn ask_soon(app: &App, order: &Order) -> JoinHandle<(Answer, Duration)> {
    let ask = app.ask(order).query("wait", WAIT);
    let ask = match fastrand::u8(..3) {
        0 => ask.if_none_match("\"1\""),
        1 => ask.query("since_version", 1),
        _ => ask.query("until", "final"),
    };
    let delay = Duration::from_micros(fastrand::u64(..2000));
    tokio::spawn(async move {
        tokio::time::sleep(delay).await; // so that the report comes before, between and after the steps of the hold
        let start = Instant::now();
        (ask.send().await, start.elapsed())
    })
}

/// Registered, then read, then waited: a report that lands between any two of these is seen.
#[tokio::test]
async fn hundreds_of_holds_and_reports_that_race_lose_no_wake_up() {
    let app = App::builder().flag("--workers", "2").spawn().await;
    for round in 0..3 {
        let orders = app.create_orders(150, json!({})).await;
        let mut holds = Vec::new();
        let mut reports = Vec::new();
        for order in &orders {
            if fastrand::bool() {
                holds.push(ask_soon(&app, order));
                reports.push(app.spawn_report(order, "succeeded"));
            } else {
                reports.push(app.spawn_report(order, "succeeded"));
                holds.push(ask_soon(&app, order));
            }
        }
        for report in reports {
            assert_eq!(report.await.unwrap().status, 200);
        }
        for hold in holds {
            let (answer, elapsed) = hold.await.unwrap();
            assert_eq!((answer.status, answer.version()), (200, 2), "round {round}");
            assert!(elapsed < WELL_BEFORE_ITS_TIME, "round {round}: {elapsed:?}");
        }
    }
    app.wait_for_held(0).await;
}

/// The order is read from the database for these holds, while it is being changed.
#[tokio::test]
async fn holds_of_a_cold_order_that_race_with_its_report_lose_no_wake_up() {
    let app = App::builder().flag("--workers", "2").spawn().await;
    for round in 0..40 {
        let order = app.create_order().await;
        let before: Vec<_> = (0..3).map(|_| ask_soon(&app, &order)).collect();
        let report = app.spawn_report(&order, "succeeded");
        let after: Vec<_> = (0..3).map(|_| ask_soon(&app, &order)).collect();
        assert_eq!(report.await.unwrap().status, 200);
        for hold in before.into_iter().chain(after) {
            let (answer, elapsed) = hold.await.unwrap();
            assert_eq!((answer.status, answer.version()), (200, 2), "round {round}");
            assert!(elapsed < WELL_BEFORE_ITS_TIME, "round {round}: {elapsed:?}");
        }
    }
}

#[tokio::test]
async fn a_hundred_holds_of_one_order_are_all_woken_by_one_report() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let holds: Vec<_> = (0..100)
        .map(|_| app.ask(&order).if_none_match("\"1\"").query("wait", WAIT).spawn())
        .collect();
    app.wait_for_held(100).await;
    app.report(&order, "succeeded").await;
    for hold in holds {
        let answer = hold.await.unwrap();
        assert_eq!((answer.status, answer.version()), (200, 2));
    }
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"woken\"").await, 100.0);
}

/// Asks in ways chosen at random until the order is final, and counts its new documents in `seen`. Panics when an answer is
/// older than the one before. Gives back the last version.
async fn follow(http: reqwest::Client, url: String, secret: String, seen: Arc<AtomicUsize>) -> i64 {
    let mut last = 0;
    loop {
        let ask = Asking(http.get(&url).bearer_auth(&secret));
        let tag = format!("\"{last}\"");
        let ask = match fastrand::u8(..20) {
            0..5 => ask,
            5..10 => ask.if_none_match(&tag),
            10..14 => ask.query("since_version", last).query("wait", WAIT),
            14..18 => ask.if_none_match(&tag).query("wait", WAIT),
            18 => ask.if_none_match(&tag).header("prefer", "wait=1"),
            _ => ask.query("until", "final").query("wait", 1),
        };
        let answer = ask.send().await;
        let version = answer.header("etag").trim_matches('"').parse().unwrap();
        assert!(version >= last, "after {last} came {version}: {answer:?}");
        if answer.status == 304 {
            assert_eq!(version, last);
            continue;
        }
        assert_eq!((answer.status, answer.version()), (200, version));
        seen.fetch_add(usize::from(version > last), Ordering::Relaxed);
        if answer.json()["final"] == true {
            return version;
        }
        last = version;
    }
}

#[tokio::test]
async fn versions_never_go_backwards_for_any_client_while_an_order_changes() {
    let app = App::builder().flag("--workers", "2").spawn().await;
    let order = app.create_order().await;
    let seen = Arc::new(AtomicUsize::new(0));
    let client = || {
        follow(
            app.http.clone(),
            app.url(&order.status_path()),
            order.secret.clone(),
            Arc::clone(&seen),
        )
    };
    let clients: Vec<_> = (0..12).map(|_| tokio::spawn(client())).collect();
    // Two at once: their changes may well be told in another order than they were made.
    let write = async || {
        while seen.load(Ordering::Relaxed) < 500 {
            app.report(&order, "processing").await;
            app.report(&order, "pending").await;
        }
    };
    tokio::join!(write(), write());
    let last = app.report(&order, "succeeded").await["version"].as_i64().unwrap();
    for client in clients {
        assert_eq!(client.await.unwrap(), last);
    }
}
