//! Polls are answered in a lane of their own, and by the web framework where a request is spelled oddly: the same answers, and
//! nothing falls between the two.

use std::collections::BTreeSet;

use crate::support::{App, Order, RawConnection};

/// What a poll's answer is made of, but for what differs from one request to the next.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    status_line: String,
    fields: BTreeSet<String>,
    body: String,
}

impl Told {
    fn read(answer: &str) -> Self {
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head: {answer:?}"));
        let (status_line, fields) = head.split_once("\r\n").unwrap();
        let own = |field: &&str| {
            let name = field.split(':').next().unwrap();
            !["date", "x-request-id", "ratelimit", "content-length"].contains(&name)
        };
        let names_its_request = body.find("\"request_id\"").unwrap_or(body.len());
        Self {
            status_line: status_line.to_owned(),
            fields: fields.split("\r\n").filter(own).map(without_pace).collect(),
            body: body[..names_its_request].to_owned(),
        }
    }
}

/// That there is a pace is told in both; which one may change from one request to the next, with the process's load.
fn without_pace(field: &str) -> String {
    match field.split_once(": ") {
        Some(("x-poll-interval", seconds)) => format!("x-poll-interval, {}", seconds.parse::<u32>().is_ok()),
        _ => field.to_owned(),
    }
}

fn poll(order: &Order, query: &str, fields: &str) -> String {
    format!(
        "GET {}{query} HTTP/1.1\r\nhost: x\r\n{fields}connection: close\r\n\r\n",
        order.status_path()
    )
}

async fn answer(app: &App, request: &str) -> String {
    let mut connection = RawConnection::open(app.address).await;
    connection.send(request.as_bytes()).await;
    connection.read_to_end().await
}

#[tokio::test]
async fn the_lane_and_the_framework_tell_the_same_in_the_same_words() {
    let app = App::builder().flag("--auth-failure-rate", "0").spawn().await;
    let (open, paid) = (app.create_order().await, app.create_order().await);
    app.report(&paid, "succeeded").await;
    let bearer = |order: &Order| format!("authorization: Bearer {}\r\n", order.secret);
    let with = |fields: &str| format!("{}{fields}", bearer(&open));
    let cases = [
        poll(&open, "", &bearer(&open)),
        poll(&open, "", &with("if-none-match: \"1\"\r\n")),
        poll(
            &open,
            "",
            &with("if-none-match: W/\"1\", \"7\"\r\nif-none-match: \"0\"\r\n"),
        ),
        poll(
            &open,
            "",
            &with("if-none-match: *\r\norigin: https://shop.example.com\r\n"),
        ),
        poll(&open, "?since_version=0&wait=25", &with("prefer: wait=3\r\n")),
        poll(&open, "", &with("prefer: wait=3\r\n")),
        poll(&open, &format!("?client_secret={}", open.secret), ""),
        poll(&open, "", &format!("authorization: Bearer {}\r\n", app.api_key)),
        poll(&paid, "?until=final&wait=25", &bearer(&paid)),
        poll(&paid, "", &bearer(&open)),
        poll(&open, "?wait=x", &with("origin: https://shop.example.com\r\n")),
        poll(&open, "", ""),
        poll(&open, "", "authorization: Basic eDp5\r\n"),
        poll(&open, "", "authorization: Bearer pqk_wrong\r\n"),
    ];
    for request in cases {
        let in_lane = Told::read(&answer(&app, &request).await);
        // An empty line before the request is allowed, and nothing that a poller sends.
        let by_framework = Told::read(&answer(&app, &format!("\r\n{request}")).await);
        assert_eq!(in_lane, by_framework, "{request}");
    }
}

#[tokio::test]
async fn polls_that_are_sent_ahead_are_answered_in_turn_and_a_request_of_another_kind_behind_them_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let one = format!(
        "GET {}?since_version=0 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let other = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let told = answer(&app, &format!("{one}{one}{one}{other}")).await;
    assert_eq!(told.matches("HTTP/1.1 200 OK").count(), 4, "{told}");
    assert_eq!(told.matches("\"version\":1").count(), 3, "{told}");
    assert!(told.ends_with("{\"status\":\"ok\"}"), "{told}");
}

#[tokio::test]
async fn a_poll_that_arrives_byte_by_byte_is_answered() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut connection = RawConnection::open(app.address).await;
    for byte in poll(&order, "", &format!("authorization: Bearer {}\r\n", order.secret)).bytes() {
        connection.send(&[byte]).await;
    }
    let told = connection.read_to_end().await;
    assert!(told.starts_with("HTTP/1.1 200 OK") && told.ends_with('}'), "{told}");
}

#[tokio::test]
async fn a_request_sent_ahead_of_a_held_ones_answer_waits_for_its_turn() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let bearer = format!("authorization: Bearer {}\r\n", order.secret);
    let held = format!(
        "GET {}?wait=50&since_version=1 HTTP/1.1\r\nhost: x\r\n{bearer}\r\n",
        order.status_path()
    );
    let mut connection = RawConnection::open(app.address).await;
    connection.send(held.as_bytes()).await;
    app.wait_for_held(1).await;
    connection.send(poll(&order, "", &bearer).as_bytes()).await;
    app.report(&order, "succeeded").await;
    let told = connection.read_to_end().await;
    assert_eq!(told.matches("\"version\":2").count(), 2, "{told}");
}

/// Whoever sends without end while it is held is not read without end.
#[tokio::test]
async fn what_is_sent_ahead_of_a_held_requests_answer_is_bounded() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = format!(
        "GET {}?wait=50&since_version=1 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        order.status_path(),
        order.secret
    );
    let mut connection = RawConnection::open(app.address).await;
    connection.send(held.as_bytes()).await;
    app.wait_for_held(1).await;
    let junk = vec![b'x'; 64 << 20];
    assert!(
        connection.send_until_stuck(&junk).await < junk.len(),
        "64 MiB were taken"
    );
    drop(connection);
    app.report(&order, "succeeded").await;
    app.wait_for_held(0).await;
}

/// What an attacker hides behind a poll: whoever takes it for a request of its own answers it, with a 405.
const HIDDEN: &str = "DELETE /healthz HTTP/1.1\r\nhost: hidden\r\n\r\n";

#[tokio::test]
async fn a_poll_whose_head_two_readers_could_understand_differently_is_refused_like_every_request() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let bearer = format!("authorization: Bearer {}\r\n", order.secret);
    for line in [
        "content-length: 2\r\ntransfer-encoding: chunked",
        "content-length: 0\r\ncontent-length: 44",
        "content-length: +0",
        "transfer-encoding: xchunked",
        "host: other",
        "x-a: b\rc",
        "x-a : b",
        " x-a: b",
    ] {
        let request = format!(
            "GET {} HTTP/1.1\r\nhost: x\r\n{line}\r\n{bearer}\r\n",
            order.status_path()
        );
        let told = answer(&app, &format!("{request}{HIDDEN}")).await;
        assert!(
            told.starts_with("HTTP/1.1 400 ") && told.matches("HTTP/1.1").count() == 1,
            "{line:?}: {told}"
        );
    }
    let without_host = format!("GET {} HTTP/1.1\r\n{bearer}\r\n{HIDDEN}", order.status_path());
    let told = answer(&app, &without_host).await;
    assert!(
        told.starts_with("HTTP/1.1 400 ") && told.matches("HTTP/1.1").count() == 1,
        "{told}"
    );
}

#[tokio::test]
async fn a_body_that_a_poll_brings_along_is_not_taken_for_the_next_request() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let lines = format!(
        "authorization: Bearer {}\r\ncontent-length: {}\r\n",
        order.secret,
        HIDDEN.len()
    );
    let request = format!("GET {} HTTP/1.1\r\nhost: x\r\n{lines}\r\n{HIDDEN}", order.status_path());
    let told = answer(
        &app,
        &format!(
            "{request}{}",
            poll(&order, "", &lines.replace("content-length", "x-length"))
        ),
    )
    .await;
    assert_eq!(told.matches("HTTP/1.1 200 ").count(), 2, "{told}");
    assert_eq!(told.matches("HTTP/1.1").count(), 2, "{told}");
}
