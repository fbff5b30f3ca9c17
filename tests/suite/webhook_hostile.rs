//! Receivers that mean harm: what they answer costs neither memory nor others' time, and is shown as clean text.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::merchant::{now_ms, unix_ms};
use crate::support::{App, Receiver, Reply, eventually};

/// The delivery of a test event after its first attempt.
async fn tried(app: &App, receiver: &Receiver) -> Value {
    let endpoint = app.create_endpoint(receiver).await;
    assert_eq!(app.post(&endpoint.path("/test"), &json!({})).await.status, 202);
    let deliveries = async || app.deliveries(&endpoint).await;
    let mut tried = eventually(deliveries, |deliveries| deliveries[0]["attempts"][0].is_object()).await;
    tried.remove(0)
}

/// What came of one attempt at a receiver that answers with these bytes.
async fn attempt(app: &App, answer: Vec<u8>) -> Value {
    let receiver = Receiver::start(move |_| Reply::Raw(answer.clone())).await;
    tried(app, &receiver).await["attempts"][0].clone()
}

/// An answer of 200 with that head besides and that body.
fn answer(lines: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 200 OK\r\n{lines}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[tokio::test]
async fn what_an_answer_says_is_kept_as_clean_text_whatever_bytes_it_has() {
    let app = App::builder().webhooks("1h").spawn().await;
    for (body, kept) in [
        (&b"caf\xe9 \xff\xfe ok"[..], json!("caf\u{fffd} \u{fffd}\u{fffd} ok")),
        (b"a\0b\x1b[2Jc\x7f", json!("a b [2Jc")),
        (b"\xed\xa0\x80\xf4\x90\x80\x80", Value::Null),
        (b"\xef\xbb\xbf{\"a\":1}", json!("\u{feff}{\"a\":1}")),
        (b"\x80\x81\x82", Value::Null),
    ] {
        let seen = attempt(&app, answer(&format!("Content-Length: {}\r\n", body.len()), body)).await;
        assert_eq!((&seen["status"], &seen["answer"]), (&json!(200), &kept), "{body:?}");
    }
    // Cut through a letter of three bytes.
    let long = "付".repeat(400);
    let seen = attempt(
        &app,
        answer(&format!("Content-Length: {}\r\n", long.len()), long.as_bytes()),
    )
    .await;
    assert_eq!(seen["answer"], "付".repeat(166));
}

#[tokio::test]
async fn compressed_answers_are_not_unpacked_and_large_ones_not_read() {
    let app = App::builder().webhooks("1h").spawn().await;
    // What a stream of zeroes begins with: a thousandfold of it would follow.
    let bomb: Vec<u8> = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
        .into_iter()
        .chain([0xec; 2000])
        .collect();
    let seen = attempt(
        &app,
        answer("Content-Encoding: gzip\r\nContent-Length: 2010\r\n", &bomb),
    )
    .await;
    assert_eq!((&seen["status"], &seen["error"]), (&json!(200), &Value::Null));
    assert!(seen["answer"].as_str().unwrap_or_default().chars().count() <= 500);
    // A length that no memory has, chunks that claim as much, and a head without an end.
    for (lines, body) in [
        ("Content-Length: 9223372036854775807\r\n", &b"start"[..]),
        ("Transfer-Encoding: chunked\r\n", b"7fffffffffffffff\r\nstart"),
    ] {
        let seen = attempt(&app, answer(lines, body)).await;
        assert_eq!(
            (&seen["status"], &seen["answer"]),
            (&json!(200), &json!("start")),
            "{lines}"
        );
    }
    let many = "X: y\r\n".repeat(5000);
    assert_eq!(attempt(&app, answer(&many, b"")).await["error"], "connection_broken");
    let endless = "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
        .repeat(20_000)
        .into_bytes();
    assert_eq!(attempt(&app, endless).await["error"], "connection_broken");
}

#[tokio::test]
async fn an_answer_that_comes_byte_by_byte_ends_with_the_attempts_time() {
    let app = App::builder()
        .webhooks("1h")
        .flag("--webhook-timeout", "2")
        .spawn()
        .await;
    for (beginning, status) in [
        ("", Value::Null),
        ("HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n", json!(200)),
    ] {
        let receiver = Receiver::start(move |_| Reply::Dripping(beginning)).await;
        let start = Instant::now();
        let delivery = tried(&app, &receiver).await;
        // (By themselves they would end after twenty seconds, or never.)
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
        assert_eq!(delivery["attempts"][0]["status"], status);
    }
}

#[tokio::test]
async fn a_receiver_that_wants_to_be_left_alone_for_ever_is_for_a_day_at_most() {
    let app = App::builder().webhooks("1h").spawn().await;
    for value in [
        "18446744073709551615",
        "99999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "-1",
        "0x10",
    ] {
        let head = format!("HTTP/1.1 503 No\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
        let receiver = Receiver::start(move |_| Reply::Raw(head.clone().into_bytes())).await;
        let delivery = tried(&app, &receiver).await;
        assert_eq!(delivery["attempts"][0]["status"], 503, "{value}");
        let wait = unix_ms(&delivery["next_attempt_at"]) - now_ms();
        assert!((1..=24 * 3600 * 1000).contains(&wait), "{value}: {wait} ms");
    }
}

#[tokio::test]
async fn addresses_hidden_in_other_spellings_or_ways_are_refused() {
    let app = App::spawn_with_webhooks().await;
    for (url, reason) in [
        ("https://[::ffff:169.254.169.254]/", "may not reach"),
        ("https://[::ffff:0:127.0.0.1]/", "may not reach"),
        ("https://[64:ff9b::a9fe:a9fe]/", "may not reach"),
        ("https://[64:ff9b:1::a00:1]/", "may not reach"),
        ("https://[2002:a9fe:a9fe::1]/", "may not reach"),
        ("https://[2001:0:a9fe:a9fe::1]/", "may not reach"),
        ("https://[fe80::1]/", "may not reach"),
        ("https://[fdff::1]/", "may not reach"),
        ("https://0.1.2.3/", "may not reach"),
        ("https://100.127.255.254/", "may not reach"),
        ("https://169.254.169.254./", "may not reach"),
        ("https://%31%36%39.254.169.254/", "may not reach"),
        ("https://１６９.254.169.254/", "may not reach"),
        ("https://169。254。169。254/", "may not reach"),
        ("https://shop.example.com@169.254.169.254/", "user name"),
        ("https://169.254.169.254\\@shop.example.com/", "may not reach"),
        ("https://[fe80::1%25eth0]/", "absolute URL"),
        ("https://shop.example.com:99999/", "absolute URL"),
    ] {
        let refused = app
            .post(crate::support::webhooks::ENDPOINTS, &json!({ "url": url }))
            .await;
        let detail = refused.invalid("url");
        assert!(detail.contains(reason), "{url}: {detail}");
    }
}
