//! Bodies that say what cannot be: each is a 4xx that names the field and the reason, and changes nothing.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::merchant::{new_order, now_ms, rfc3339};
use crate::support::{Answer, App};

#[tokio::test]
async fn a_creation_with_a_field_that_cannot_be_is_refused_by_name() {
    let app = App::spawn().await;
    let cases: Vec<(&str, Value, &str)> = vec![
        ("out_trade_no", json!(""), "must not be empty"),
        ("out_trade_no", json!("x".repeat(65)), "at most 64"),
        ("out_trade_no", json!("a b"), "visible ASCII"),
        ("out_trade_no", json!("订单"), "visible ASCII"),
        ("out_trade_no", json!("a\u{0}"), "visible ASCII"),
        ("out_trade_no", json!("a\n"), "visible ASCII"),
        ("out_trade_no", json!(7), "invalid type"),
        ("out_trade_no", json!(null), "invalid type"),
        ("amount", json!(0), "from 1 to 9007199254740991"),
        ("amount", json!(-1), "from 1 to 9007199254740991"),
        ("amount", json!(9_007_199_254_740_992_i64), "from 1 to 9007199254740991"),
        ("amount", json!(i64::MIN), "from 1 to 9007199254740991"),
        ("amount", json!(u64::MAX), "invalid value"),
        ("amount", json!(1e300), "invalid type"),
        ("amount", json!(10.5), "invalid type"),
        ("amount", json!(10.0), "invalid type"),
        ("amount", json!("1000"), "invalid type"),
        ("amount", json!(true), "invalid type"),
        ("amount", json!([1000]), "invalid type"),
        ("amount", json!(null), "invalid type"),
        ("currency", json!(""), "ISO 4217"),
        ("currency", json!("cny"), "ISO 4217"),
        ("currency", json!("RMB"), "ISO 4217"),
        ("currency", json!("CNYX"), "ISO 4217"),
        ("currency", json!("€"), "ISO 4217"),
        ("currency", json!(156), "invalid type"),
        ("description", json!(""), "must not be empty"),
        ("description", json!("咖".repeat(257)), "at most 256"),
        ("description", json!("a\u{0}b"), "control characters"),
        ("description", json!("a\nb"), "control characters"),
        ("description", json!("\u{1b}[31m"), "control characters"),
        ("description", json!({}), "invalid type"),
        ("expires_in", json!(0), "from 1 to"),
        ("expires_in", json!(-5), "from 1 to"),
        ("expires_in", json!(31_622_401), "from 1 to"),
        ("expires_in", json!(i64::MAX), "from 1 to"),
        ("expires_in", json!("60"), "invalid type"),
        ("expires_in", json!(1.5), "invalid type"),
        ("expires_at", json!(rfc3339(now_ms() - 1000)), "in the future"),
        ("expires_at", json!("2001-01-01T00:00:00Z"), "in the future"),
        ("expires_at", json!("9999-12-31T23:59:59Z"), "a year ahead"),
        ("expires_at", json!("2026-02-30T00:00:00Z"), "RFC 3339"),
        ("expires_at", json!("tomorrow"), "RFC 3339"),
        ("expires_at", json!("2999-01-01"), "RFC 3339"),
        ("expires_at", json!("2999-01-01T00:00:00"), "RFC 3339"),
        ("expires_at", json!(""), "RFC 3339"),
        ("expires_at", json!("+275760-09-13T00:00:00Z"), "RFC 3339"),
        ("expires_at", json!(now_ms()), "invalid type"),
        ("status", json!("succeeded"), "is not known"),
        ("id", json!("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b"), "is not known"),
        ("Amount", json!(1), "is not known"),
        ("", json!(1), "is not known"),
    ];
    for (field, value, reason) in cases {
        let mut body = new_order("A-1");
        body[field] = value;
        let answer = app.post("/v1/orders", &body).await;
        assert_eq!(answer.status, 400, "{body}");
        let detail = answer.invalid(field);
        assert!(detail.contains(reason), "{body}: {detail}");
    }
    assert!(app.listed("").await.is_empty());
}

#[tokio::test]
async fn a_creation_with_both_kinds_of_expiry_or_without_a_field_is_refused_by_name() {
    let app = App::spawn().await;
    let mut both = new_order("A-1");
    both["expires_in"] = json!(60);
    both["expires_at"] = json!(rfc3339(now_ms() + 60_000));
    app.post("/v1/orders", &both).await.invalid("expires_in");
    for name in ["out_trade_no", "amount", "currency"] {
        let mut body = new_order("A-1");
        body.as_object_mut().unwrap().remove(name);
        assert!(app.post("/v1/orders", &body).await.invalid(name).contains("is missing"));
    }
    assert!(app.listed("").await.is_empty());
}

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
async fn a_report_with_a_field_that_cannot_be_is_refused_by_name() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let cases = [
        (json!({}), "status", "is missing"),
        (json!({ "status": null }), "status", "is missing"),
        (json!({ "status": "paid" }), "status", "must be one of pending"),
        (json!({ "status": "SUCCEEDED" }), "status", "must be one of"),
        (json!({ "status": "" }), "status", "must be one of"),
        (json!({ "status": 3 }), "status", "invalid type"),
        (json!({ "status": ["succeeded"] }), "status", "invalid type"),
        (json!({ "trade_state": 3 }), "trade_state", "invalid type"),
        (json!({ "trade_state": "succeeded" }), "trade_state", "USERPAYING"),
        (
            json!({ "status": "succeeded", "trade_state": "SUCCESS" }),
            "trade_state",
            "not together",
        ),
        (json!({ "status": "succeeded", "amount": 0 }), "amount", "from 1 to"),
        (json!({ "status": "succeeded", "amount": -1000 }), "amount", "from 1 to"),
        (
            json!({ "status": "succeeded", "amount": "1000" }),
            "amount",
            "invalid type",
        ),
        (
            json!({ "status": "succeeded", "amount": 1000.0 }),
            "amount",
            "invalid type",
        ),
        (
            json!({ "status": "succeeded", "currency": "cny" }),
            "currency",
            "ISO 4217",
        ),
        (
            json!({ "status": "succeeded", "transaction_id": "" }),
            "transaction_id",
            "must not be empty",
        ),
        (
            json!({ "status": "succeeded", "transaction_id": "x".repeat(129) }),
            "transaction_id",
            "at most 128",
        ),
        (
            json!({ "status": "succeeded", "transaction_id": "a b" }),
            "transaction_id",
            "visible ASCII",
        ),
        (
            json!({ "status": "failed", "reason": "" }),
            "reason",
            "must not be empty",
        ),
        (
            json!({ "status": "failed", "reason": "x".repeat(257) }),
            "reason",
            "at most 256",
        ),
        (
            json!({ "status": "failed", "reason": "a\u{0}" }),
            "reason",
            "control characters",
        ),
        (
            json!({ "status": "succeeded", "paid_at": "now" }),
            "paid_at",
            "RFC 3339",
        ),
        (
            json!({ "status": "succeeded", "paid_at": "1970-01-01T00:00:00Z" }),
            "paid_at",
            "RFC 3339",
        ),
        (
            json!({ "status": "succeeded", "paid_at": 1_767_225_600 }),
            "paid_at",
            "invalid type",
        ),
        (
            json!({ "status": "failed", "paid_at": "2026-01-01T00:00:00Z" }),
            "paid_at",
            "means paid",
        ),
        (
            json!({ "status": "succeeded", "refunded_amount": 0 }),
            "refunded_amount",
            "from 1 to",
        ),
        (
            json!({ "status": "succeeded", "refunded_amount": -1 }),
            "refunded_amount",
            "from 1 to",
        ),
        (
            json!({ "status": "pending", "refunded_amount": 1 }),
            "refunded_amount",
            "means paid",
        ),
        (
            json!({ "status": "succeeded", "version": 1 }),
            "version",
            "is not known",
        ),
    ];
    for path in [
        format!("/v1/orders/{}/status", order.id),
        format!("/v1/orders/out-trade-no/{}/status", order.out_trade_no),
    ] {
        for (body, field, reason) in &cases {
            let answer = app.put(&path, body).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(answer.invalid(field).contains(reason), "{body}: {}", answer.text);
        }
    }
    assert_eq!(app.events(&order).await.len(), 1);
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
