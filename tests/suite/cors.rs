//! Which web pages may read a status.

use reqwest::Method;

use crate::support::{Answer, App, Order};

const SHOP: &str = "https://shop.example.com";

async fn preflight(app: &App, order: &Order, origin: &str, headers: &str) -> Answer {
    let request = app.http.request(Method::OPTIONS, app.url(&order.status_path()));
    let request = request
        .header("origin", origin)
        .header("access-control-request-method", "GET");
    Answer::to(request.header("access-control-request-headers", headers)).await
}

/// The members of a list in a header, in lower case.
fn members(answer: &Answer, name: &str) -> Vec<String> {
    answer
        .header(name)
        .split(',')
        .map(|member| member.trim().to_ascii_lowercase())
        .collect()
}

#[track_caller]
fn assert_members(answer: &Answer, name: &str, expected: &[&str]) {
    let members = members(answer, name);
    for expected in expected {
        assert!(
            members.iter().any(|member| member == expected),
            "{name} lacks {expected}: {members:?}"
        );
    }
}

#[tokio::test]
async fn a_page_of_any_origin_may_read_a_status_and_all_its_headers() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for tag in ["\"7\"", "\"1\""] {
        let answer = app.ask(&order).header("origin", SHOP).if_none_match(tag).send().await;
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{answer:?}");
        let exposed = [
            "etag",
            "x-poll-interval",
            "retry-after",
            "ratelimit",
            "ratelimit-policy",
            "preference-applied",
            "x-request-id",
        ];
        assert_members(&answer, "access-control-expose-headers", &exposed);
        // No cookies: whoever has the secret could ask from anywhere.
        assert!(!answer.has_header("access-control-allow-credentials"), "{answer:?}");
    }
}

#[tokio::test]
async fn a_page_may_read_errors_too() {
    let app = App::builder()
        .flag("--poll-rate", "0.01")
        .flag("--poll-burst", "1")
        .spawn()
        .await;
    let order = app.create_order().await;
    app.ask(&order).send().await;
    let limited = app.ask(&order).header("origin", SHOP).send().await;
    let wrong = app.ask_with(&order, "pqs_wrong").header("origin", SHOP).send().await;
    let invalid = app.ask(&order).query("wait", "x").header("origin", SHOP).send().await;
    for (answer, status) in [(limited, 429), (wrong, 404), (invalid, 400)] {
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (status, "*")
        );
    }
}

#[tokio::test]
async fn the_preflight_allows_what_a_poller_sends_and_is_kept_for_a_day() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let headers = "authorization,if-none-match,prefer,cache-control,x-request-id";
    let answer = preflight(&app, &order, SHOP, headers).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (200, "*")
    );
    assert_members(&answer, "access-control-allow-methods", &["get", "head"]);
    assert_members(
        &answer,
        "access-control-allow-headers",
        &["authorization", "if-none-match", "prefer"],
    );
    assert_eq!(answer.header("access-control-max-age"), "86400");
}

/// A merchant's key has no place in a page, so no page may report a status.
#[tokio::test]
async fn a_page_may_neither_report_a_status_nor_call_what_is_the_merchants() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let put = app
        .http
        .request(Method::OPTIONS, app.url(&order.status_path()))
        .header("origin", SHOP);
    let answer = Answer::to(put.header("access-control-request-method", "PUT")).await;
    assert!(
        !members(&answer, "access-control-allow-methods").contains(&"put".to_owned()),
        "{answer:?}"
    );
    let list = app
        .http
        .request(Method::OPTIONS, app.url("/v1/orders"))
        .header("origin", SHOP);
    let answer = Answer::to(list.header("access-control-request-method", "POST")).await;
    assert!(!answer.has_header("access-control-allow-origin"), "{answer:?}");
    let list = app.merchant(Method::GET, "/v1/orders").header("origin", SHOP);
    assert!(!Answer::to(list).await.has_header("access-control-allow-origin"));
}

#[tokio::test]
async fn of_configured_origins_each_is_allowed_by_name_and_no_other() {
    let app = App::builder()
        .flag("--cors-origins", "https://shop.example.com,http://localhost:3000")
        .spawn()
        .await;
    let order = app.create_order().await;
    for origin in [SHOP, "http://localhost:3000"] {
        let answer = app.ask(&order).header("origin", origin).send().await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, origin)
        );
        assert_members(&answer, "vary", &["origin", "authorization", "accept", "prefer"]);
        assert_eq!(
            preflight(&app, &order, origin, "authorization")
                .await
                .header("access-control-allow-origin"),
            origin
        );
    }
    for origin in [
        "https://evil.example",
        "https://shop.example.com.evil.example",
        "http://shop.example.com",
        "null",
    ] {
        let answer = app.ask(&order).header("origin", origin).send().await;
        assert!(
            !answer.has_header("access-control-allow-origin"),
            "{origin}: {answer:?}"
        );
        let refused = preflight(&app, &order, origin, "authorization").await;
        assert!(
            refused.status == 400 && !refused.has_header("access-control-allow-origin"),
            "{origin}: {refused:?}"
        );
    }
}

#[tokio::test]
async fn without_configured_origins_no_page_may_read_a_status_and_all_others_may() {
    let app = App::builder().flag("--cors-origins", "").spawn().await;
    let order = app.create_order().await;
    let answer = app.ask(&order).header("origin", SHOP).send().await;
    assert!(!answer.has_header("access-control-allow-origin"), "{answer:?}");
    assert!(
        !preflight(&app, &order, SHOP, "authorization")
            .await
            .has_header("access-control-allow-origin")
    );
    assert_eq!(app.ask(&order).send().await.status, 200);
}

#[tokio::test]
async fn a_refused_preflight_is_a_problem_document_like_every_error() {
    let app = App::builder().flag("--cors-origins", SHOP).spawn().await;
    let order = app.create_order().await;
    preflight(&app, &order, "https://evil.example", "authorization")
        .await
        .problem(400, "cors_refused");
    preflight(&app, &order, SHOP, "x-unheard-of")
        .await
        .problem(400, "cors_refused");
}
