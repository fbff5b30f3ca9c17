//! `payquery events`: the feed in a shell.

use rustix::process::Signal;
use serde_json::json;

use super::watch::port_that_stays_free;
use super::{as_merchant, json_lines, try_as_merchant};
use crate::support::feed::{check_each_order, ids_of};
use crate::support::{App, Process};

fn follow(app: &App, arguments: &[&str]) -> Process {
    let mut command = Process::command(&["events", "--follow"]);
    command
        .args(arguments)
        .env("PAYQUERY_URL", app.url(""))
        .env("PAYQUERY_API_KEY", &app.api_key);
    Process::spawn(command)
}

/// What it wrote on its last line of standard error.
fn cursor_in(complaint: &str) -> &str {
    let last = complaint.lines().last().unwrap_or_default();
    last.strip_prefix("cursor: ").unwrap_or_else(|| panic!("{complaint}"))
}

#[tokio::test]
async fn it_prints_all_events_and_the_cursor_to_go_on_with() {
    let app = App::spawn().await;
    let order = app.order_at("succeeded").await;
    assert_eq!(app.try_report(&order, json!({ "status": "closed" })).await.status, 409);
    let (code, output, complaint) = try_as_merchant(&app, &["events"]);
    assert_eq!(code, Some(0), "{complaint}");
    let lines: Vec<_> = output.lines().collect();
    assert_eq!(lines.len(), 3, "{output}");
    for (line, parts) in lines.iter().zip([
        ["order.created", "- -> pending", "v1"],
        ["order.succeeded", "pending -> succeeded", "v2"],
        ["order.rejected", "succeeded -> closed", "illegal_transition"],
    ]) {
        assert!(line.contains(&order.out_trade_no), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{line}");
    }
    app.report(&order, "refunded").await;
    let rest = as_merchant(&app, &["events", "--after", cursor_in(&complaint)]);
    assert!(rest.lines().count() == 1 && rest.contains("order.refunded"), "{rest}");
}

#[tokio::test]
async fn as_json_each_line_has_the_cursor_to_go_on_with() {
    let app = App::spawn().await;
    for _ in 0..300 {
        app.order_at("succeeded").await;
    }
    let whole = app.whole_feed("", &[200]).await;
    let lines = json_lines(&as_merchant(&app, &["events", "--json"]));
    assert_eq!(ids_of(&lines), ids_of(&whole));
    let after = lines[398]["cursor"].as_str().unwrap();
    let rest = json_lines(&as_merchant(&app, &["events", "--json", "--after", after]));
    assert_eq!(ids_of(&rest), ids_of(&whole[399..]));
    let paid = json_lines(&as_merchant(&app, &["events", "--json", "--types", "order.succeeded"]));
    assert_eq!(paid.len(), 300);
}

#[tokio::test]
async fn it_follows_from_now_on_until_it_is_told_to_end() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let mut events = follow(&app, &["--after", "now"]);
    app.wait_for_held(1).await;
    app.report(&order, "processing").await;
    events.wait_for_output("order.processing");
    app.report(&order, "succeeded").await;
    let output = events.wait_for_output("order.succeeded");
    assert_eq!(output.lines().count(), 2, "{output}");
    events.signal(Signal::INT);
    assert_eq!(events.wait().0, Some(0), "{}", events.log());
    app.report(&order, "refunded").await;
    let rest = as_merchant(&app, &["events", "--after", cursor_in(&events.log())]);
    assert!(rest.lines().count() == 1 && rest.contains("order.refunded"), "{rest}");
}

#[tokio::test]
async fn over_restarts_of_the_service_it_loses_nothing_and_repeats_nothing() {
    let address = format!("127.0.0.1:{}", port_that_stays_free());
    let mut app = App::builder().flag("--addr", &address).spawn().await;
    app.create_orders(20, json!({})).await;
    let mut events = follow(&app, &["--json"]);
    for _ in 0..3 {
        let last = app.order_at("processing").await;
        events.wait_for_output(&last.out_trade_no);
        app = app.restart().await;
        app.create_orders(20, json!({})).await;
    }
    let last = app.order_at("refunded").await;
    events.wait_for_output("order.refunded");
    events.signal(Signal::TERM);
    let (code, output, _) = {
        let (code, _) = events.wait();
        events_output(code, events)
    };
    assert_eq!(code, Some(0));
    let told = json_lines(&output);
    assert_eq!(told.last().unwrap()["order_id"], json!(last.id));
    check_each_order(&told);
    // Whoever follows may be told of one creation before another that was begun first: there is no order between orders.
    let whole = app.whole_feed("", &[200]).await;
    let (mut told, mut kept) = (ids_of(&told), ids_of(&whole));
    told.sort_unstable();
    kept.sort_unstable();
    assert_eq!(told, kept);
}

fn events_output(code: Option<i32>, events: Process) -> (Option<i32>, String, String) {
    let (_, output, log) = events.finish();
    (code, output, log)
}

#[tokio::test]
async fn what_can_never_work_ends_it_with_the_services_sentence() {
    let app = App::spawn().await;
    for (arguments, code) in [
        (["--after=junk"], "invalid_field"),
        (["--types=order.paid"], "invalid_field"),
        (["--api-key=pqk_wrong"], "unauthorized"),
        (["--url=http://127.0.0.1:1"], "is payquery running there?"),
    ] {
        let (exit, output, complaint) = try_as_merchant(&app, &[&["events", "--follow"], &arguments[..]].concat());
        assert_eq!((exit, output.as_str()), (Some(1), ""), "{arguments:?}");
        assert!(complaint.contains(code), "{arguments:?}: {complaint}");
        assert!(!complaint.contains("cursor: "), "{complaint}");
    }
}

#[tokio::test]
async fn a_cursor_whose_events_are_not_kept_any_more_ends_it_with_what_to_do() {
    let app = App::spawn().await;
    let cursor = app.feed_page("").await.cursor;
    sqlx::query(
        "insert into order_events_forgotten (merchant_id, xid, seq) select id, pg_current_xact_id(), 1 from merchants",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    for arguments in [&["events"][..], &["events", "--follow"]] {
        let (code, output, complaint) = try_as_merchant(&app, &[arguments, &["--after", &cursor]].concat());
        assert_eq!((code, &*output), (Some(1), ""), "{complaint}");
        for word in ["cursor_expired", "after=now", "GET /v1/orders"] {
            assert!(complaint.contains(word), "{complaint}");
        }
    }
}
