//! How bodies arrive: their size, however it is announced, and transfers that break off.

use std::fmt::Write as _;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::support::App;
use crate::support::merchant::new_order;

const LIMIT: usize = 64 * 1024;

/// A creation of exactly that many bytes.
fn padded(bytes: usize) -> String {
    let body = new_order("A-1").to_string();
    format!("{}{body}", " ".repeat(bytes - body.len()))
}

/// The body in chunks of so many bytes.
fn chunked(body: &str, bytes: usize) -> String {
    let mut chunks = String::new();
    for chunk in body.as_bytes().chunks(bytes) {
        write!(
            chunks,
            "{:x}\r\n{}\r\n",
            chunk.len(),
            std::str::from_utf8(chunk).unwrap()
        )
        .unwrap();
    }
    format!("{chunks}0\r\n\r\n")
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_body_of_64_kib_is_read_and_one_of_more_is_refused_however_it_is_sent() {
    let app = App::spawn().await;
    let length = |bytes: usize| format!("{JSON}Content-Length: {bytes}\r\n");
    let in_chunks = format!("{JSON}Transfer-Encoding: chunked\r\n");
    let more = [
        app.head("POST", "/v1/orders", &length(LIMIT + 1)) + &padded(LIMIT + 1),
        app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(LIMIT + 1), 8000),
        app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(20 * LIMIT), 8000),
        // Not one byte of it is sent: the announcement is enough.
        app.head("POST", "/v1/orders", &length(1 << 40)),
        app.head("POST", "/v1/orders/statuses", &length(LIMIT + 1)) + &padded(LIMIT + 1),
        app.head(
            "PUT",
            &format!("/v1/orders/{}/status", Uuid::now_v7()),
            &length(LIMIT + 1),
        ) + &padded(LIMIT + 1),
    ];
    for request in more {
        app.exchange(request).await.unwrap().problem(413, "body_too_large");
    }
    assert!(app.listed("").await.is_empty());
    let exactly = app.head("POST", "/v1/orders", &length(LIMIT)) + &padded(LIMIT);
    assert_eq!(app.exchange(exactly).await.unwrap().status, 201);
    let exactly = app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(LIMIT), 8000);
    assert_eq!(app.exchange(exactly).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_arrives_in_pieces_is_the_same_body() {
    let app = App::spawn().await;
    let head = app.head("POST", "/v1/orders", &format!("{JSON}Transfer-Encoding: chunked\r\n"));
    let answer = app
        .exchange(head + &chunked(&new_order("A-1").to_string(), 1))
        .await
        .unwrap();
    assert_eq!((answer.status, &answer.json()["out_trade_no"]), (201, &"A-1".into()));
}

#[tokio::test]
async fn a_transfer_that_breaks_off_creates_nothing() {
    let app = App::spawn().await;
    let body = new_order("A-1").to_string();
    for (framing, sent) in [
        (format!("Content-Length: {}", body.len() + 1), body.clone()),
        (
            "Transfer-Encoding: chunked".into(),
            format!("{:x}\r\n{body}\r\n", body.len()),
        ),
    ] {
        let mut stream = TcpStream::connect(app.address).await.unwrap();
        let request = app.head("POST", "/v1/orders", &format!("{JSON}{framing}\r\n")) + &sent;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        // The server hangs up when it has done with the request.
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    assert!(app.listed("").await.is_empty());
}

#[tokio::test]
async fn a_transfer_that_is_not_encoded_as_announced_is_refused() {
    let app = App::spawn().await;
    let head = app.head("POST", "/v1/orders", &format!("{JSON}Transfer-Encoding: chunked\r\n"));
    let request = format!("{head}zz\r\n{}\r\n0\r\n\r\n", new_order("A-1"));
    app.exchange(request).await.unwrap().problem(400, "broken_body");
    assert!(app.listed("").await.is_empty());
}
