//! Requests that are no good before their body is read: unknown routes and methods, names that can be none.

use reqwest::Method;
use uuid::Uuid;

use crate::support::{Answer, App};

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
    let app = App::builder().demo().spawn().await;
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PURGE", "get", "X-JUNK",
    ];
    for route in payquery::http::routes::table() {
        let path = route
            .path
            .replace("{id}", &Uuid::now_v7().to_string())
            .replace("{no}", "A-1")
            .replace("{name}", "demo.css")
            .replace("{server:[^/.]+}", "000")
            .replace("{session:[^/.]+}", "abcdefgh")
            .replace("{page:iframe[0-9A-Za-z._-]*\\.html}", "iframe.html");
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
