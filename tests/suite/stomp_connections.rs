//! STOMP connections: how they begin, what ends them, and what they may not do.

use std::time::{Duration, Instant};

use futures_util::SinkExt as _;
use rustix::process::Signal;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::support::socket::frame as socket_frame;
use crate::support::stomp::frame as stomp_frame;
use crate::support::{Answer, App, RawConnection, Stomp, eventually};

const WHOLE_TEXT: u8 = 0x81;

#[tokio::test]
async fn the_best_subprotocol_that_is_offered_is_selected() {
    let app = App::spawn().await;
    for (offer, selected) in [
        ("v12.stomp, v11.stomp, v10.stomp", "v12.stomp"),
        ("v10.stomp, v11.stomp, v12.stomp", "v12.stomp"),
        ("v10.stomp,v11.stomp", "v11.stomp"),
        ("v10.stomp", "v10.stomp"),
        ("wamp, v11.stomp", "v11.stomp"),
        ("stomp, v10.stomp", "v10.stomp"),
    ] {
        let stomp = app.stomp_offering(offer).await;
        assert_eq!(stomp.protocol.as_deref(), Some(selected), "{offer}");
    }
    assert_eq!(app.stomp().await.protocol, None);
    // None of ours: the handshake is answered without one, and it is the client that has to give up.
    let mut raw = RawConnection::open(app.address).await;
    let request = handshake("/ws", "sec-websocket-protocol: wamp\r\n");
    raw.send(request.as_bytes()).await;
    // A masked close frame ends it.
    raw.send(&[0x88, 0x80, 0, 0, 0, 0]).await;
    let answer = raw.read_to_end().await.to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101"), "{answer}");
    assert!(!answer.contains("sec-websocket-protocol"), "{answer}");
}

#[tokio::test]
async fn what_opens_nothing_is_told_so_and_sent_away() {
    let app = App::spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let stranger = app.key_of("stranger").await;
    let nobody = crate::support::Order {
        id: Uuid::now_v7().to_string(),
        ..order.clone()
    };
    // Another order's secret, another tenant's key, no order at all: alike.
    for (order, token) in [(&order, &other.secret), (&order, &stranger), (&nobody, &order.secret)] {
        let mut stomp = app.stomp().await;
        stomp.connect(&[&format!("authorization:Bearer {token}")]).await;
        stomp.subscribe("1", order, &["receipt:r"]).await;
        let error = stomp.frame().await;
        error.problem("order_not_found");
        assert_eq!(error.header("receipt-id"), "r");
        assert_eq!(stomp.close_code().await, 3000);
    }
    // With the order's id in CONNECT a wrong secret is found right there; a wrong key always is.
    let with_id = format!("order-id:{}", order.id);
    for (headers, code) in [
        ([&*with_id, "client-secret:pqs_wrong"], "order_not_found"),
        (["x:y", "api-key:pqk_wrong"], "unauthorized"),
        (["x:y", "authorization:Basic YTpi"], "invalid_field"),
    ] {
        let mut stomp = app.stomp().await;
        stomp.connect(&headers).await.problem(code);
        stomp.close_code().await;
    }
    let mut stomp = app.stomp().await;
    let secret = format!("client-secret:{}", order.secret);
    assert_eq!(stomp.connect(&[&with_id, &secret]).await.command, "CONNECTED");
    // Without any credentials.
    let mut stomp = app.stomp().await;
    stomp.connect(&[]).await;
    stomp.subscribe("1", &order, &[]).await;
    stomp.frame().await.problem("unauthorized");
    assert_eq!(stomp.close_code().await, 3000);
    app.wait_for_held(0).await;
}

/// A broken frame, by what is wrong with it, and the field that the problem names.
const MISTAKES: [(&str, &str); 20] = [
    ("MESSAGE\n\n\0", "command"),
    ("subscribe\nid:1\n\n\0", "command"),
    ("CONNECT\naccept-version:1.2\n\n\0", "command"),
    ("SUBSCRIBE\nid:1\n\n\0", "destination"),
    ("SUBSCRIBE\nid:1\ndestination:/queue/x\n\n\0", "destination"),
    ("SUBSCRIBE\nid:1\ndestination:/topic/orders.x\n\n\0", "order_id"),
    ("SUBSCRIBE\ndestination:/topic/orders.x\n\n\0", "id"),
    ("SUBSCRIBE\nid:1\ndestination:/topic/orders.x\nack:maybe\n\n\0", "ack"),
    (
        "SUBSCRIBE\nid:1\ndestination:/topic/orders.x\nversion:x\n\n\0",
        "version",
    ),
    ("UNSUBSCRIBE\n\n\0", "id"),
    (
        "SEND\ndestination:/topic/orders.x\n\n{\"status\":\"succeeded\"}\0",
        "destination",
    ),
    ("SEND\ndestination:/app/orders.x\n\n\0", "destination"),
    ("BEGIN\n\n\0", "transaction"),
    ("COMMIT\ntransaction:t\n\n\0", "transaction"),
    ("ABORT\ntransaction:t\n\n\0", "transaction"),
    ("ACK\nid:1\ntransaction:t\n\n\0", "transaction"),
    ("SEND\nno colon\n\n\0", "frame"),
    ("SEND\nk:a\\t\n\n\0", "frame"),
    ("SEND\ncontent-length:1\n\nab\0", "frame"),
    ("SEND\0", "frame"),
];

#[tokio::test]
async fn every_mistake_is_told_as_what_it_is_and_ends_the_connection() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for (mistake, field) in MISTAKES {
        let mut stomp = app.stomp_of(&order).await;
        stomp.send(mistake).await;
        let problem = stomp.frame().await.problem("invalid_field");
        assert_eq!(problem["field"], field, "{mistake:?}: {problem}");
        assert_eq!(stomp.close_code().await, 1002, "{mistake:?}");
    }
    // Before CONNECT nothing else is taken.
    let mut stomp = app.stomp().await;
    stomp.subscribe("1", &order, &[]).await;
    stomp.frame().await.problem("invalid_field");
    for heart_beat in ["heart-beat:1", "heart-beat:a,b"] {
        let mut stomp = app.stomp().await;
        let error = stomp.connect(&[heart_beat]).await;
        assert_eq!(error.problem("invalid_field")["field"], "heart-beat");
    }
    assert_eq!(app.ask(&order).send().await.status, 200, "nobody else notices");
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn what_is_too_large_or_no_text_is_cut_off() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_of(&order).await;
    stomp.send("SEND\ndestination:/app/orders.x\n\n").await;
    for _ in 0..2 {
        stomp.send(&"x".repeat(40_000)).await;
    }
    assert_eq!(stomp.frame().await.problem("invalid_field")["field"], "frame");
    assert_eq!(stomp.close_code().await, 1002);
    let mut stomp = app.stomp_of(&order).await;
    stomp.send_piece(&"\n".repeat(65 * 1024), true).await;
    assert_eq!(stomp.close_code().await, 1009);
    let mut stomp = app.stomp_of(&order).await;
    stomp.send(&format!("SEND\n{}\n\0", "k:v\n".repeat(65))).await;
    assert_eq!(stomp.frame().await.problem("invalid_field")["field"], "frame");
    let mut stomp = app.stomp_of(&order).await;
    stomp
        .send_frame(&["BEGIN", &format!("transaction:{}", "t".repeat(257))])
        .await;
    assert_eq!(stomp.frame().await.problem("invalid_field")["field"], "transaction");
}

#[tokio::test]
async fn what_is_sent_for_nothing_has_a_limit() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    // In one write: the connection is closed while the last of them are on their way.
    let flood = socket_frame(WHOLE_TEXT, stomp_frame(&["ACK", "id:x"]).as_bytes()).repeat(300);
    let _ = stomp.socket.get_mut().write_all(&flood).await;
    assert_eq!(stomp.frame().await.problem("invalid_field")["field"], "frame");
    assert_eq!(stomp.close_code().await, 1002);
}

#[tokio::test]
async fn a_text_that_is_no_utf8_ends_the_socket() {
    let app = App::spawn().await;
    for path in ["/ws", "/ws/websocket", "/ws/000/abcdefgh/websocket"] {
        let mut raw = RawConnection::open(app.address).await;
        raw.send(handshake(path, "").as_bytes()).await;
        // A masked text frame of one byte.
        raw.send(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).await;
        raw.send(&[0x88, 0x80, 0, 0, 0, 0]).await;
        let answer = raw.read_to_end().await;
        assert!(answer.contains("a text message must be UTF-8"), "{path}: {answer:?}");
    }
}

fn handshake(path: &str, line: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{line}\r\n"
    )
}

#[tokio::test]
async fn a_connection_follows_a_hundred_orders_and_not_one_more() {
    let app = App::spawn().await;
    let orders = app.create_orders(101, json!({})).await;
    let mut stomp = app.stomp().await;
    stomp.connect(&[&format!("api-key:{}", app.api_key)]).await;
    for order in &orders[..100] {
        stomp.subscribe(&order.id, order, &[]).await;
        assert_eq!(stomp.frame().await.document()["order_id"], order.id);
    }
    // One that is followed already takes the place that it has.
    stomp.subscribe(&orders[0].id, &orders[0], &[]).await;
    stomp.frame().await.document();
    stomp.subscribe(&orders[100].id, &orders[100], &[]).await;
    stomp.frame().await.problem("too_many_subscriptions");
    stomp.close_code().await;
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn where_there_is_no_place_the_document_is_told_and_the_client_sent_away_for_a_while() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let order = app.create_order().await;
    let _first = app.stomp_following(&order).await;
    let mut second = app.stomp_of(&order).await;
    second.subscribe("1", &order, &[]).await;
    assert_eq!(second.frame().await.document()["version"], 1);
    second.frame().await.problem("no_place");
    assert_eq!(second.close_code().await, 1013);
}

#[tokio::test]
async fn a_subscription_costs_what_a_poll_costs() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "3")
        .spawn()
        .await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    for _ in 0..2 {
        stomp
            .send_frame(&["SEND", &format!("destination:/app/orders.{}", order.id)])
            .await;
        stomp.frame().await.document();
    }
    stomp
        .send_frame(&["SEND", &format!("destination:/app/orders.{}", order.id)])
        .await;
    stomp.frame().await.problem("quota_exceeded");
    assert_eq!(stomp.close_code().await, 1013);
    app.ask(&order).send().await.problem(429, "quota_exceeded");
}

#[tokio::test]
async fn who_shows_nothing_that_opens_is_sent_away_after_a_few_seconds() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let start = Instant::now();
    let mut silent = app.stomp().await;
    let mut connected = app.stomp_of(&order).await;
    let mut subscribed = app.stomp_following(&order).await;
    for stomp in [&mut silent, &mut connected] {
        stomp.frame().await.problem("unauthorized");
        assert_eq!(stomp.close_code().await, 3000);
    }
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    app.report(&order, "succeeded").await;
    assert_eq!(subscribed.frame().await.document()["status"], "succeeded");
}

#[tokio::test]
async fn heart_beats_go_both_ways_as_agreed_and_silence_ends_the_connection() {
    let app = App::builder().flag("--heartbeat", "1").spawn().await;
    let order = app.create_order().await;
    let secret = format!("client-secret:{}", order.secret);
    let connect = async |offer: &str| {
        let mut stomp = app.stomp().await;
        let connected = stomp.connect(&[&secret, offer]).await;
        assert_eq!(connected.header("heart-beat"), "1000,1000");
        stomp.subscribe("1", &order, &[]).await;
        stomp.frame().await.document();
        stomp
    };
    // Who wants to hear something hears it; who promised to say something and does not is gone.
    let start = Instant::now();
    let (mut hears, mut silent) = (connect("heart-beat:0,100").await, connect("heart-beat:100,0").await);
    for _ in 0..3 {
        assert_eq!(hears.text().await, "\n");
    }
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(3) && took < Duration::from_secs(20),
        "{took:?}"
    );
    let error = silent.frame().await;
    assert_eq!(error.problem("invalid_field")["field"], "heart-beat");
    // A heart-beat of the client keeps the connection, past the three intervals of silence: six seconds, so that one which is
    // late does not end it.
    let mut speaks = connect("heart-beat:2000,100").await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(7) {
        assert_eq!(speaks.text().await, "\n");
        speaks.send("\n").await;
    }
    app.report(&order, "succeeded").await;
    assert_eq!(speaks.frame().await.document()["status"], "succeeded");
}

#[tokio::test]
async fn a_key_that_is_revoked_opens_no_connection_any_more() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp().await;
    stomp.connect(&[&format!("api-key:{}", app.api_key)]).await;
    stomp.subscribe("1", &order, &[]).await;
    stomp.frame().await.document();
    sqlx::query("update api_keys set revoked_at = now()")
        .execute(&app.pool)
        .await
        .unwrap();
    stomp.frame().await.problem("unauthorized");
    assert_eq!(stomp.close_code().await, 3000);
}

#[tokio::test]
async fn a_stop_closes_every_connection_politely() {
    let builder = App::builder()
        .flag("--drain-ms", "500")
        .flag("--max-held-per-order", "1000");
    let (mut process, app) = builder.spawn_process().await;
    let order = app.create_order().await;
    let mut followers: Vec<Stomp> = Vec::new();
    for _ in 0..200 {
        followers.push(app.stomp_following(&order).await);
    }
    let mut idle = app.stomp().await;
    idle.connect(&[&format!("api-key:{}", app.api_key)]).await;
    process.signal(Signal::TERM);
    for mut stomp in followers.into_iter().chain([idle]) {
        assert_eq!(stomp.close_code().await, 1001);
    }
    let (code, took) = process.wait();
    assert_eq!(code, Some(0), "{}", process.log());
    assert!(took < Duration::from_secs(10), "{took:?}");
}

/// A process that is told to stop serves whoever comes until balancers have noticed.
#[tokio::test]
async fn a_connection_is_opened_as_ever_while_the_process_retires() {
    let builder = App::builder().flag("--drain-delay-ms", "8000");
    let (process, app) = builder.spawn_process().await;
    let order = app.create_order().await;
    process.signal(Signal::TERM);
    let ready = async || Answer::to(app.http.get(app.url("/readyz"))).await.status;
    eventually(ready, |status| *status == 503).await;
    let mut stomp = app.stomp_following(&order).await;
    app.report(&order, "succeeded").await;
    assert_eq!(stomp.frame().await.document()["status"], "succeeded");
    assert_eq!(stomp.close_code().await, 1001);
}

#[tokio::test]
async fn connections_are_counted_and_what_they_tell() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    let count = async |name| app.metric(name, "transport=\"stomp\"").await;
    assert_eq!(count("payquery_streams").await, 1.0);
    let seen = app.metric("payquery_pay_to_seen_seconds_count", "").await;
    app.report(&order, "succeeded").await;
    stomp.frame().await.document();
    assert_eq!(count("payquery_stream_documents_total").await, 2.0);
    assert_eq!(app.metric("payquery_pay_to_seen_seconds_count", "").await, seen + 1.0);
    stomp.socket.close(None).await.unwrap();
    eventually(async || count("payquery_streams").await, |open| *open == 0.0).await;
    app.wait_for_held(0).await;
}

/// Messages that are no frames at all: whatever becomes of such a connection, nobody else notices.
#[tokio::test]
async fn junk_ends_its_connection_and_nothing_else() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut follower = app.stomp_following(&order).await;
    for junk in [
        &b"\xff\xfe\0"[..],
        b"{\"type\":\"auth\"}\0",
        b"GET / HTTP/1.1\r\n\r\n\0",
        b"\0",
    ] {
        let mut stomp = app.stomp().await;
        stomp.socket.send(Message::binary(junk.to_vec())).await.unwrap();
        stomp.frame().await.problem("invalid_field");
        assert_eq!(stomp.close_code().await, 1002);
    }
    app.report(&order, "succeeded").await;
    assert_eq!(follower.frame().await.document()["status"], "succeeded");
}
