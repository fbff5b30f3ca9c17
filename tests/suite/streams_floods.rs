//! Floods of what says nothing: frames that cost their sender two bytes each end its socket, and heart-beats never do.

use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::support::socket::{Socket, auth, frame};
use crate::support::{App, Order};

const WHOLE_TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// Sends that frame so often that no client needs it; what the socket is told, and the code that it is closed with.
async fn flood(mut socket: Socket, frame: &[u8]) -> (String, Option<u16>) {
    let _ = socket.connection().write_all(&frame.repeat(400)).await;
    let mut told = String::new();
    loop {
        match socket.message().await {
            Some(Message::Text(text)) => told += &text,
            Some(Message::Close(reason)) => return (told, reason.map(|reason| reason.code.into())),
            other => panic!("{told}, then {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_flood_of_pings_or_pongs_ends_a_socket_of_every_protocol() {
    let app = App::spawn().await;
    for path in ["/v1/ws", "/v1/echo", "/ws", "/ws/000/abcdefgh/websocket"] {
        for head in [PING, PONG] {
            let (_, code) = flood(app.socket(path).await, &frame(head, b"")).await;
            assert_eq!(code, Some(1008), "{path}, {head:x}");
        }
    }
}

async fn stomp_over(app: &App, path: &str, order: &Order) -> Socket {
    let mut socket = app.socket(path).await;
    let is_sockjs = path != "/ws";
    if is_sockjs {
        assert_eq!(socket.message().await, Some(Message::text("o")));
    }
    let connect = format!("CONNECT\naccept-version:1.2\nclient-secret:{}\n\n\0", order.secret);
    let subscribe = format!("SUBSCRIBE\nid:1\ndestination:/topic/orders.{}\n\n\0", order.id);
    for frame in [connect, subscribe] {
        let text = if is_sockjs {
            serde_json::to_string(&[frame]).unwrap()
        } else {
            frame
        };
        socket.send_frame(Message::text(text)).await;
        assert!(matches!(socket.message().await, Some(Message::Text(_))));
    }
    socket
}

#[tokio::test]
async fn a_flood_of_messages_that_complete_no_frame_ends_a_stomp_conversation() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let sockjs = "/ws/000/abcdefgh/websocket";
    for (path, payload) in [
        ("/ws", ""),
        ("/ws", "\n"),
        ("/ws", "S"),
        (sockjs, "[\"\\n\"]"),
        (sockjs, "[\"\"]"),
    ] {
        let socket = stomp_over(&app, path, &order).await;
        let (told, code) = flood(socket, &frame(WHOLE_TEXT, payload.as_bytes())).await;
        assert!(told.contains("must come less often"), "{path}, {payload:?}: {told}");
        assert_eq!(code, Some(if path == "/ws" { 1002 } else { 1000 }), "{payload:?}");
    }
    // Messages of SockJS that hold nothing for the conversation.
    for payload in ["", "[]"] {
        let socket = stomp_over(&app, sockjs, &order).await;
        let (_, code) = flood(socket, &frame(WHOLE_TEXT, payload.as_bytes())).await;
        assert_eq!(code, Some(1008), "{payload:?}");
    }
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn a_long_frame_in_many_messages_and_heart_beats_among_them_are_no_flood() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut stomp = app.stomp_following(&order).await;
    let ask = format!("SEND\ndestination:/app/orders.{}\n\n{}\0", order.id, "x".repeat(60_000));
    // As @stomp/stompjs cuts long frames, and smaller still.
    for piece in ask.as_bytes().chunks(1024) {
        stomp.send(std::str::from_utf8(piece).unwrap()).await;
    }
    stomp.frame().await.document();
    for _ in 0..60 {
        stomp.send("\n").await;
    }
    app.report(&order, "succeeded").await;
    assert_eq!(stomp.frame().await.document()["version"], 2);
    let mut socket = app.socket("/v1/ws").await;
    socket.send(&auth(&order)).await;
    for _ in 0..100 {
        socket.send_frame(Message::Ping("still there?".into())).await;
    }
    while socket.next().await["msgType"] != "order_status" {}
    socket.assert_alive().await;
}
