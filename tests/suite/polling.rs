//! Polls of the status endpoint: documents, entity tags, 304.

use crate::support::App;

#[tokio::test]
async fn a_poll_is_answered_with_the_document_and_then_with_304_until_the_order_moves_on() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let first = app.ask(&order).send().await;
    assert_eq!((first.status, first.header("etag")), (200, "\"1\""));
    let second = app.ask(&order).if_none_match("\"1\"").send().await;
    assert_eq!((second.status, second.text.as_str()), (304, ""));
    app.report(&order, "succeeded").await;
    let third = app.ask(&order).if_none_match("\"1\"").send().await;
    assert_eq!((third.status, third.header("etag")), (200, "\"2\""));
    assert_eq!(third.json()["status"], "succeeded");
}

#[tokio::test]
async fn a_held_request_is_answered_when_the_report_comes() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 25).spawn();
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.version()), (200, 2));
    app.wait_for_held(0).await;
}
