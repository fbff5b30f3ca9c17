//! The event feed held like a long-poll: what wakes it, what it costs, and how it ends.

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use crate::support::feed::FeedPage;
use crate::support::{Answer, App, Process, RawConnection};

/// Far below the shortest hold of 50 s.
const SOON: Duration = Duration::from_secs(15);

#[tokio::test]
async fn creations_reports_rejections_and_expiry_wake_it_with_just_that() {
    let app = App::spawn().await;
    let cursor = app.feed_page("").await.cursor;
    let held = app.held_feed(&format!("after={cursor}&wait=50")).await;
    let order = app.create_order().await;
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.created"]);

    let held = app.held_feed(&format!("after={}&wait=50", page.cursor)).await;
    app.report(&order, "succeeded").await;
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.succeeded"]);

    let held = app.held_feed(&format!("after={}&wait=50", page.cursor)).await;
    assert_eq!(app.try_report(&order, json!({ "status": "closed" })).await.status, 409);
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.rejected"]);

    let held = app
        .held_feed(&format!("after={}&wait=50&types=order.closed", page.cursor))
        .await;
    app.create_order_with(json!({ "expires_in": 1 })).await;
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.closed"]);
    assert_eq!(page.events[0]["source"], "expiry");
    assert_eq!(
        app.metric("payquery_event_feed_requests_total", "outcome=\"woken\"")
            .await,
        4.0
    );
}

#[tokio::test]
async fn what_another_replica_commits_wakes_it_within_the_tick() {
    let one = App::spawn().await;
    let other = one.another().await;
    let order = one.create_order().await;
    let mut cursor = other.feed_page("").await.cursor;
    for _ in 0..3 {
        let held = other.held_feed(&format!("after={cursor}&wait=50")).await;
        let start = Instant::now();
        assert_eq!(
            one.try_report(&order, json!({ "status": "refunded" })).await.status,
            409
        );
        let page = FeedPage::of(&held.await.unwrap());
        assert_eq!(page.types(), ["order.rejected"]);
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        cursor = page.cursor;
    }
    let held = other.held_feed(&format!("after={cursor}&wait=50")).await;
    one.report(&order, "succeeded").await;
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.succeeded"]);
    let held = other.held_feed(&format!("after={}&wait=50", page.cursor)).await;
    one.create_order().await;
    assert_eq!(FeedPage::of(&held.await.unwrap()).types(), ["order.created"]);
}

#[tokio::test]
async fn events_of_other_types_and_other_merchants_leave_it_held() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let cursor = app.feed_page("").await.cursor;
    let held = app
        .held_feed(&format!("after={cursor}&wait=50&types=order.succeeded"))
        .await;
    let rival = app.key_of("rival").await;
    for n in 0..20 {
        app.report(&order, ["processing", "pending"][n % 2]).await;
        let theirs = app.http.post(app.url("/v1/orders")).bearer_auth(&rival);
        let body = json!({ "out_trade_no": format!("R-{n}"), "amount": 1, "currency": "CNY" });
        assert_eq!(Answer::to(theirs.json(&body)).await.status, 201);
    }
    assert!(!held.is_finished());
    app.report(&order, "succeeded").await;
    let page = FeedPage::of(&held.await.unwrap());
    assert_eq!(page.types(), ["order.succeeded"]);
    assert!(app.feed_page(&format!("after={}", page.cursor)).await.events.is_empty());
}

#[tokio::test]
async fn a_hold_is_shortened_by_up_to_a_sixteenth_and_ends_with_an_empty_page() {
    let app = App::builder().flag("--max-wait", "2").spawn().await;
    let cursor = app.feed_page("").await.cursor;
    for (query, preferred) in [("wait=99", false), ("wait=2", true), ("", true)] {
        let mut request = app.merchant(Method::GET, &format!("/v1/events?after={cursor}&{query}"));
        if preferred {
            request = request.header("prefer", "wait=2");
        }
        let start = Instant::now();
        let answer = Answer::to(request).await;
        let took = start.elapsed();
        let page = FeedPage::of(&answer);
        assert!(page.events.is_empty() && !page.has_more && !page.cursor.is_empty());
        assert!(took > Duration::from_millis(1870) && took < SOON, "{took:?}");
        let acknowledged = if query.is_empty() { "wait=2" } else { "" };
        assert_eq!(answer.header("preference-applied"), acknowledged);
        assert!(!answer.has_header("x-poll-interval"), "it may come again at once");
    }
    let counted = app
        .metric("payquery_event_feed_requests_total", "outcome=\"timed_out\"")
        .await;
    assert_eq!(counted, 3.0);
}

#[tokio::test]
async fn what_is_there_already_is_answered_at_once_whatever_the_wait() {
    let app = App::spawn().await;
    app.create_order().await;
    let start = Instant::now();
    let page = app.feed_page("wait=50").await;
    assert_eq!((page.events.len(), page.has_more), (1, false));
    assert!(start.elapsed() < SOON);
}

#[tokio::test]
async fn past_the_limit_it_is_answered_at_once_and_asked_to_come_later() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let held = app.held_feed("wait=50").await;
    let start = Instant::now();
    let answer = app.feed("wait=50").await;
    assert!(FeedPage::of(&answer).events.is_empty() && start.elapsed() < SOON);
    assert!(
        answer.header("x-poll-interval").parse::<u32>().unwrap() >= 4,
        "{answer:?}"
    );
    let mut lines = app.feed_lines("wait=50").await;
    assert!(lines.headers.contains_key("x-poll-interval"));
    assert!(lines.rest().await.0.is_empty() && start.elapsed() < SOON);
    let counted = app
        .metric("payquery_event_feed_requests_total", "outcome=\"degraded\"")
        .await;
    assert_eq!(counted, 2.0);
    app.create_order().await;
    assert_eq!(FeedPage::of(&held.await.unwrap()).events.len(), 1);
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_frees_its_place() {
    let app = App::spawn().await;
    for accept in ["application/json", "application/x-ndjson"] {
        let mut connections = Vec::new();
        for _ in 0..4 {
            let mut connection = RawConnection::open(app.address).await;
            let head = app.head("GET", "/v1/events?wait=50", &format!("Accept: {accept}\r\n"));
            connection.send(head.as_bytes()).await;
            connections.push(connection);
        }
        app.wait_for_held(4).await;
        for (n, connection) in connections.into_iter().enumerate() {
            if n % 2 == 0 {
                connection.close().await;
            } else {
                connection.reset();
            }
        }
        app.wait_for_held(0).await;
    }
}

/// Forty are held with two connections to the database, and reports go on: none of them has one. Nor do they ask.
#[tokio::test]
async fn a_held_feed_has_no_connection_and_asks_nothing() {
    let app = App::builder().flag("--db-connections", "2").spawn().await;
    let order = app.create_order().await;
    let cursor = app.feed_page("").await.cursor;
    let rival = app.key_of("rival").await;
    let reads = async || {
        app.database
            .count_statements(&["order_events", "pg_visible_in_snapshot"])
            .await
    };
    let mut held = Vec::new();
    for n in 0..40 {
        let path = format!("/v1/events?after={cursor}&wait=50");
        let request = app.merchant(Method::GET, &path);
        let request = if n % 2 == 0 {
            request
        } else {
            request.header("accept", "application/x-ndjson")
        };
        held.push(tokio::spawn(Answer::to(request)));
        // (One after the other: on a slow machine forty first looks at once would outlast their patience.)
        app.wait_for_held(n + 1).await;
    }
    let before = reads().await;
    let theirs = |n: usize| {
        let request = app.http.post(app.url("/v1/orders")).bearer_auth(&rival);
        request.json(&json!({ "out_trade_no": format!("R-{n}"), "amount": 1, "currency": "CNY" }))
    };
    for n in 0..50 {
        assert_eq!(Answer::to(theirs(n)).await.status, 201);
    }
    // Nor for the order, when this process's own feed comes by its creation: they have read that.
    assert_eq!(
        reads().await - before,
        0,
        "and nothing happened to this merchant's orders"
    );
    let start = Instant::now();
    app.report(&order, "succeeded").await;
    for (n, held) in held.into_iter().enumerate() {
        if n % 2 == 0 {
            assert_eq!(FeedPage::of(&held.await.unwrap()).types(), ["order.succeeded"]);
        } else {
            held.abort();
        }
    }
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

/// The process tells its own commits at once, and its feed comes by them within a tick.
#[tokio::test]
async fn an_event_is_one_look_for_each_who_is_held_though_the_feed_tells_of_it_again() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let count = async |words: &[&str]| app.database.count_statements(words).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut lines = app.feed_lines("wait=50").await;
        lines.line().await;
        streams.push(lines);
    }
    let looks = async || count(&["order_events", "pg_visible_in_snapshot"]).await;
    let before = looks().await;
    for n in 0..5 {
        app.report(&order, ["processing", "pending"][n % 2]).await;
        for lines in &mut streams {
            lines.line().await;
        }
        // Two more of its readings: one of them began after the commit.
        let readings = async || count(&["with since", "changed"]).await;
        let read = readings().await;
        crate::support::eventually(readings, |now| *now >= read + 2).await;
    }
    let looks = looks().await - before;
    // Two for each would be 200. (Where the feed comes by an event before the process has told of it, which it does without a
    // transaction, all twenty look twice.)
    assert!((100..=180).contains(&looks), "{looks} looks of twenty at five events");
}

/// In hundredths of a second: user and system time (proc_pid_stat(5)).
fn processor_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Hundredths of a second that the process uses while one request is held, and answered when its time is up.
async fn used_during_a_hold(process: &Process, app: &App, cursor: &str) -> u64 {
    let before = processor_time(process.id());
    let answer = app.feed(&format!("after={cursor}&wait=3")).await;
    assert!(FeedPage::of(&answer).events.is_empty());
    processor_time(process.id()) - before
}

#[tokio::test]
async fn two_hundred_that_are_held_take_no_more_processor_time_than_none() {
    let (process, app) = App::builder().spawn_process().await;
    let cursor = app.feed_page("").await.cursor;
    let alone = used_during_a_hold(&process, &app, &cursor).await;
    let mut held = Vec::new();
    for merchant in ["one", "two", "three", "four"] {
        let key = app.key_of(merchant).await;
        for _ in 0..5 {
            held.extend((0..10).map(|_| {
                let request = app.http.get(app.url("/v1/events?wait=55"));
                tokio::spawn(Answer::to(request.bearer_auth(&key)))
            }));
            // (On a machine that is busy with other tests all their first looks at once would outlast their patience.)
            app.wait_for_held(held.len()).await;
        }
    }
    let among_many = used_during_a_hold(&process, &app, &cursor).await;
    assert!(held.iter().all(|held| !held.is_finished()));
    assert!(
        among_many < alone + 20,
        "{alone}, then {among_many} hundredths of a second"
    );
    for held in held {
        held.abort();
    }
}

#[tokio::test]
async fn at_a_stop_every_held_feed_is_answered() {
    let (mut process, app) = App::builder().flag("--drain-ms", "300").spawn_process().await;
    let cursor = app.feed_page("").await.cursor;
    let mut pages = Vec::new();
    for _ in 0..20 {
        let path = format!("/v1/events?after={cursor}&wait=50");
        pages.push(tokio::spawn(Answer::to(app.merchant(Method::GET, &path))));
    }
    let mut lines = Vec::new();
    for _ in 0..5 {
        lines.push(app.feed_lines(&format!("after={cursor}&wait=50")).await);
    }
    app.wait_for_held(25).await;
    process.signal(Signal::TERM);
    for page in pages {
        let answer = page.await.unwrap();
        let page = FeedPage::of(&answer);
        assert!(page.events.is_empty() && !page.cursor.is_empty());
        assert_eq!(
            (answer.header("connection"), answer.has_header("x-poll-interval")),
            ("close", true)
        );
    }
    for mut lines in lines {
        let (events, end) = lines.rest().await;
        assert_eq!((events.len(), &end["has_more"]), (0, &json!(false)));
    }
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn a_key_that_was_revoked_meanwhile_is_told_nothing_more() {
    let app = App::spawn().await;
    let (page, mut lines) = (app.held_feed("wait=50").await, app.feed_lines("wait=50").await);
    app.wait_for_held(2).await;
    sqlx::query("update api_keys set revoked_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    let refused = async || app.feed("").await.status;
    crate::support::eventually(refused, |status| *status == 401).await;
    // By another key's owner of the same merchant.
    let key = app.key_of("acme").await;
    let request = app.http.post(app.url("/v1/orders")).bearer_auth(&key);
    let body = json!({ "out_trade_no": "A-1", "amount": 1, "currency": "CNY" });
    assert_eq!(Answer::to(request.json(&body)).await.status, 201);
    page.await.unwrap().problem(401, "unauthorized");
    assert!(lines.try_line().await.is_err(), "it breaks off");
}
