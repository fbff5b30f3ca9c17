//! SIGTERM: every stream is closed politely, within seconds, and none with zero bytes.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::support::socket::Socket;
use crate::support::{App, Order, Piece, Process, RawConnection, eventually};

const SECONDS: Duration = Duration::from_secs(10);

async fn process() -> (Process, App, Order) {
    let builder = App::builder()
        .flag("--drain-ms", "500")
        // Those who were there first are asked for no pong, however long the last one takes to come.
        .flag("--heartbeat", "300")
        .flag("--max-held-per-order", "2000");
    let (process, app) = builder.spawn_process().await;
    let order = app.create_order().await;
    (process, app, order)
}

fn closing(mut socket: Socket) -> JoinHandle<Option<u16>> {
    tokio::spawn(async move { socket.close_code().await })
}

#[tokio::test]
async fn a_thousand_sockets_are_told_that_the_service_goes_away_and_the_process_ends_well() {
    let (mut process, app, order) = process().await;
    let mut sockets = Vec::new();
    for _ in 0..1000 {
        sockets.push(app.follow(&order).await);
    }
    app.wait_for_held(1000).await;
    let waiting: Vec<_> = sockets.into_iter().map(closing).collect();
    process.signal(Signal::TERM);
    for socket in waiting {
        assert_eq!(socket.await.unwrap(), Some(1001));
    }
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < SECONDS, "{took:?}");
}

#[tokio::test]
async fn every_kind_of_stream_is_ended_in_its_own_polite_way() {
    let (mut process, app, order) = process().await;
    let merchant = app.follow_merchant(&app.api_key).await;
    let payer = app.follow(&order).await;
    let echo = app.socket("/v1/echo").await;
    let mut events = app.stream(&order).await;
    app.wait_for_held(4).await;
    let unauthenticated = app.socket("/v1/ws").await; // the last one: it has five seconds
    let waiting: Vec<_> = [unauthenticated, merchant, payer, echo]
        .into_iter()
        .map(closing)
        .collect();
    process.signal(Signal::TERM);
    for socket in waiting {
        assert_eq!(socket.await.unwrap(), Some(1001));
    }
    let rest = events.rest().await;
    let [Piece::Retry(_), Piece::Event { id: 1, .. }, Piece::Retry(milliseconds)] = &*rest else {
        panic!("{rest:?}");
    };
    assert!((2000..=3000).contains(milliseconds));
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < SECONDS, "{took:?}");
}

#[tokio::test]
async fn a_stream_of_events_that_has_nothing_to_tell_ends_with_more_than_nothing() {
    let (process, app, order) = process().await;
    let request = format!(
        "GET {}?last_event_id=1 HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let mut connections = Vec::new();
    for _ in 0..100 {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(request.as_bytes()).await;
        connections.push(connection);
    }
    app.wait_for_held(100).await;
    process.signal(Signal::TERM);
    for mut connection in connections {
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        assert_eq!(answer.matches("retry: ").count(), 2, "{answer:?}");
        assert!(
            answer.ends_with("\r\n0\r\n\r\n"),
            "the body ends as it must: {answer:?}"
        );
    }
}

/// What is authenticated and follows nothing has no place, and is waited for all the same: for longer than answers get that are being written.
#[tokio::test]
async fn a_socket_that_follows_nothing_is_told_of_the_stop_however_long_the_drain_takes() {
    let (mut process, app) = App::builder().flag("--drain-ms", "7000").spawn_process().await;
    let order = app.create_order().await;
    let (mut sockets, mut stomps) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        let mut socket = app.follow(&order).await;
        socket
            .send(&json!({ "type": "unsubscribe", "order_id": order.id }))
            .await;
        while socket.next().await["msgType"] != "unsubscribe_ack" {}
        sockets.push(socket);
        let mut stomp = app.stomp().await;
        stomp.connect(&[&format!("api-key:{}", app.api_key)]).await;
        stomps.push(stomp);
    }
    app.wait_for_held(0).await;
    let sockets: Vec<_> = sockets.into_iter().map(closing).collect();
    process.signal(Signal::TERM);
    for mut stomp in stomps {
        assert_eq!(stomp.close_code().await, 1001);
    }
    for socket in sockets {
        assert_eq!(socket.await.unwrap(), Some(1001));
    }
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}

#[tokio::test]
async fn clients_that_do_not_listen_do_not_hold_the_stop_up() {
    let (mut process, app, order) = process().await;
    let mut deaf = Vec::new();
    for _ in 0..50 {
        deaf.push(app.follow(&order).await); // never read again
    }
    app.wait_for_held(50).await;
    process.signal(Signal::TERM);
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < SECONDS, "{took:?}");
    for mut socket in deaf {
        assert_eq!(socket.close_code().await, Some(1001));
    }
}

#[tokio::test]
async fn while_it_drains_nobody_is_followed_any_more() {
    // So long that those who stay keep the door open until all was asked, whichever of them is let go first.
    let builder = App::builder().flag("--drain-ms", "60000");
    let (process, app) = builder.spawn_process().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let mut stays = Vec::new();
    for _ in 0..20 {
        stays.push(app.follow(&order).await);
    }
    app.wait_for_held(20).await;
    let mut late = app.socket("/v1/ws").await;
    process.signal(Signal::TERM);
    // (`/readyz` says so a moment before nobody is followed any more.)
    let opened = async || app.try_socket("/v1/echo", &[]).await.is_ok();
    eventually(opened, |opened| !opened).await;
    let start = Instant::now();
    late.send(&json!({ "type": "auth", "order_id": other.id, "client_secret": other.secret }))
        .await;
    assert_eq!(late.next().await["msgType"], "auth_ack");
    late.refusal(503, "no_place").await;
    assert_eq!(late.document().await["version"], 1);
    let mut events = app.stream(&other).await;
    let pieces = events.rest().await;
    assert!(
        matches!(&*pieces, [Piece::Retry(10_000), Piece::Event { id: 1, .. }]),
        "{pieces:?}"
    );
    assert!(start.elapsed() < SECONDS, "{:?}", start.elapsed());
}
