//! SockJS sessions: who may receive, when they end, and what they keep.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_tungstenite::tungstenite::Message;

use crate::sockjs::{connect_frame, follow, subscribe, subscribe_frame};
use crate::support::stomp::{Frame, frame};
use crate::support::{Answer, App, RawConnection, eventually};

#[tokio::test]
async fn one_connection_receives_at_a_time() {
    let app = App::spawn().await;
    let session = app.sockjs();
    let mut first = session.stream("POST", "xhr_streaming").await;
    first.until("o\n").await;
    assert_eq!(session.poll().await, "c[2010,\"Another connection still open\"]");
    let second = session.stream("GET", "eventsource").await.rest().await;
    assert_eq!(second, "\r\ndata: c[2010,\"Another connection still open\"]\r\n\r\n");
    // The first one goes on.
    session.send("MESSAGE\n\n\0").await;
    first.until("ERROR").await;
    first.until("c[3000,\"Go away!\"]\n").await;
}

#[tokio::test]
async fn a_receiver_that_breaks_takes_its_session_along() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for transport in ["xhr", "xhr_streaming"] {
        let session = app.sockjs();
        follow(&session, &order).await;
        app.wait_for_held(1).await;
        // Streaming answers begin at once, polls are held without a byte.
        if transport == "xhr" {
            // Of two polls one is sent away: that is how we know that the other one receives, before it is broken off.
            let told = tokio::select! {
                told = session.poll() => told,
                told = session.poll() => told,
            };
            assert_eq!(told, "c[2010,\"Another connection still open\"]");
        } else {
            drop(session.stream("POST", "xhr_streaming").await);
        }
        app.wait_for_held(0).await;
        assert_eq!(session.poll().await, "c[1002,\"Connection interrupted\"]");
    }
}

#[tokio::test]
async fn a_session_that_nobody_asks_for_is_over_after_five_seconds() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    subscribe(&session, &order).await;
    // From before the last poll, or its answer's way here would count for nothing.
    let start = Instant::now();
    assert_eq!(Frame::read(&session.messages().await[0]).document()["version"], 1);
    app.wait_for_held(0).await;
    assert!(start.elapsed() >= Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(session.poll().await, "c[3000,\"Go away!\"]");
    // And is forgotten some time later: the same name begins anew.
    eventually(async || session.poll().await, |frame| frame == "o").await;
}

#[tokio::test]
async fn silence_is_broken_by_heart_beats() {
    let app = App::builder().flag("--heartbeat", "1").spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    follow(&session, &order).await;
    assert_eq!(session.poll().await, "h");
    let mut stream = session.stream("GET", "eventsource").await;
    for _ in 0..2 {
        stream.until("data: h\r\n\r\n").await;
    }
    let mut socket = app.socket("/ws/000/abcdefgh/websocket").await;
    assert_eq!(socket.message().await, Some(Message::text("o")));
    // It follows something, or it would soon be told that its time is up.
    let conversation = serde_json::to_string(&[connect_frame(&order), subscribe_frame(&order)]).unwrap();
    socket.send_frame(Message::text(conversation)).await;
    while let Some(Message::Text(text)) = socket.message().await
        && !text.contains("MESSAGE")
    {}
    for _ in 0..2 {
        assert_eq!(socket.message().await, Some(Message::text("h")));
    }
}

#[tokio::test]
async fn a_streaming_answer_ends_after_128_kib_and_the_next_goes_on_where_it_ended() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    follow(&session, &order).await;
    let mut stream = session.stream("POST", "xhr_streaming").await;
    stream.until("h\n").await;
    let ask = frame(&["SEND", &format!("destination:/app/orders.{}", order.id)]);
    let asks = serde_json::to_string(&vec![ask; 20]).unwrap();
    let (mut told, mut asked, mut ended) = (String::new(), 0, false);
    while !ended {
        assert_eq!(session.send_raw(asks.clone()).await.status, 204);
        asked += 20;
        assert!(asked < 2000, "the answer ends");
        while !ended && told.matches("MESSAGE").count() < asked {
            match stream.chunk().await {
                Some(text) => told += &text,
                None => ended = true,
            }
        }
    }
    assert!(told.len() >= 128 * 1024 && told.len() < 150 * 1024, "{}", told.len());
    // Each ask is answered once, in this answer or in the next ones.
    let mut answered = told.matches("MESSAGE").count();
    while answered < asked {
        answered += session.messages().await.len();
    }
    assert_eq!(answered, asked);
}

/// Who polls seldom misses versions in between, never the last one; and what waits for it meanwhile is bounded.
#[tokio::test]
async fn a_slow_reader_gets_the_latest_version() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let session = app.sockjs();
    follow(&session, &order).await;
    let mut last = 1;
    // No more than are surely done in the five seconds that a session lives without a receiver.
    for round in 0..80 {
        let status = if round % 2 == 0 { "processing" } else { "pending" };
        last = app.report(&order, status).await["version"].as_i64().unwrap();
    }
    let mut versions = Vec::new();
    let mut bytes = Vec::new();
    while versions.last() != Some(&last) {
        let messages = session.messages().await;
        bytes.push(messages.iter().map(String::len).sum::<usize>());
        versions.extend(messages.iter().map(|message| {
            let document = Frame::read(message).document();
            document["version"].as_i64().unwrap()
        }));
    }
    assert!(versions.is_sorted(), "{versions:?}");
    assert!(versions.len() < 40, "most were passed over: {}", versions.len());
    assert!(bytes.iter().all(|bytes| *bytes <= 9000), "{bytes:?}");
}

/// Messages that say nothing take memory all the same while they wait.
#[tokio::test]
async fn a_body_full_of_empty_messages_is_more_than_a_session_takes() {
    let app = App::spawn().await;
    let session = app.sockjs();
    assert_eq!(session.poll().await, "o");
    session.send(&"\n".repeat(32_000)).await; // in JSON as large as a body may be
    let empty = serde_json::to_string(&vec![""; 20_000]).unwrap();
    assert_eq!(session.send_raw(empty).await.status, 404, "the session is over");
    assert_eq!(session.poll().await, "c[3000,\"Go away!\"]");
}

#[tokio::test]
async fn the_number_of_sessions_is_bounded() {
    let app = App::builder().flag("--max-held", "3").spawn().await;
    let order = app.create_order().await;
    let sessions: Vec<_> = (0..4).map(|_| app.sockjs()).collect();
    for session in &sessions[..3] {
        follow(session, &order).await;
    }
    let refused = Answer::to(app.http.post(sessions[3].url("xhr"))).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert_eq!(sessions[0].send_raw("[\"\\n\"]").await.status, 204, "the others go on");
    eventually(
        async || Answer::to(app.http.post(sessions[3].url("xhr"))).await.status,
        |status| *status == 200,
    )
    .await;
}

/// Anybody may begin a session, so those in which nothing was opened yet make room for others, the oldest first.
#[tokio::test]
async fn whoever_fills_the_table_with_sessions_for_nothing_keeps_nobody_out() {
    let app = App::builder().flag("--max-held", "4").spawn().await;
    let order = app.create_order().await;
    let known = app.sockjs();
    follow(&known, &order).await;
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let stranger = app.sockjs();
        assert_eq!(stranger.poll().await, "o");
        strangers.push(stranger);
    }
    let newcomer = app.sockjs();
    follow(&newcomer, &order).await;
    app.report(&order, "succeeded").await;
    for session in [&known, &newcomer] {
        let message = Frame::read(&session.messages().await[0]);
        assert_eq!(message.document()["status"], "succeeded");
    }
    assert_eq!(strangers[0].send_raw("[\"\\n\"]").await.status, 404, "made room");
    assert_eq!(strangers[7].send_raw("[\"\\n\"]").await.status, 204);
    // It is gone, and not only out of the table.
    let open = async || app.metric("payquery_streams", "transport=\"sockjs\"").await;
    assert!(eventually(open, |open| *open <= 4.0).await >= 2.0);
}

#[tokio::test]
async fn a_stop_tells_every_session_to_go() {
    let (mut process, app) = App::builder().flag("--drain-ms", "300").spawn_process().await;
    let order = app.create_order().await;
    let sessions: Vec<_> = (0..20).map(|_| app.sockjs()).collect();
    let mut streams = Vec::new();
    for session in &sessions {
        follow(session, &order).await;
        streams.push(session.stream("POST", "xhr_streaming").await);
    }
    let polled = app.sockjs();
    follow(&polled, &order).await;
    let (frame, ()) = tokio::join!(polled.poll(), async {
        app.wait_for_held(21).await;
        process.signal(Signal::TERM);
    });
    assert_eq!(frame, "c[3000,\"Go away!\"]");
    for stream in streams {
        assert!(stream.rest().await.ends_with("c[3000,\"Go away!\"]\n"));
    }
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}

/// The thread that a session was opened on has nothing else to do and ends at once; its receiver is on the other one.
#[tokio::test]
async fn a_stop_tells_a_session_whose_receiver_is_on_another_thread() {
    let (mut process, app) = App::builder().flag("--workers", "2").spawn_process().await;
    let session = app.sockjs();
    let mut first = RawConnection::open(app.address).await;
    let path = session.url("xhr").replace(&app.url(""), "");
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    first.send(request.as_bytes()).await;
    assert!(first.read_to_end().await.ends_with("\r\n\r\no\n"));
    let mut receiver = session.stream("POST", "xhr_streaming").await;
    receiver.until("h\n").await;
    process.signal(Signal::TERM);
    assert_eq!(receiver.rest().await, "c[3000,\"Go away!\"]\n");
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
}
