//! `/v1/echo`: to check that a wss domain works.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::support::socket::frame;
use crate::support::{App, eventually};

#[tokio::test]
async fn text_comes_back_as_text_and_binary_as_binary_in_turn() {
    let app = App::spawn().await;
    let mut socket = app.socket("/v1/echo").await;
    let long = "x".repeat(64 * 1024);
    let messages = [
        Message::text("hello"),
        Message::text(""),
        Message::text("等待付款"),
        Message::text(long.clone()),
        Message::binary(vec![0, 255, 128]),
        Message::binary(Vec::new()),
        Message::binary(long.into_bytes()),
    ];
    for message in messages {
        socket.send_frame(message.clone()).await;
        assert_eq!(socket.message().await, Some(message));
    }
    let fragments = [frame(0x1, b"hel"), frame(0x0, b"l"), frame(0x80, b"o")].concat();
    socket.connection().write_all(&fragments).await.unwrap();
    assert_eq!(socket.message().await, Some(Message::text("hello")));
    socket.send_frame(Message::Ping("!".into())).await;
    assert_eq!(socket.frame().await, Some(Message::Pong("!".into())));
}

#[tokio::test]
async fn bad_utf_8_and_messages_that_are_too_large_close_it() {
    let app = App::spawn().await;
    for (bytes, code) in [
        (frame(0x81, b"\xff"), 1007),
        (frame(0x82, &vec![0; 64 * 1024 + 1]), 1009),
        (frame(0x83, b""), 1002),
    ] {
        let mut socket = app.socket("/v1/echo").await;
        let _ = socket.connection().write_all(&bytes).await;
        assert_eq!(socket.close_code().await, Some(code));
    }
    let mut socket = app.socket("/v1/echo").await;
    let _ = socket.connection().write_all(&frame(0x81, b"x").repeat(2000)).await;
    assert_eq!(socket.close_code().await, Some(1008));
}

/// Whoever sends and never reads fills all buffers on the way back: then it is not read any more, and cut off.
#[tokio::test]
async fn a_client_that_never_reads_is_read_no_further_and_cut_off() {
    let app = App::spawn().await;
    let mut socket = app.socket("/v1/echo").await;
    let message = frame(0x82, &vec![b'x'; 60 * 1024]);
    let start = Instant::now();
    let mut sent = 0;
    let flood = async {
        loop {
            for byte in message.chunks(4096) {
                if socket.connection().write_all(byte).await.is_err() {
                    return;
                }
                sent += byte.len();
            }
        }
    };
    let ended = async {
        eventually(
            async || app.metric("payquery_streams", "transport=\"echo\"").await,
            |open| *open == 0.0,
        )
        .await;
    };
    tokio::select! {
        () = flood => {}
        () = ended => {}
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    app.wait_for_held(0).await;
}

#[tokio::test]
async fn there_are_a_hundred_at_most_and_they_have_places_as_all_streams_have() {
    let app = App::spawn().await;
    let mut open = Vec::new();
    for _ in 0..100 {
        open.push(app.socket("/v1/echo").await);
    }
    app.wait_for_held(100).await;
    let refused = app.try_socket("/v1/echo", &[]).await.unwrap_err();
    assert_eq!((refused.status, &refused.problem["code"]), (503, &"no_place".into()));
    assert_eq!(refused.headers["retry-after"], "10");
    open.truncate(99);
    app.wait_for_held(99).await;
    app.socket("/v1/echo").await.send_frame(Message::text("x")).await;
}
