//! `payquery watch`: follows an order until it is final.

use std::net::TcpListener;
use std::sync::Mutex;

use serde_json::json;

use super::json_lines;
use crate::support::{App, Order, Process};

fn watch(app: &App, order: &Order, arguments: &[&str]) -> Process {
    let mut command = Process::command(&["watch", &order.id]);
    command.args(arguments).env("PAYQUERY_URL", app.url(""));
    Process::spawn(command)
}

#[tokio::test]
async fn watching_with_the_client_secret_prints_each_change_and_ends_with_the_final_one() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let watch = watch(&app, &order, &["--client-secret", &order.secret]);
    watch.wait_for_output("v1   pending");
    app.report(&order, "processing").await;
    watch.wait_for_output("v2   processing");
    let report = json!({ "status": "closed", "reason": "sold out" });
    app.put(&format!("/v1/orders/{}/status", order.id), &report).await;
    let (code, output, _) = watch.finish();
    assert_eq!(code, Some(0));
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    assert!(lines[2].ends_with("v3   closed  sold out"), "{output}");
}

#[tokio::test]
async fn watching_with_the_api_key_as_json_prints_the_status_documents() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let watch = watch(&app, &order, &["--json", "--api-key", &app.api_key]);
    watch.wait_for_output("\"pending\"");
    app.report(&order, "succeeded").await;
    let (code, output, _) = watch.finish();
    assert_eq!(code, Some(0));
    let documents = json_lines(&output);
    let seen: Vec<_> = documents
        .iter()
        .map(|document| (&document["version"], &document["status"]))
        .collect();
    assert_eq!(seen, [(&json!(1), &json!("pending")), (&json!(2), &json!("succeeded"))]);
    assert_eq!(documents[1], app.ask(&order).send().await.json());
}

#[tokio::test]
async fn an_order_that_is_final_already_is_printed_once() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    let (code, output, _) = watch(&app, &order, &["--client-secret", &order.secret]).finish();
    assert_eq!(code, Some(0));
    assert!(
        output.lines().count() == 1 && output.contains("v2   succeeded"),
        "{output}"
    );
}

#[tokio::test]
async fn a_late_payment_is_marked() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.report(&order, "closed").await;
    app.report(&order, "succeeded").await;
    let (_, output, _) = watch(&app, &order, &["--client-secret", &order.secret]).finish();
    assert!(output.contains("v3   succeeded  (late)"), "{output}");
}

#[tokio::test]
async fn a_wait_that_ends_without_news_prints_nothing_and_is_followed_by_the_next() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let watch = watch(&app, &order, &["--client-secret", &order.secret, "--wait=1"]);
    crate::support::eventually(
        async || app.metric("payquery_polls_total", "outcome=\"timed_out\"").await,
        |ended| *ended >= 1.0,
    )
    .await;
    app.report(&order, "succeeded").await;
    let (code, output, _) = watch.finish();
    assert_eq!((code, output.lines().count()), (Some(0), 2), "{output}");
}

#[tokio::test]
async fn a_wrong_secret_ends_the_watch_with_the_services_sentence() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (code, output, complaint) = watch(&app, &order, &["--client-secret=pqs_wrong"]).finish();
    assert_eq!((code, output.as_str()), (Some(1), ""));
    assert!(
        complaint.contains("404: ") && complaint.contains("(order_not_found, request "),
        "{complaint}"
    );
}

#[tokio::test]
async fn without_credentials_the_error_says_which_flags_there_are() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let (code, _, complaint) = watch(&app, &order, &[]).finish();
    assert_eq!(code, Some(1));
    assert!(
        complaint.contains("watching takes --client-secret or --api-key"),
        "{complaint}"
    );
}

/// A port that nobody gets who asks for any free one: it lies below the range that such are taken from, and above those of the
/// tests' own brokers. Each is given out once, and processes that were started one after the other begin some apart.
pub(super) fn port_that_stays_free() -> u16 {
    static GIVEN_OUT: Mutex<Option<u16>> = Mutex::new(None);
    let mut given_out = GIVEN_OUT.lock().unwrap();
    let start = given_out.map_or_else(
        || 30_000 + u16::try_from(std::process::id() * 7 % 1_000).unwrap(),
        |last| last + 1,
    );
    let port = (start..32_000).find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    *given_out = port;
    port.unwrap()
}

#[tokio::test]
async fn a_watch_survives_a_restart_of_the_service() {
    let address = format!("127.0.0.1:{}", port_that_stays_free());
    let app = App::builder().flag("--addr", &address).spawn().await;
    let order = app.create_order().await;
    let watch = watch(&app, &order, &["--client-secret", &order.secret]);
    watch.wait_for_output("v1   pending");
    app.wait_for_held(1).await;
    let app = app.restart().await;
    app.report(&order, "succeeded").await;
    let (code, output, _) = watch.finish();
    assert_eq!(code, Some(0));
    let versions: Vec<_> = output
        .lines()
        .map(|line| line.contains("v1 ") || line.contains("v2 "))
        .collect();
    assert_eq!(versions, [true, true], "{output}");
}
