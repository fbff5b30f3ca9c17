//! SIGTERM: every held request is answered, nobody gets zero bytes, and the process is gone within seconds.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::task::JoinHandle;

use crate::support::{Answer, App, Order, Process, RawConnection, eventually};

const SECONDS: Duration = Duration::from_secs(10);
/// So long that a process which drains is there for whatever a test still asks it; a report then lets go of all who wait.
const FOR_A_MINUTE: &str = "60000";

/// A process that drains for `drain_ms`, with an order and that many requests held on it.
async fn process_with_held(drain_ms: &str, held: usize) -> (Process, App, Order, Vec<JoinHandle<Answer>>) {
    let builder = App::builder()
        .flag("--drain-ms", drain_ms)
        .flag("--max-held-per-order", "1000");
    let (process, app) = builder.spawn_process().await;
    let order = app.create_order().await;
    let holds = (0..held).map(|n| {
        let ask = app.ask(&order).query("wait", 50);
        let ask = if n % 2 == 0 {
            ask.if_none_match("\"1\"")
        } else {
            ask.query("since_version", 1)
        };
        ask.spawn()
    });
    let holds = holds.collect();
    app.wait_for_held(held).await;
    (process, app, order, holds)
}

#[tokio::test]
async fn every_held_request_is_answered_and_the_process_ends_well() {
    let (mut process, _app, _order, holds) = process_with_held("500", 200).await;
    process.signal(Signal::TERM);
    for (n, hold) in holds.into_iter().enumerate() {
        let answer = hold.await.unwrap();
        assert_eq!(answer.status, if n % 2 == 0 { 304 } else { 200 });
        assert_eq!((answer.header("connection"), answer.header("etag")), ("close", "\"1\""));
        assert_eq!(answer.text.is_empty(), n % 2 == 0);
    }
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < SECONDS, "{took:?}");
}

#[tokio::test]
async fn ctrl_c_drains_too() {
    let (mut process, _app, _order, holds) = process_with_held("200", 10).await;
    process.signal(Signal::INT);
    for hold in holds {
        assert!(matches!(hold.await.unwrap().status, 200 | 304));
    }
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}

#[tokio::test]
async fn a_second_signal_ends_the_process_without_waiting() {
    let (mut process, app, _order, holds) = process_with_held(FOR_A_MINUTE, 20).await;
    process.signal(Signal::TERM);
    eventually(async || app.get("/readyz").await.status, |status| *status == 503).await;
    process.signal(Signal::TERM);
    let (code, took) = process.wait();
    assert_ne!(code, Some(0), "held requests were cut off, and that is no success");
    assert!(took < SECONDS, "{took:?}");
    for hold in holds {
        hold.abort();
    }
}

#[tokio::test]
async fn while_it_drains_the_process_is_not_ready_and_holds_nobody() {
    let (mut process, app, order, holds) = process_with_held(FOR_A_MINUTE, 200).await;
    assert_eq!(app.get("/readyz").await.status, 200);
    process.signal(Signal::TERM);
    let not_ready = eventually(async || app.get("/readyz").await, |answer| answer.status != 200).await;
    not_ready.problem(503, "stopping");
    assert_eq!(not_ready.header("retry-after"), "1");
    assert_eq!(app.get("/healthz").await.status, 200);
    let start = Instant::now();
    let late = app.ask(&order).if_none_match("\"1\"").query("wait", 50).send().await;
    assert_eq!((late.status, late.header("connection")), (304, "close"));
    assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
    assert!(app.metric("payquery_polls_total", "outcome=\"drained\"").await >= 1.0);
    app.report(&order, "succeeded").await;
    for hold in holds {
        assert!(matches!(hold.await.unwrap().status, 200 | 304));
    }
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}

#[tokio::test]
async fn a_request_that_is_woken_while_the_process_drains_gets_the_new_version() {
    let (mut process, app, order, holds) = process_with_held(FOR_A_MINUTE, 200).await;
    process.signal(Signal::TERM);
    eventually(async || app.get("/readyz").await.status, |status| *status == 503).await;
    assert_eq!(app.report(&order, "succeeded").await["version"], 2);
    let mut woken = 0;
    for hold in holds {
        let answer = hold.await.unwrap();
        // Those whose turn came before the report were told that nothing had changed.
        if answer.header("etag") == "\"2\"" {
            assert_eq!((answer.status, answer.version()), (200, 2));
            woken += 1;
        }
    }
    assert!(woken > 0, "none was still held when the report came");
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}

/// Answers are spread, so that the clients do not all come back elsewhere in the same instant.
#[tokio::test]
async fn held_requests_are_answered_one_after_the_other() {
    let (process, app, order, holds) = process_with_held(FOR_A_MINUTE, 100).await;
    process.signal(Signal::TERM);
    // The first few of a hundred draws from a minute come within seconds, and most of the others much later. (Half of them would
    // be over in half a minute, which no machine stands still for.)
    let held = async || app.metric("payquery_held_requests", "").await;
    eventually(held, |held| *held <= 97.0).await;
    // (If all were answered at once, they might just have been seen at it; a second later it would be over.)
    tokio::time::sleep(Duration::from_secs(1)).await;
    let still_held = held().await;
    assert!(still_held > 50.0, "{still_held} of a hundred are still held");
    app.report(&order, "succeeded").await;
    for hold in holds {
        assert!(matches!(hold.await.unwrap().status, 200 | 304));
    }
}

/// The same, counted in bytes: a client that never parsed an answer would not notice an empty one.
#[tokio::test]
async fn no_connection_with_a_held_request_is_closed_without_an_answer() {
    let (process, app) = App::builder().flag("--drain-ms", "300").spawn_process().await;
    let order = app.create_order().await;
    let request = format!(
        "GET {}?wait=50&since_version=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let mut connections = Vec::new();
    for _ in 0..50 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(request.as_bytes()).await;
        connections.push(connection);
    }
    app.wait_for_held(50).await;
    process.signal(Signal::TERM);
    for mut connection in connections {
        let answer = connection.read_to_end().await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.ends_with('}'),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_the_stop_is_there_after_the_next_start() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    app.begin_stop();
    assert_eq!(held.await.unwrap().status, 304);
    let app = app.restart().await;
    app.report(&order, "succeeded").await;
    assert_eq!(app.ask(&order).if_none_match("\"1\"").send().await.version(), 2);
}
