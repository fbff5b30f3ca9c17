//! Fields that say what cannot be: each is a 400 that names the field and the reason, and changes nothing.

use serde_json::{Value, json};

use crate::support::App;
use crate::support::merchant::{new_order, now_ms, rfc3339};

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
async fn a_report_whose_status_cannot_be_is_refused_by_name() {
    let cases = [
        (json!({}), "status", "is missing"),
        (json!({ "status": null }), "status", "is missing"),
        (json!({ "amount": 1000 }), "status", "is missing"),
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
    ];
    refused_by_name(&cases).await;
}

#[tokio::test]
async fn a_report_with_another_field_that_cannot_be_is_refused_by_name() {
    let cases = [
        ("amount", json!(0), "from 1 to"),
        ("amount", json!(-1000), "from 1 to"),
        ("amount", json!("1000"), "invalid type"),
        ("amount", json!(1000.0), "invalid type"),
        ("currency", json!("cny"), "ISO 4217"),
        ("transaction_id", json!(""), "must not be empty"),
        ("transaction_id", json!("x".repeat(129)), "at most 128"),
        ("transaction_id", json!("a b"), "visible ASCII"),
        ("reason", json!(""), "must not be empty"),
        ("reason", json!("x".repeat(257)), "at most 256"),
        ("reason", json!("a\u{0}"), "control characters"),
        ("paid_at", json!("now"), "RFC 3339"),
        ("paid_at", json!("1970-01-01T00:00:00Z"), "RFC 3339"),
        ("paid_at", json!(1_767_225_600), "invalid type"),
        ("refunded_amount", json!(0), "from 1 to"),
        ("refunded_amount", json!(-1), "from 1 to"),
        ("version", json!(1), "is not known"),
    ];
    let cases = cases.map(|(field, value, reason)| (json!({ "status": "succeeded", field: value }), field, reason));
    refused_by_name(&cases).await;
}

#[tokio::test]
async fn what_only_a_payment_has_is_refused_with_a_status_that_means_none() {
    let mut cases = Vec::new();
    for status in ["pending", "processing", "failed", "closed"] {
        for (field, value) in [
            ("paid_at", json!("2026-01-01T00:00:00Z")),
            ("refunded_amount", json!(1)),
        ] {
            cases.push((json!({ "status": status, field: value }), field, "means paid"));
        }
    }
    refused_by_name(&cases).await;
}

/// Checks that each report is refused with this field and reason, by id and by number, and leaves no trace.
async fn refused_by_name(cases: &[(Value, &str, &str)]) {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for path in [
        format!("/v1/orders/{}/status", order.id),
        format!("/v1/orders/out-trade-no/{}/status", order.out_trade_no),
    ] {
        for (body, field, reason) in cases {
            let answer = app.put(&path, body).await;
            assert_eq!(answer.status, 400, "{body}");
            assert!(answer.invalid(field).contains(reason), "{body}: {}", answer.text);
        }
    }
    assert_eq!(app.events(&order).await.len(), 1);
}
