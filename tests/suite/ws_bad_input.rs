//! What no well-behaved client sends: each gets the right error or close code, and the process goes on.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::support::socket::{Socket, frame, frame_head, subscribe};
use crate::support::{App, Order};

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const LAST: u8 = 0x80;
const KIB: usize = 1024;

/// A socket that follows an order and was told its document.
async fn following(app: &App) -> (Order, Socket) {
    let order = app.create_order().await;
    let mut socket = app.follow(&order).await;
    socket.document().await;
    (order, socket)
}

/// Sends these bytes; the code that the socket is closed with.
async fn closed_after(app: &App, bytes: &[u8]) -> Option<u16> {
    let (_, mut socket) = following(app).await;
    let _ = socket.connection().write_all(bytes).await;
    socket.close_code().await
}

#[tokio::test]
async fn messages_that_cannot_be_understood_are_refused_and_the_socket_goes_on() {
    let app = App::spawn().await;
    let (order, mut socket) = following(&app).await;
    let deep = "[".repeat(60 * KIB);
    for (text, code, field) in [
        ("", "malformed_json", Value::Null),
        ("ping", "malformed_json", Value::Null),
        ("{\"type\":\"heartBeat\"", "malformed_json", Value::Null),
        ("{\"type\":\"heartBeat\"}{}", "malformed_json", Value::Null),
        ("[]", "malformed_json", Value::Null),
        ("null", "malformed_json", Value::Null),
        (&deep, "malformed_json", Value::Null),
        ("{}", "invalid_field", json!("type")),
        ("{\"type\":7}", "invalid_field", json!("type")),
        ("{\"type\":\"delete\"}", "invalid_field", json!("type")),
        ("{\"type\":\"subscribe\"}", "invalid_field", json!("order_id")),
        (
            "{\"type\":\"subscribe\",\"order_id\":7}",
            "invalid_field",
            json!("order_id"),
        ),
        (
            "{\"type\":\"unsubscribe\",\"order_id\":\"x\"}",
            "invalid_field",
            json!("order_id"),
        ),
        (
            "{\"type\":\"subscribe\",\"order_id\":\"x\",\"client_secret\":\"y\"}",
            "invalid_field",
            json!("order_id"),
        ),
        (
            "{\"type\":\"subscribe\",\"order_id\":\"x\",\"client_secret\":[]}",
            "invalid_field",
            json!("client_secret"),
        ),
        (
            "{\"type\":\"auth\",\"api_key\":true}",
            "invalid_field",
            json!("api_key"),
        ),
        (
            "{\"type\":\"auth\",\"client_secret\":\"pqs_without_an_order\"}",
            "invalid_field",
            json!("order_id"),
        ),
    ] {
        socket.send_frame(Message::text(text)).await;
        let told = socket.refusal(400, code).await;
        assert_eq!(told["data"]["field"], field, "{text}");
    }
    socket.send_frame(Message::text("{\"type\":\"auth\"}")).await;
    socket.refusal(401, "unauthorized").await;
    let endless = json!({ "type": "subscribe", "order_id": "x".repeat(50 * KIB), "client_secret": "y" });
    socket.send(&endless).await;
    assert_eq!(
        socket.refusal(400, "invalid_field").await.get("order_id"),
        None,
        "it is not sent back"
    );
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
}

#[tokio::test]
async fn frames_that_are_none_end_the_socket_with_the_code_that_says_why() {
    let app = App::spawn().await;
    let message = br#"{"type":"heartBeat"}"#;
    let mut unmasked = vec![LAST | TEXT, 2];
    unmasked.extend_from_slice(b"{}");
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("binary where text is due", frame(LAST | BINARY, message), 1003),
        ("bad UTF-8", frame(LAST | TEXT, b"{\"type\":\"\xff\"}"), 1007),
        (
            "bad UTF-8 in a fragment",
            [frame(TEXT, b"{\"type\":\"\xe4\xb8"), frame(LAST, b"\xff\"}")].concat(),
            1007,
        ),
        ("half a character at the end", frame(LAST | TEXT, b"\xe4\xb8"), 1007),
        ("no mask", unmasked, 1002),
        ("reserved bits", frame(LAST | 0x40 | TEXT, message), 1002),
        ("an unknown opcode", frame(LAST | 0x3, message), 1002),
        ("a continuation of nothing", frame(LAST | CONTINUATION, message), 1002),
        (
            "a new message within another",
            [frame(TEXT, b"{"), frame(LAST | TEXT, message)].concat(),
            1002,
        ),
        ("two beginnings", [frame(TEXT, b"{"), frame(TEXT, b"{")].concat(), 1002),
        ("a ping in fragments", frame(PING, b"x"), 1002),
        ("a ping that is too long", frame(LAST | PING, &[b'x'; 126]), 1002),
        ("a close with half a code", frame(LAST | CLOSE, b"\x03"), 1002),
        (
            "a close with a code that is never sent",
            frame(LAST | CLOSE, &1005_u16.to_be_bytes()),
            1002,
        ),
        ("a close with bad UTF-8", frame(LAST | CLOSE, b"\x03\xe8\xff"), 1002),
        ("a negative length", frame_head(LAST | TEXT, 1 << 63), 1009),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(closed_after(&app, &bytes).await, Some(code), "{what}");
    }
    app.wait_for_held(0).await;
    following(&app).await.1.assert_alive().await;
}

#[tokio::test]
async fn a_message_of_64_kib_is_read_and_a_larger_one_is_refused_when_it_is_announced() {
    let app = App::spawn().await;
    let (_, mut socket) = following(&app).await;
    let with_padding = |length: usize| {
        let message = r#"{"type":"heartBeat","msg":""}"#;
        message.replace("\"\"", &format!("\"{}\"", "x".repeat(length - message.len())))
    };
    let largest = with_padding(64 * KIB);
    socket.send_frame(Message::text(largest.clone())).await;
    assert_eq!(socket.next().await["msgType"], "heartBeat_ack");
    let halves = largest.as_bytes().split_at(30 * KIB);
    let fragments = [frame(TEXT, halves.0), frame(LAST, halves.1)].concat();
    socket.connection().write_all(&fragments).await.unwrap();
    assert_eq!(socket.next().await["msgType"], "heartBeat_ack");
    // The head alone, and nothing of what it announces.
    for length in [64 * KIB as u64 + 1, 1 << 40] {
        assert_eq!(closed_after(&app, &frame_head(LAST | TEXT, length)).await, Some(1009));
    }
    // Each fragment is small, the message is not.
    let mut fragments = frame(TEXT, &[b'x'; KIB]);
    (0..64).for_each(|_| fragments.extend(frame(CONTINUATION, &[b'x'; KIB])));
    assert_eq!(closed_after(&app, &fragments).await, Some(1009));
    // Nor are a million empty ones a message.
    let mut fragments = frame(TEXT, b"");
    (0..1_000_000).for_each(|_| fragments.extend(frame(CONTINUATION, b"")));
    assert_eq!(closed_after(&app, &fragments).await, Some(1009));
}

#[tokio::test]
async fn a_message_cut_at_every_byte_and_with_pings_between_its_fragments_is_read_whole() {
    let app = App::spawn().await;
    let (_, mut socket) = following(&app).await;
    let message = r#"{"type":"heartBeat","msg":"等待付款"}"#.as_bytes();
    for byte in frame(LAST | TEXT, message) {
        socket.connection().write_all(&[byte]).await.unwrap();
    }
    assert_eq!(socket.next().await["msgType"], "heartBeat_ack");
    let mut bytes = frame(TEXT, &message[..1]);
    for byte in &message[1..] {
        bytes.extend(frame(LAST | PING, b"still there?"));
        bytes.extend(frame(CONTINUATION, &[*byte]));
    }
    bytes.extend(frame(LAST | CONTINUATION, b""));
    socket.connection().write_all(&bytes).await.unwrap();
    let mut pongs = 0;
    loop {
        match socket.frame().await.unwrap() {
            Message::Pong(payload) => {
                assert_eq!(&payload[..], b"still there?");
                pongs += 1;
            }
            Message::Text(text) => {
                assert_eq!(text.as_str(), r#"{"msgType":"heartBeat_ack"}"#);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pongs, message.len() - 1);
}

#[tokio::test]
async fn of_hundreds_of_subscriptions_on_one_socket_the_first_hundred_are_followed() {
    let app = App::spawn().await;
    let orders = app.create_orders(150, json!({})).await;
    let mut socket = app.socket("/v1/ws").await;
    socket
        .send(&json!({ "type": "auth", "order_id": orders[0].id, "api_key": app.api_key }))
        .await;
    let (mut followed, mut refused) = (0, 0);
    for (n, order) in orders.iter().enumerate() {
        if n > 0 {
            socket.send(&subscribe(order)).await;
        }
        let mut message = socket.next().await;
        while message["msgType"] == "order_status" {
            message = socket.next().await;
        }
        if message["msgType"] == "error" {
            assert_eq!(message["data"]["code"], "too_many_subscriptions", "{message}");
            refused += 1;
        } else {
            followed += 1;
        }
    }
    assert_eq!((followed, refused), (100, 50));
    app.wait_for_held(100).await;
    // One goes, another comes.
    socket
        .send(&json!({ "type": "unsubscribe", "order_id": orders[0].id }))
        .await;
    socket.send(&subscribe(&orders[149])).await;
    let mut kinds = Vec::new();
    while kinds.len() < 3 {
        let kind = socket.next().await["msgType"].as_str().unwrap().to_owned();
        if kind != "order_status" || kinds.last().is_some_and(|last| last == "subscribe_ack") {
            kinds.push(kind);
        }
    }
    assert_eq!(kinds, ["unsubscribe_ack", "subscribe_ack", "order_status"]);
    drop(socket);
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn a_client_that_sends_messages_without_end_is_sent_away() {
    let app = App::spawn().await;
    let (_, mut socket) = following(&app).await;
    let beats = frame(LAST | TEXT, br#"{"type":"heartBeat"}"#).repeat(2000);
    let _ = socket.connection().write_all(&beats).await;
    assert_eq!(socket.close_code().await, Some(1008));
}

#[tokio::test]
async fn junk_of_every_kind_leaves_the_process_unharmed() {
    let app = App::spawn().await;
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..200 {
        let mut socket = app.socket("/v1/ws").await;
        let junk: Vec<u8> = (0..random.usize(1..400)).map(|_| random.u8(..)).collect();
        let _ = socket.connection().write_all(&junk).await;
    }
    let (order, mut socket) = following(&app).await;
    app.report(&order, "succeeded").await;
    assert_eq!(socket.document().await["version"], 2);
    drop(socket);
    crate::support::eventually(async || app.metric("payquery_streams", "").await, |open| *open == 0.0).await;
}
