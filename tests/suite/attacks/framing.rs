//! Request smuggling: a head that two readers could understand differently is refused, and its connection ends there.

use crate::support::{App, RawConnection};

/// What an attacker hides behind a request. Whoever takes it for a request of its own answers it, with the route's 405.
const HIDDEN: &str = "DELETE /healthz HTTP/1.1\r\nHost: hidden\r\n\r\n";

/// The status of every answer on a connection that was sent these bytes, and then nothing.
async fn answers_to(app: &App, bytes: &[u8]) -> Vec<u16> {
    let mut connection = RawConnection::open(app.address).await;
    connection.send(bytes).await;
    let answers = connection.read_to_end().await;
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    statuses.map(|answer| answer[..3].parse().unwrap()).collect()
}

/// A POST whose head has these lines, followed by this body and a hidden request.
fn post(app: &App, lines: &str, body: &str) -> String {
    format!(
        "POST /v1/orders HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n{lines}\r\n\r\n\
         {body}{HIDDEN}",
        app.api_key
    )
}

async fn is_refused(app: &App, lines: &str, body: &str) {
    let statuses = answers_to(app, post(app, lines, body).as_bytes()).await;
    assert_eq!(statuses, [400], "{lines:?} {body:?}");
}

#[tokio::test]
async fn a_body_whose_length_is_said_in_two_ways_is_refused_and_nothing_behind_it_is_read() {
    let app = App::spawn().await;
    for lines in [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 2\r\nContent-Length: 50",
        "Content-Length: 2\r\nContent-Length: 2",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    ] {
        is_refused(&app, lines, "0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_length_or_coding_that_is_not_plainly_one_is_refused() {
    let app = App::spawn().await;
    for lines in [
        "Content-Length: 2, 2",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: 2 2",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\u{b}",
        "Transfer-Encoding:",
    ] {
        is_refused(&app, lines, "0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_line_of_the_head_that_others_read_as_two_or_as_another_is_refused() {
    let app = App::spawn().await;
    for lines in [
        "X-Folded: a\r\n Content-Length: 2",
        "X-Folded: a\r\n\tContent-Length: 2",
        "Content-Length : 2",
        "Content-Length\t: 2",
        " Content-Length: 2",
        "Content-Length\u{b}: 2",
        "X-Bare: a\rContent-Length: 2",
        "X-Nul: a\0b\r\nContent-Length: 2",
        "X-Name[]: a\r\nContent-Length: 2",
        ": a\r\nContent-Length: 2",
        "no colon\r\nContent-Length: 2",
        "Host: another\r\nContent-Length: 2",
    ] {
        is_refused(&app, lines, "{}").await;
    }
}

#[tokio::test]
async fn a_request_line_that_is_none_is_refused() {
    let app = App::spawn().await;
    for line in [
        "GET  /healthz HTTP/1.1",
        "GET /healthz  HTTP/1.1",
        "GET /healthz HTTP/1.1 ",
        "GET /health z HTTP/1.1",
        "GET /healthz HTTP/9.9",
        "GET /healthz HTTP/2.0",
        "GET /healthz",
        "G\u{0}T /healthz HTTP/1.1",
        "GET\t/healthz HTTP/1.1",
    ] {
        let statuses = answers_to(&app, format!("{line}\r\nHost: shop\r\n\r\n{HIDDEN}").as_bytes()).await;
        assert_eq!(statuses, [400], "{line:?}");
    }
    let without_host = answers_to(&app, format!("GET /healthz HTTP/1.1\r\n\r\n{HIDDEN}").as_bytes()).await;
    assert_eq!(without_host, [400]);
}

/// The head is plain; what is wrong comes with the body. An answer is given, and nothing that follows is taken for a request.
#[tokio::test]
async fn a_chunked_body_that_is_not_plainly_one_ends_the_connection() {
    let app = App::spawn().await;
    for body in [
        "0x2\r\n{}\r\n0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2\n{}\r\n0\r\n\r\n",
        "2;a\nb\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "2\r\n{}\n0\r\n\r\n",
        "2\r\n{}!!0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n",
    ] {
        let statuses = answers_to(&app, post(&app, "Transfer-Encoding: chunked", body).as_bytes()).await;
        assert_eq!(statuses, [400], "{body:?}");
    }
}

/// Of those that are in order, each is answered, in its turn: the hidden one is none here, but the second of two.
#[tokio::test]
async fn requests_sent_in_one_go_are_answered_one_by_one_and_in_order() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let ask = || {
        format!(
            "GET /v1/orders/{}/status HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\n\r\n",
            order.id, order.secret
        )
    };
    let bytes = format!("{}{HIDDEN}", ask()).repeat(40);
    let last = "GET /healthz HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n";
    let statuses = answers_to(&app, format!("{bytes}{last}").as_bytes()).await;
    let expected: Vec<u16> = (0..40).flat_map(|_| [200, 405]).chain([200]).collect();
    assert_eq!(statuses, expected);
}

#[tokio::test]
async fn the_path_is_taken_as_it_is_sent_and_leads_around_no_check() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for path in [
        format!("/v1/orders/x/../{}/status", order.id),
        format!("//v1/orders/{}/status", order.id),
        format!("/v1/orders/{}/status/", order.id),
        format!("/v1//orders/{}/status", order.id),
        format!("/V1/orders/{}/status", order.id),
        format!("/v1/orders/{}/status%2f", order.id),
        format!("/v1/orders/{};x/status", order.id),
        format!("/v1/orders/{}%00/status", order.id),
        format!("/v1/orders/{}", order.id),
        "/v1/orders/../../metrics".to_owned(),
        "http://127.0.0.1/../metrics".to_owned(),
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            order.secret
        );
        let statuses = answers_to(&app, request.as_bytes()).await;
        assert!(matches!(statuses[..], [400 | 401 | 404]), "{path}: {statuses:?}");
    }
}
