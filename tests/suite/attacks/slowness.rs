//! Clients that take their time so that nobody else has any: each part of a request has its own.

use std::time::{Duration, Instant};

use crate::support::{App, RawConnection};

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_given_up_after_ten_seconds() {
    let app = App::spawn().await;
    let start = Instant::now();
    let silent = RawConnection::open(app.address).await;
    let (mut half, mut dripping) = (
        RawConnection::open(app.address).await,
        RawConnection::open(app.address).await,
    );
    half.send(b"GET /healthz HTTP/1.1\r\nHost: sh").await;
    dripping.send(b"GET /healthz HTTP/1.1\r\nX-Drip: ").await;
    let drip = dripping.drip(Duration::from_millis(250));
    let (silent, half, drip) = tokio::join!(read_all(silent), read_all(half), drip);
    assert!((9..15).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    for answer in [silent, half, drip] {
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

/// Whoever has asked once has no more time for the next head, however it begins and whoever reads it.
#[tokio::test]
async fn a_head_that_comes_byte_by_byte_behind_another_request_is_given_up_after_ten_seconds_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut socket = app.follow(&order).await;
    socket.document().await;
    socket.assert_alive().await;
    let poll = format!(
        "GET {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let other = "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let start = Instant::now();
    let mut drips = Vec::new();
    for (first, second) in [
        (&*poll, "GET /v1/orders/"),
        (&poll, "PUT /v1/orders/"),
        (other, "GET /v1/orders/"),
    ] {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(format!("{first}{second}").as_bytes()).await;
        drips.push(connection.drip(Duration::from_millis(250)));
    }
    for answer in futures_util::future::join_all(drips).await {
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    }
    assert!((9..15).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    // What is no head may take its time.
    socket.assert_alive().await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_is_given_up_after_fifteen_seconds() {
    let app = App::spawn().await;
    let start = Instant::now();
    let mut connection = RawConnection::open(app.address).await;
    let head = format!(
        "GET /healthz HTTP/1.1\r\nHost: shop\r\n\r\nPOST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 1000\r\n\r\n",
        app.api_key
    );
    connection.send(head.as_bytes()).await;
    let answer = connection.drip(Duration::from_millis(250)).await;
    assert!((14..20).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    assert!(
        answer.contains("HTTP/1.1 408") && answer.contains("body_too_slow"),
        "{answer}"
    );
}

async fn read_all(mut connection: RawConnection) -> String {
    connection.read_to_end().await
}
