//! Bodies that are no JSON object, or not declared as one.

use reqwest::Method;
use serde_json::json;

use crate::support::merchant::new_order;
use crate::support::{Answer, App};

#[tokio::test]
async fn what_is_no_json_object_is_refused_with_the_reason() {
    let app = App::spawn().await;
    let good = r#""out_trade_no":"A-1","amount":1000,"currency":"CNY""#;
    let broken = [
        String::new(),
        " ".into(),
        "{".into(),
        "nonsense".into(),
        "out_trade_no=A-1&amount=1000".into(),
        format!("{{{good}"),
        format!("{{{good},}}"),
        format!("{{{good}}} {{}}"),
        format!("{{{good}}}\u{0}"),
        format!("\u{feff}{{{good}}}"),
        format!("{{{good}, // comment\n}}"),
        format!("{{{good},\"description\":\"\\ud800\"}}"),
        format!("{{{good},\"description\":\"\u{1}\"}}"),
        format!(
            "{{{good},\"metadata\":{{\"a\":{}1{}}}}}",
            "[".repeat(5000),
            "]".repeat(5000)
        ),
        format!("{{{good},\"metadata\":{{\"a\":1e999}}}}"),
        "{\"amount\":NaN}".into(),
        "[".repeat(60_000),
    ];
    for body in broken {
        app.create_raw(&[], &body).await.problem(400, "malformed_json");
    }
    for body in ["[]", "null", "3", "\"text\"", "true", "[{}]", r#"["A-1",1000,"CNY"]"#] {
        app.create_raw(&[], body).await.invalid("body");
    }
    for (name, value) in [
        ("amount", "1000"),
        ("out_trade_no", "\"A-1\""),
        ("description", "null"),
        ("metadata", "{}"),
    ] {
        let body = format!("{{{good},\"description\":null,\"metadata\":{{}},\"{name}\":{value}}}");
        assert!(
            app.create_raw(&[], &body).await.invalid(name).contains("twice"),
            "{body}"
        );
    }
    let not_utf_8 = app
        .merchant(Method::POST, "/v1/orders")
        .header("content-type", "application/json");
    Answer::to(not_utf_8.body(b"{\"out_trade_no\":\"\xff\"}".to_vec()))
        .await
        .problem(400, "malformed_json");
    assert!(app.listed("").await.is_empty());
}

#[tokio::test]
async fn a_body_that_is_not_declared_as_json_is_refused() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let report = format!("/v1/orders/{}/status", order.id);
    for (method, path) in [
        (Method::POST, "/v1/orders"),
        (Method::POST, "/v1/orders/statuses"),
        (Method::PUT, &report),
    ] {
        let kinds = [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/xml",
            "json",
            "",
            "text/json",
            "*/*",
        ];
        for kind in kinds {
            let request = app.merchant(method.clone(), path).header("content-type", kind);
            Answer::to(request.body("{}"))
                .await
                .problem(415, "unsupported_media_type");
        }
        Answer::to(app.merchant(method, path).body("{}"))
            .await
            .problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn json_is_known_by_any_of_its_names() {
    let app = App::spawn().await;
    let kinds = [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.shop+json",
    ];
    for (number, kind) in kinds.into_iter().enumerate() {
        let request = app.merchant(Method::POST, "/v1/orders").header("content-type", kind);
        let body = new_order(&format!("A-{number}")).to_string();
        assert_eq!(Answer::to(request.body(body)).await.status, 201, "{kind}");
    }
}

#[tokio::test]
async fn what_a_stranger_sent_is_not_sent_back_at_length() {
    let app = App::spawn().await;
    let long = "x".repeat(50_000);
    for body in [
        json!({ long.clone(): 1 }),
        json!({ "currency": { long.clone(): 1 } }),
        json!({ "currency": long }),
    ] {
        let answer = app.post("/v1/orders", &body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text.len() < 2000, "{} bytes", answer.text.len());
    }
    let answer = app.get(&format!("/v1/orders?{}=1", "x".repeat(20_000))).await;
    assert_eq!(answer.status, 400);
    assert!(answer.text.len() < 2000, "{} bytes", answer.text.len());
}
