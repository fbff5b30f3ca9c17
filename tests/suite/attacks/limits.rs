//! Too much of anything: refused, and with a bounded part of it kept in memory.

use crate::support::{Answer, App, RawConnection};

async fn answer_to(app: &App, bytes: &[u8]) -> String {
    let mut connection = RawConnection::open(app.address).await;
    // It may be refused, and the connection closed, before all of it is sent.
    connection.try_send(bytes).await;
    connection.read_to_end().await
}

#[tokio::test]
async fn too_many_headers_are_refused() {
    let app = App::spawn().await;
    let with = |count: usize| {
        let headers = "X-Many: a\r\n".repeat(count);
        format!("GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{headers}\r\n")
    };
    assert!(answer_to(&app, with(50).as_bytes()).await.starts_with("HTTP/1.1 200"));
    assert!(answer_to(&app, with(500).as_bytes()).await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn a_head_without_end_is_refused_once_it_is_longer_than_128_kib() {
    let app = App::spawn().await;
    for head in ["GET /healthz HTTP/1.1\r\nHost: shop\r\nX-Long: ", "GET /healthz?"] {
        let answer = answer_to(&app, format!("{head}{}", "a".repeat(1 << 20)).as_bytes()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_has_the_same_limit() {
    let app = App::spawn().await;
    let head = format!(
        "POST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
        app.api_key
    );
    let chunks = format!("2000\r\n{}\r\n", " ".repeat(8192)).repeat(9);
    let answer = answer_to(&app, format!("{head}{chunks}0\r\n\r\n").as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"),
        "{answer}"
    );
}

/// Nothing is unpacked, so nothing can be small on the line and large in memory.
#[tokio::test]
async fn a_compressed_body_is_not_unpacked() {
    let app = App::spawn().await;
    let request = app
        .merchant(reqwest::Method::POST, "/v1/orders")
        .header("content-type", "application/json")
        .header("content-encoding", "gzip");
    let gzipped: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0,
    ];
    Answer::to(request.body(gzipped)).await.problem(400, "malformed_json");
}

#[tokio::test]
async fn json_nested_without_end_is_refused() {
    let app = App::spawn().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let depth = 60_000 / (open.len() + close.len());
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        let body = format!("{{\"out_trade_no\":\"a\",\"amount\":1,\"currency\":\"CNY\",\"metadata\":{nested}}}");
        let request = app
            .merchant(reqwest::Method::POST, "/v1/orders")
            .header("content-type", "application/json");
        let answer = Answer::to(request.body(body)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(app.get("/healthz").await.status, 200, "it is still there");
}

/// Requests that wait behind a held one stay in the sockets' buffers: the process stops reading.
#[tokio::test]
async fn requests_piled_up_behind_a_held_one_are_not_read_into_memory() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut connection = RawConnection::open(app.address).await;
    let ask = |query: &str| {
        format!(
            "GET /v1/orders/{}/status{query} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\n\r\n",
            order.id, order.secret
        )
    };
    connection.send(ask("?since_version=1&wait=55").as_bytes()).await;
    app.wait_for_held(1).await;
    let piled_up = ask("").repeat(256 * 1024);
    let taken = connection.send_until_stuck(piled_up.as_bytes()).await;
    assert!(
        taken < piled_up.len() / 2,
        "{taken} bytes of {} were taken",
        piled_up.len()
    );
}
