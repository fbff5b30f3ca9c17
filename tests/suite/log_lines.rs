//! What the logs say and, above all, what they never say. The real process, at its most talkative.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;

use crate::support::socket::frame;
use crate::support::{Answer, App, Order, Process, RawConnection};

/// Everything that an order meets in its life, errors included. Gives back the order and the wrong credentials that were sent.
async fn walk(app: &App) -> (Order, Vec<String>) {
    let order = app.create_order_with(json!({ "metadata": { "table": 5 } })).await;
    let wrong_secret = format!("pqs_{}", "W".repeat(43));
    let wrong_key = format!("{}WWWWWW", &app.api_key[..app.api_key.len() - 6]);
    app.ask(&order).send().await;
    app.ask_without_credentials(&order)
        .query("client_secret", &order.secret)
        .send()
        .await;
    app.ask(&order).if_none_match("\"1\"").query("wait", 1).send().await;
    app.ask_with(&order, &app.api_key).send().await;
    for wrong in [&wrong_secret, &wrong_key] {
        app.ask_with(&order, wrong).send().await;
        app.ask_without_credentials(&order)
            .query("client_secret", wrong)
            .send()
            .await;
        Answer::to(app.http.get(app.url("/v1/orders")).bearer_auth(wrong)).await;
    }
    // Secrets where they don't belong.
    app.ask(&order)
        .query("wait", &order.secret)
        .query("client_secret", &order.secret)
        .send()
        .await
        .invalid("wait");
    let twice = app
        .ask_without_credentials(&order)
        .query("client_secret", &order.secret);
    twice
        .query("client_secret", &order.secret)
        .send()
        .await
        .invalid("client_secret");
    app.get(&format!("/v1/orders/{}", order.secret)).await.invalid("id");
    app.get(&format!("/v1/{}?client_secret={}", order.secret, order.secret))
        .await
        .problem(404, "route_not_found");
    app.report(&order, "succeeded").await;
    assert_eq!(
        app.put(&order.status_path(), &json!({ "status": "pending" }))
            .await
            .status,
        409
    );
    app.get(&format!("/v1/orders/{}", order.id)).await;
    app.events(&order).await;
    app.post("/v1/orders", &json!({ "client_secret": order.secret })).await;
    (order, vec![wrong_secret, wrong_key])
}

/// Stops the process and gives back all that it wrote.
fn whole_log(mut process: Process) -> String {
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait().0, Some(0), "{}", process.log());
    process.log()
}

async fn talkative_process(format: &str) -> (Process, App) {
    App::builder()
        .flag("--log", "trace")
        .flag("--log-format", format)
        .spawn_process()
        .await
}

#[tokio::test]
async fn no_secret_and_no_key_is_ever_logged() {
    for format in ["text", "json"] {
        let (process, app) = talkative_process(format).await;
        let (order, wrong) = walk(&app).await;
        let log = whole_log(process);
        assert!(
            log.contains("TRACE") && log.contains("http.route"),
            "{format}: not at its most talkative:\n{log}"
        );
        for credential in wrong.iter().chain([&order.secret, &app.api_key]) {
            // A part would be a start for whoever guesses the rest; the hint that lists show is shorter.
            let part = &credential[..credential.len() - 8];
            if let Some(line) = log.lines().find(|line| line.contains(part)) {
                panic!("{format}: {part} stands in: {line}");
            }
        }
    }
}

/// The lines of requests, as objects.
fn request_lines(log: &str) -> Vec<Value> {
    let lines = log.lines().filter(|line| line.starts_with('{'));
    let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    lines.filter(|line| line["message"] == "request").collect()
}

#[tokio::test]
async fn a_requests_line_has_the_id_that_its_answer_and_its_problem_have() {
    let (process, app) = App::builder().flag("--log-format", "json").spawn_process().await;
    let order = app.create_order().await;
    let good = app.get(&format!("/v1/orders/{}", order.id)).await;
    let bad = app.get("/v1/orders/not-a-uuid").await;
    bad.invalid("id");
    let own = app
        .merchant(reqwest::Method::GET, "/v1/orders")
        .header("x-request-id", "shop-7:a.b_c");
    let own = Answer::to(own).await;
    assert_eq!(own.header("x-request-id"), "shop-7:a.b_c");
    let lines = request_lines(&whole_log(process));
    for (answer, route) in [
        (&good, "/v1/orders/{id}"),
        (&bad, "/v1/orders/{id}"),
        (&own, "/v1/orders"),
    ] {
        let id = answer.header("x-request-id");
        let of_request: Vec<_> = lines.iter().filter(|line| line["request.id"] == id).collect();
        assert_eq!(of_request.len(), 1, "{id}: {lines:#?}");
        assert_eq!(
            (&of_request[0]["http.route"], &of_request[0]["http.status"]),
            (&json!(route), &json!(answer.status))
        );
    }
}

/// Polls come by the thousand: a line for each would bury the rest, and cost more than the poll.
#[tokio::test]
async fn a_poll_that_goes_well_leaves_no_line() {
    let (process, app) = App::builder().flag("--log-format", "json").spawn_process().await;
    let order = app.create_order().await;
    for _ in 0..10 {
        assert_eq!(app.ask(&order).send().await.status, 200);
        assert_eq!(app.ask(&order).if_none_match("\"1\"").send().await.status, 304);
    }
    let routes: Vec<_> = request_lines(&whole_log(process))
        .iter()
        .map(|line| line["http.route"].clone())
        .collect();
    assert_eq!(json!(routes), json!(["/v1/orders"]));
}

#[tokio::test]
async fn a_request_id_that_would_not_fit_into_a_log_line_is_replaced() {
    let (process, app) = App::builder().flag("--log-format", "text").spawn_process().await;
    let too_long = "x".repeat(129);
    let hostile = [
        "a b",
        "\"quoted\"",
        "a\tb",
        "<script>",
        "a=b request.id=forged",
        "%0a%0dforged",
        "{}",
        "",
        &too_long,
        "付款",
    ];
    for id in hostile {
        let request = app.merchant(reqwest::Method::GET, "/v1/orders/not-a-uuid");
        let value = reqwest::header::HeaderValue::from_bytes(id.as_bytes()).unwrap();
        let answer = Answer::to(request.header("x-request-id", value)).await;
        answer.invalid("id");
        let given = answer.header("x-request-id");
        assert!(
            given.len() == 32 && given.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{id:?} became {given:?}"
        );
    }
    let kept = app
        .merchant(reqwest::Method::GET, "/v1/orders/not-a-uuid")
        .header("x-request-id", "x".repeat(128));
    assert_eq!(Answer::to(kept).await.header("x-request-id"), "x".repeat(128));
    let log = whole_log(process);
    for id in hostile.iter().filter(|id| !id.is_empty()) {
        assert!(
            !log.contains(&format!("request.id={id}")) && !log.contains("forged"),
            "{id:?}:\n{log}"
        );
    }
}

#[tokio::test]
async fn a_report_by_id_has_a_line_and_an_id_although_it_shares_its_path_with_the_polls() {
    let (process, app) = talkative_process("json").await;
    let order = app.create_order().await;
    let path = format!("/v1/orders/{}/status", order.id);
    let answer = app.put(&path, &json!({ "status": "succeeded" })).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let id = answer.header("x-request-id").to_owned();
    assert!(!id.is_empty());
    assert_eq!(
        app.metric("payquery_http_seconds_count", "PUT /v1/orders/{id}/status")
            .await,
        1.0
    );
    let log = whole_log(process);
    let line = log
        .lines()
        .find(|line| line.contains(&id))
        .unwrap_or_else(|| panic!("{log}"));
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["http.method"], &line["http.status"]),
        (&json!("PUT"), &json!(200))
    );
}

/// Bytes that no header may hold: the request is refused before anything could log them.
#[tokio::test]
async fn control_characters_in_a_request_id_never_reach_the_log() {
    let (process, app) = talkative_process("text").await;
    for id in ["a\x1b[31mred", "a\x00b", "a\rb"] {
        let mut connection = RawConnection::open(app.address).await;
        let request = format!(
            "GET /v1/orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\nx-request-id: {id}\r\n\r\n",
            app.api_key
        );
        connection.send(request.as_bytes()).await;
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{id:?}: {answer}");
    }
    let log = whole_log(process);
    assert!(!log.contains("red") || !log.contains('\x1b'), "{log}");
    assert!(!log.contains(&app.api_key[..app.api_key.len() - 8]), "{log}");
}

/// Whoever watches a log for errors is not to be woken by what strangers send.
#[tokio::test]
async fn requests_and_frames_that_cannot_be_read_are_no_errors_of_ours() {
    const UNREADABLE: [&str; 4] = [
        "GET / HTTP/9.9\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nno colon\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "\r\nPOST /v1/orders HTTP/1.1\r\n\r\n",
    ];
    // (A statement that a slow machine was slow with is no matter of requests and frames.)
    let (process, app) = App::builder().flag("--log", "info,sqlx=error").spawn_process().await;
    for request in UNREADABLE {
        let mut connection = RawConnection::open(app.address).await;
        connection.send(request.as_bytes()).await;
        let answer = connection.read_to_end().await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
    let mut socket = app.socket("/v1/ws").await;
    let half_a_ping = frame(0x09, b"");
    socket.connection().write_all(&half_a_ping).await.unwrap();
    assert_eq!(socket.close_code().await, Some(1002));
    let log = whole_log(process);
    assert!(!log.contains("ERROR") && !log.contains("WARN"), "{log}");
}
