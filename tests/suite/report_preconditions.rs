//! `If-Match` and `If-None-Match` on a report: it is applied only to the version that the merchant decided on.

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, App, Order};

/// Reports `succeeded` under these headers.
async fn report(app: &App, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.merchant(Method::PUT, path).json(&json!({ "status": "succeeded" }));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::to(request).await
}

fn path_of(order: &Order) -> String {
    format!("/v1/orders/{}/status", order.id)
}

#[tokio::test]
async fn a_report_is_applied_when_if_match_names_the_version() {
    let app = App::spawn().await;
    let cases: [&[&str]; 7] = [
        &["\"2\""],
        &["*"],
        &["\"1\", \"2\""],
        &["\"2\",W/\"7\",,\"x\""],
        &["W/\"2\", \"2\""],
        &["\"1\"", "\"2\""],
        &["\"a,b\", \"2\""],
    ];
    for fields in cases {
        let order = app.order_at("processing").await;
        let headers: Vec<_> = fields.iter().map(|value| ("if-match", *value)).collect();
        let answer = report(&app, &path_of(&order), &headers).await;
        assert_eq!((answer.status, answer.header("etag")), (200, "\"3\""), "{fields:?}");
    }
}

#[tokio::test]
async fn a_report_is_not_applied_when_if_match_names_other_versions_or_a_weak_tag() {
    let app = App::spawn().await;
    let order = app.order_at("processing").await;
    for tags in ["\"1\"", "\"3\"", "W/\"2\"", "\"1\", \"3\"", "\"02\"", "\"\""] {
        let problem = report(&app, &path_of(&order), &[("if-match", tags)])
            .await
            .problem(412, "precondition_failed");
        assert!(
            problem["detail"].as_str().unwrap().contains("version 2"),
            "{tags}: {problem}"
        );
    }
    assert_eq!(app.read(&order).await["version"], 2);
}

#[tokio::test]
async fn an_if_match_that_is_no_list_of_tags_is_refused() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for tags in [
        "1",
        "\"1",
        "1\"",
        "'1'",
        "\"1\" \"2\"",
        "w/\"1\"",
        "*, \"1\"",
        "\"1\", 2",
        "\"1\";q=1",
        "\"1 \"",
        "null",
    ] {
        report(&app, &path_of(&order), &[("if-match", tags)])
            .await
            .invalid("If-Match");
    }
    assert_eq!(app.read(&order).await["version"], 1);
}

#[tokio::test]
async fn a_report_is_not_applied_when_if_none_match_matches() {
    let app = App::spawn().await;
    let order = app.order_at("processing").await;
    for tags in ["\"2\"", "W/\"2\"", "\"7\", \"2\"", "*"] {
        report(&app, &path_of(&order), &[("if-none-match", tags)])
            .await
            .problem(412, "precondition_failed");
    }
    assert_eq!(app.read(&order).await["version"], 2);
    assert_eq!(
        report(&app, &path_of(&order), &[("if-none-match", "\"1\"")])
            .await
            .version(),
        3
    );
}

#[tokio::test]
async fn a_precondition_holds_by_out_trade_no_too() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let path = format!("/v1/orders/out-trade-no/{}/status", order.out_trade_no);
    report(&app, &path, &[("if-match", "\"2\"")])
        .await
        .problem(412, "precondition_failed");
    report(&app, &path, &[("if-match", "2")]).await.invalid("If-Match");
    assert_eq!(report(&app, &path, &[("if-match", "\"1\"")]).await.version(), 2);
}

#[tokio::test]
async fn a_stale_report_is_told_so_also_where_it_would_have_been_a_repeat_or_rejected() {
    let app = App::spawn().await;
    for status in ["succeeded", "refunded"] {
        let order = app.order_at(status).await;
        report(&app, &path_of(&order), &[("if-match", "\"1\"")])
            .await
            .problem(412, "precondition_failed");
    }
}

#[tokio::test]
async fn an_order_that_is_not_there_is_a_404_whatever_the_precondition() {
    let app = App::spawn().await;
    let path = format!("/v1/orders/{}/status", Uuid::now_v7());
    for header in ["if-match", "if-none-match"] {
        report(&app, &path, &[(header, "*")])
            .await
            .problem(404, "order_not_found");
    }
}
