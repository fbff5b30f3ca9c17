//! `payquery order`: what a merchant's backend does, from a shell, against a running service.

use serde_json::{Value, json};

use super::{as_merchant, json_lines, payquery, try_as_merchant};
use crate::support::App;

/// Runs an `order` command with `--json`: the one document it prints.
#[track_caller]
fn order(app: &App, arguments: &[&str]) -> Value {
    let output = as_merchant(app, &[&["order"], arguments, &["--json"]].concat());
    let mut lines = json_lines(&output);
    assert_eq!(lines.len(), 1, "{output}");
    lines.remove(0)
}

/// Runs a command that the service must refuse: the sentence.
#[track_caller]
fn refused(app: &App, arguments: &[&str]) -> String {
    let (code, output, complaint) = try_as_merchant(app, arguments);
    assert_eq!((code, output.as_str()), (Some(1), ""), "{arguments:?}: {complaint}");
    complaint
}

#[tokio::test]
async fn an_order_is_created_with_all_that_can_be_said() {
    let app = App::spawn().await;
    let created = order(
        &app,
        &[
            "create",
            "--out-trade-no=A-1",
            "--amount=1234",
            "--currency=EUR",
            "--description=Coffee",
            "--expires-in=60",
            "--metadata={\"shop\":7}",
        ],
    );
    let stored = app.get("/v1/orders/out-trade-no/A-1").await.json();
    assert_eq!(created, stored);
    assert_eq!(
        (&created["amount"], &created["currency"]),
        (&json!(1234), &json!("EUR"))
    );
    assert_eq!(
        (&created["description"], &created["metadata"]),
        (&json!("Coffee"), &json!({ "shop": 7 }))
    );
}

#[tokio::test]
async fn as_text_an_order_is_one_field_a_line() {
    let app = App::spawn().await;
    let output = as_merchant(&app, &["order", "create", "--out-trade-no=A-1", "--amount=1000"]);
    for line in [
        "out_trade_no      A-1",
        "amount            1000",
        "currency          CNY",
        "paid_at           -",
    ] {
        assert!(
            output.lines().any(|printed| printed == line),
            "{line:?} is not in:\n{output}"
        );
    }
    assert_eq!(as_merchant(&app, &["order", "show", "A-1"]), output);
}

#[tokio::test]
async fn an_order_is_shown_by_its_id_and_by_the_merchants_own_number() {
    let app = App::spawn().await;
    let number = "2026/11 %3F?#&+".replace(' ', "-");
    let created = order(&app, &["create", "--out-trade-no", &number, "--amount=1000"]);
    assert_eq!(order(&app, &["show", created["id"].as_str().unwrap()]), created);
    assert_eq!(order(&app, &["show", &number]), created);
}

#[tokio::test]
async fn a_status_is_reported_in_payquerys_words_and_in_a_providers() {
    let app = App::spawn().await;
    order(&app, &["create", "--out-trade-no=A-1", "--amount=1000"]);
    let processing = order(&app, &["report", "A-1", "processing"]);
    assert_eq!(
        (&processing["status"], &processing["version"]),
        (&json!("processing"), &json!(2))
    );
    let paid = order(
        &app,
        &[
            "report",
            "A-1",
            "SUCCESS",
            "--transaction-id=t1",
            "--amount=1000",
            "--currency=CNY",
        ],
    );
    assert_eq!(
        (&paid["status"], &paid["transaction_id"]),
        (&json!("succeeded"), &json!("t1"))
    );
    let refunded = order(&app, &["report", "A-1", "succeeded", "--refunded-amount=300"]);
    assert_eq!(
        (&refunded["status"], &refunded["refunded_amount"]),
        (&json!("succeeded"), &json!(300))
    );
}

#[tokio::test]
async fn a_report_for_a_version_that_the_order_has_left_is_refused() {
    let app = App::spawn().await;
    order(&app, &["create", "--out-trade-no=A-1", "--amount=1000"]);
    order(&app, &["report", "A-1", "processing", "--if-version=1"]);
    let sentence = refused(&app, &["order", "report", "A-1", "failed", "--if-version=1"]);
    assert!(
        sentence.contains("412: ") && sentence.contains("(precondition_failed, "),
        "{sentence}"
    );
}

#[tokio::test]
async fn the_log_shows_each_step_and_the_rejected_one_with_its_reason() {
    let app = App::spawn().await;
    let created = order(&app, &["create", "--out-trade-no=A-1", "--amount=1000"]);
    order(&app, &["report", "A-1", "succeeded"]);
    refused(&app, &["order", "report", "A-1", "failed"]);

    let events = json_lines(&as_merchant(&app, &["order", "log", "A-1", "--json"]));
    let steps: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(steps, ["order.created", "order.succeeded", "order.rejected"]);
    assert_eq!(
        (&events[2]["accepted"], &events[2]["reason"]),
        (&json!(false), &json!("illegal_transition"))
    );

    let text = as_merchant(&app, &["order", "log", created["id"].as_str().unwrap()]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(
        lines[1].contains("pending -> succeeded") && lines[1].contains("by merchant"),
        "{text}"
    );
    assert!(
        lines[2].contains("succeeded -> failed") && lines[2].contains("illegal_transition"),
        "{text}"
    );
}

/// A page holds fifty events.
#[tokio::test]
async fn the_log_is_shown_to_its_end_over_several_pages() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    for step in 0..60 {
        app.report(&order, ["processing", "pending"][step % 2]).await;
    }
    let events = json_lines(&as_merchant(&app, &["order", "log", &order.id, "--json"]));
    let versions: Vec<_> = events.iter().map(|event| event["version"].as_i64().unwrap()).collect();
    assert_eq!(versions, (1..=61).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_the_service_refuses_is_told_in_its_words_with_code_and_request_id() {
    let app = App::spawn().await;
    let cases: [(&[&str], &str, &str); 4] = [
        (
            &["create", "--out-trade-no=A-1", "--amount=0"],
            "400: amount must be a whole number",
            "invalid_field",
        ),
        (&["show", "nowhere"], "404: there is no such order", "order_not_found"),
        (&["log", "nowhere"], "404: there is no such order", "order_not_found"),
        (
            &["report", "nowhere", "paid"],
            "400: status must be one of pending",
            "invalid_field",
        ),
    ];
    for (arguments, sentence, code) in cases {
        let complaint = refused(&app, &[&["order"], arguments].concat());
        assert!(complaint.contains(sentence), "{arguments:?}: {complaint}");
        let (_, request) = complaint
            .split_once(&format!("({code}, request "))
            .unwrap_or_else(|| panic!("{complaint}"));
        let id = request.trim_end().trim_end_matches(')');
        assert!(
            id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{complaint}"
        );
    }
}

#[tokio::test]
async fn a_wrong_api_key_is_told() {
    let app = App::spawn().await;
    let (code, _, complaint) = payquery(&["order", "show", "A-1", "--api-key=pqk_nonsense", "--url", &app.url("")]);
    assert_eq!(code, Some(1));
    assert!(complaint.contains("401: this API key does not open"), "{complaint}");
    assert!(!complaint.contains("pqk_nonsense"), "{complaint}");
}

#[test]
fn without_an_api_key_the_error_says_where_to_get_one() {
    let (code, _, complaint) = payquery(&["order", "show", "A-1"]);
    assert_eq!(code, Some(1));
    assert!(
        complaint.contains("set PAYQUERY_API_KEY (`payquery key create` makes one)"),
        "{complaint}"
    );
}

#[test]
fn a_service_that_is_not_running_is_told_with_its_address() {
    let commands: [&[&str]; 3] = [
        &["order", "show", "A-1", "--api-key=k", "--url=http://127.0.0.1:1"],
        &[
            "watch",
            "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "--api-key=k",
            "--url=http://127.0.0.1:1",
        ],
        &["healthcheck", "--addr=127.0.0.1:1"],
    ];
    for arguments in commands {
        let (code, output, complaint) = payquery(arguments);
        assert_eq!((code, output.as_str()), (Some(1), ""), "{arguments:?}: {complaint}");
        assert!(
            complaint.contains("127.0.0.1:1") && complaint.contains("is payquery running there?"),
            "{complaint}"
        );
    }
}

#[tokio::test]
async fn metadata_that_is_no_object_is_refused_before_anything_is_sent() {
    let app = App::spawn().await;
    for metadata in ["[]", "{", "7"] {
        let arguments = [
            "order",
            "create",
            "--out-trade-no=A-1",
            "--amount=1",
            "--metadata",
            metadata,
        ];
        let (code, _, complaint) = try_as_merchant(&app, &arguments);
        assert_eq!(code, Some(2), "{complaint}");
        assert!(complaint.contains("--metadata"), "{complaint}");
    }
}
