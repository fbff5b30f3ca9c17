//! Requests that are no good before their body is read: unknown routes and methods, sizes, broken transfers, junk bytes.

use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::{Answer, App};

const LIMIT: usize = 64 * 1024;

#[tokio::test]
async fn a_path_that_leads_nowhere_is_a_404() {
    let app = App::spawn().await;
    let id = Uuid::now_v7();
    for path in [
        "/",
        "/v1",
        "/v1/",
        "/v2/orders",
        "/V1/orders",
        "/v1/orders/",
        "/v1//orders",
        "//v1/orders",
        "/v1/orders/a/b/c",
        "/v1/merchants",
        "/metrics/",
        "/.env",
        "/v1/orders/out-trade-no/",
        "/v1/orders/out-trade-no/a/b",
    ] {
        app.get(path).await.problem(404, "route_not_found");
    }
    for (method, path) in [
        (Method::PUT, format!("/v1/orders/{id}/events/x")),
        (Method::DELETE, "/nowhere".into()),
    ] {
        Answer::to(app.merchant(method, &path))
            .await
            .problem(404, "route_not_found");
    }
}

#[tokio::test]
async fn a_method_that_a_path_does_not_take_is_a_405_that_says_which_it_takes() {
    let app = App::spawn().await;
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "get", "X-JUNK",
    ];
    for route in payquery::http::routes::table() {
        let path = route
            .path
            .replace("{id}", &Uuid::now_v7().to_string())
            .replace("{no}", "A-1");
        let allowed: Vec<_> = route.allow.split(", ").collect();
        for method in methods.into_iter().filter(|method| !allowed.contains(method)) {
            let answer = app
                .exchange(app.head(method, &path, "Content-Length: 0\r\n"))
                .await
                .unwrap();
            if method != "HEAD" {
                answer.problem(405, "method_not_allowed");
            }
            assert_eq!(
                (answer.status, answer.header("allow")),
                (405, route.allow),
                "{method} {path}"
            );
        }
        for method in allowed {
            let answer = app
                .exchange(app.head(method, &path, "Content-Length: 0\r\n"))
                .await
                .unwrap();
            assert_ne!(answer.status, 405, "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_refused_by_name() {
    let app = App::spawn().await;
    let id = Uuid::now_v7();
    let long = "a".repeat(5000);
    for junk in [
        "x",
        "1",
        "null",
        "undefined",
        "..%2f..",
        "%00",
        "%ff%fe",
        "%E8%AE%A2",
        "%F0%9F%98%80",
        "-",
        "%20",
        "%25",
        "%2F",
        &id.simple().to_string(),
        &format!("%7B{id}%7D"),
        &format!("{id}%00"),
        &format!("{id}%20"),
        &format!("{id}x"),
        &id.to_string()[1..],
        &id.to_string().replace('-', "_"),
        "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz",
        &long,
    ] {
        for (method, rest) in [("GET", ""), ("GET", "/events"), ("GET", "/status")] {
            let head = app.head(method, &format!("/v1/orders/{junk}{rest}"), "");
            app.exchange(head).await.unwrap().invalid("id");
        }
        let head = app.head(
            "PUT",
            &format!("/v1/orders/{junk}/status"),
            "Content-Type: application/json\r\nContent-Length: 22\r\n",
        );
        app.exchange(head + r#"{"status":"succeeded"}"#)
            .await
            .unwrap()
            .invalid("id");
    }
}

#[tokio::test]
async fn a_number_that_can_be_none_is_refused_by_name() {
    let app = App::spawn().await;
    for junk in [
        "%00",
        "%ff",
        "%20",
        "a%0Ab",
        "%E8%AE%A2",
        "%C3%28",
        &"x".repeat(65),
        &"%41".repeat(65),
    ] {
        let path = format!("/v1/orders/out-trade-no/{junk}");
        app.exchange(app.head("GET", &path, ""))
            .await
            .unwrap()
            .invalid("out_trade_no");
        let head = app.head(
            "PUT",
            &format!("{path}/status"),
            "Content-Type: application/json\r\nContent-Length: 22\r\n",
        );
        app.exchange(head + r#"{"status":"succeeded"}"#)
            .await
            .unwrap()
            .invalid("out_trade_no");
    }
}

/// A creation of exactly that many bytes.
fn padded(bytes: usize) -> String {
    let body = new_order("A-1").to_string();
    format!("{}{body}", " ".repeat(bytes - body.len()))
}

fn chunked(body: &str) -> String {
    let chunks: String = body
        .as_bytes()
        .chunks(8000)
        .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()))
        .collect();
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
        app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(LIMIT + 1)),
        app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(20 * LIMIT)),
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
    let exactly = app.head("POST", "/v1/orders", &in_chunks) + &chunked(&padded(LIMIT));
    assert_eq!(app.exchange(exactly).await.unwrap().status, 200);
}

#[tokio::test]
async fn a_body_that_arrives_in_pieces_is_the_same_body() {
    let app = App::spawn().await;
    let body: String = new_order("A-1")
        .to_string()
        .chars()
        .map(|one| format!("1\r\n{one}\r\n"))
        .collect();
    let request =
        app.head("POST", "/v1/orders", &format!("{JSON}Transfer-Encoding: chunked\r\n")) + &body + "0\r\n\r\n";
    assert_eq!(app.exchange(request).await.unwrap().status, 201);
}

#[tokio::test]
async fn a_transfer_that_breaks_off_creates_nothing() {
    let app = App::spawn().await;
    let body = new_order("A-1").to_string();
    for broken in [
        format!("{JSON}Content-Length: {}\r\n\r\n{body}", body.len() + 1),
        format!("{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len()),
    ] {
        let mut connection = crate::support::RawConnection::open(app.address).await;
        let head = app.head("POST", "/v1/orders", "");
        connection
            .send(format!("{}{broken}", head.trim_end_matches("\r\n").to_owned() + "\r\n").as_bytes())
            .await;
        connection.close().await;
    }
    let odd_chunk = format!("{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n{body}\r\n0\r\n\r\n");
    let head = app.head("POST", "/v1/orders", "");
    let answer = app
        .exchange(format!("{}\r\n{odd_chunk}", head.trim_end_matches("\r\n")))
        .await
        .unwrap();
    answer.problem(400, "broken_body");
    assert!(app.listed("").await.is_empty());
}

#[tokio::test]
async fn junk_in_header_and_path_is_never_the_services_fault() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let path = format!("/v1/orders/{}", order.id);
    let mut requests: Vec<Vec<u8>> = Vec::new();
    for name in [
        "If-None-Match",
        "If-Match",
        "Authorization",
        "X-Request-Id",
        "Prefer",
        "Accept",
        "X-Forwarded-For",
        "Cookie",
    ] {
        for value in [
            &b"\xff\xfe\x80"[..],
            b"\"\xff\"",
            b"",
            b"%00",
            b"\"\"\"",
            &[b'x'; 20_000],
            b"\x01\x02",
            b"a\tb",
        ] {
            let mut request = app.head("GET", &path, "").trim_end().as_bytes().to_vec();
            request.extend_from_slice(format!("\r\n{name}: ").as_bytes());
            request.extend_from_slice(value);
            request.extend_from_slice(b"\r\n\r\n");
            requests.push(request);
        }
    }
    for path in [
        &b"/v1/orders/\xff\xfe"[..],
        b"/v1/orders/%",
        b"/v1/orders/%z1",
        b"/v1/orders/%%%",
        b"/v1/orders?%ff=%00",
        b"*",
        b"?",
        b"/v1/orders?=",
        b"/v1/orders?&&&",
        b"/v1/orders?limit=%",
        b"/v1/orders?`=1",
        b"/v1/orders/out-trade-no/%zz",
        b"x",
        b"/v1/orders/\x00",
        b"http://elsewhere/v1/orders?limit=0",
        b"/v1/orders?limit=1#x",
        b"/..%2f..%2fetc",
        b"/v1/orders/../x",
    ] {
        requests.push(
            [
                b"GET ",
                path,
                b" HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer x\r\n\r\n",
            ]
            .concat(),
        );
        let key = format!(
            " HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n\r\n",
            app.api_key
        );
        requests.push([b"GET ", path, key.as_bytes()].concat());
    }
    for length in [9000, 70_000, 200_000] {
        requests.push(
            app.head("GET", &format!("/v1/orders/{}", "a".repeat(length)), "")
                .into(),
        );
        requests.push(
            app.head("GET", &path, &format!("X-Long: {}\r\n", "a".repeat(length)))
                .into(),
        );
    }
    requests.push(app.head("GET", &path, &"X-Many: 1\r\n".repeat(2000)).into());
    for text in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}junk\r\n\r\n",
    ] {
        requests.push(text.into());
    }
    for headers in [
        "Content-Length: -1\r\n",
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: junk\r\n",
    ] {
        requests.push(app.head("POST", "/v1/orders", headers).into());
    }
    requests.push(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec());
    for mut request in requests {
        let shown = String::from_utf8_lossy(&request[..request.len().min(200)]).into_owned();
        if request == b"\r\n\r\n" {
            request = b"\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_vec();
        }
        if let Some(answer) = app.exchange(request).await {
            assert!((200..500).contains(&answer.status), "{shown}: {}", answer.status);
            if answer.status >= 400 && !answer.text.is_empty() {
                let problem: Value = answer.json();
                answer.problem(answer.status, problem["code"].as_str().unwrap());
            }
        }
    }
    assert_eq!(app.read(&order).await["version"], 1);
}

#[tokio::test]
async fn a_clients_request_id_is_kept_when_a_log_can_hold_it() {
    let app = App::spawn().await;
    let long = "x".repeat(129);
    for (given, kept) in [
        ("abc-1.2:3_x", true),
        ("a b", false),
        ("a\"b", false),
        ("", false),
        (&*long, false),
    ] {
        let answer = Answer::to(app.merchant(Method::GET, "/nowhere").header("x-request-id", given)).await;
        let id = answer.problem(404, "route_not_found")["request_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert_eq!(id == given, kept, "{given}: {id}");
    }
}
