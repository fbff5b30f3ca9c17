//! Slow readers lose nothing but what lies between; dead ones are cut off. (Those who take nothing at all: `echo.rs`.)

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::socket::{auth, frame};
use crate::support::{App, Order, eventually};

/// Reports `processing` and `pending` in turns, and then the end.
async fn change(app: &App, order: &Order, times: usize) {
    for n in 0..times {
        app.report(order, ["processing", "pending"][n % 2]).await;
    }
    app.report(order, "succeeded").await;
}

/// That only the latest is kept for whoever does not read is tested where it is kept (`src/service/follow.rs`): what the kernel
/// takes in its place is not ours to say.
#[tokio::test]
async fn streams_that_are_read_late_show_versions_in_their_order_and_the_last_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (mut socket, mut events) = (app.follow(&order).await, app.stream(&order).await);
    app.wait_for_held(2).await;
    change(&app, &order, 300).await;
    let mut last = 0;
    while last < 302 {
        let version = socket.document().await["version"].as_i64().unwrap();
        assert!(last < version, "{last}, then {version}");
        last = version;
    }
    let mut last = 0;
    while let Some(document) = events.try_document().await {
        let version = document["version"].as_i64().unwrap();
        assert!(last < version, "{last}, then {version}");
        last = version;
    }
    assert_eq!(last, 302);
}

/// A handshake on a connection that the test keeps for itself.
async fn open(connection: &mut TcpStream, path: &str) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
}

/// As a phone looks that lost its network: the connection stands, and nobody is there.
#[tokio::test]
async fn a_client_that_leaves_pings_unanswered_is_gone_and_one_that_answers_stays() {
    let app = App::builder().flag("--heartbeat", "1").spawn().await;
    let order = app.create_order().await;
    let start = Instant::now();
    let mut silent = TcpStream::connect(app.address).await.unwrap();
    open(
        &mut silent,
        &format!("/v1/ws?order_id={}&client_secret={}", order.id, order.secret),
    )
    .await;
    let mut answering = app.follow(&order).await;
    answering.document().await;
    app.wait_for_held(2).await;
    let mut pings = 0;
    while app.metric("payquery_held_requests", "").await > 1.0 {
        // Reading answers the ping.
        assert!(matches!(answering.frame().await, Some(Message::Ping(_))));
        pings += 1;
        assert!(start.elapsed() < Duration::from_secs(30));
    }
    assert!((11..25).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(pings > 5, "{pings}");
    let mut rest = Vec::new();
    silent.read_to_end(&mut rest).await.unwrap();
    assert!(
        rest.ends_with(&[0x89, 0]),
        "the last that it was sent is a ping, and then the connection ends"
    );
    app.report(&order, "succeeded").await;
    assert_eq!(answering.document().await["version"], 2);
}

#[tokio::test]
async fn whoever_says_anything_is_not_pinged_and_a_pong_that_nobody_asked_for_is_no_harm() {
    let app = App::builder().flag("--heartbeat", "2").spawn().await;
    let order = app.create_order().await;
    let mut spoke = Instant::now();
    let mut socket = app.follow(&order).await;
    socket.document().await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        let before = std::mem::replace(&mut spoke, Instant::now());
        socket.connection().write_all(&frame(0x8a, b"unasked")).await.unwrap();
        socket.send(&json!({ "type": "heartBeat" })).await;
        loop {
            match socket.frame().await {
                Some(Message::Text(_)) => break,
                // A machine that stood still for so long was silent.
                Some(Message::Ping(_)) if before.elapsed() >= Duration::from_secs(2) => {}
                other => panic!("no ping: {other:?}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        matches!(socket.frame().await, Some(Message::Ping(_))),
        "and then in the silence"
    );
}

#[tokio::test]
async fn streams_stay_open_through_an_outage_of_the_database_and_are_told_what_came_of_it() {
    let app = App::spawn().await;
    let mut gate = crate::support::Gate::before(&app.database.url);
    let behind = App::builder().flag("--database-url", &gate.url);
    let behind = behind.spawn_over(std::sync::Arc::clone(&app.database)).await;
    let (order, cold) = (app.create_order().await, app.create_order().await);
    let (mut socket, mut events) = (behind.follow(&order).await, behind.stream(&order).await);
    socket.document().await;
    events.document().await;
    gate.shut();
    eventually(async || behind.get("/readyz").await.status, |status| *status == 503).await;
    socket.assert_alive().await;
    let mut late = behind.socket("/v1/ws").await;
    late.send(&auth(&cold)).await;
    late.refusal(503, "database_unavailable").await;
    app.report(&order, "succeeded").await;
    gate.open();
    assert_eq!(socket.document().await["version"], 2);
    assert_eq!(events.document().await["version"], 2);
}
