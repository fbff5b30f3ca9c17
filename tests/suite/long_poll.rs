//! Which requests are held and which are answered at once: each row of the contract's table.

use std::time::{Duration, Instant};

use crate::support::{Answer, App, Asking, Order};

/// Long enough that an answer within [`AT_ONCE`] was no hold that ended.
const WAIT: u32 = 25;
const AT_ONCE: Duration = Duration::from_secs(10);

/// An order at version 2 that is still open.
async fn open_order(app: &App) -> Order {
    let order = app.create_order().await;
    app.report(&order, "processing").await;
    order
}

async fn answered_at_once(ask: Asking) -> Answer {
    let start = Instant::now();
    let answer = ask.send().await;
    assert!(start.elapsed() < AT_ONCE, "held for {:?}", start.elapsed());
    answer
}

/// Sends the request, sees it held, and gives its answer to the report of `status`.
async fn held_until(app: &App, order: &Order, ask: Asking, status: &str) -> Answer {
    let held = ask.spawn();
    app.wait_for_held(1).await;
    app.report(order, status).await;
    let answer = held.await.unwrap();
    app.wait_for_held(0).await;
    answer
}

#[tokio::test]
async fn a_tag_that_names_the_version_is_held() {
    let app = App::spawn().await;
    for field in ["\"2\"", "W/\"2\"", "\"1\", \"2\""] {
        let order = open_order(&app).await;
        let ask = app.ask(&order).if_none_match(field).query("wait", WAIT);
        let answer = held_until(&app, &order, ask, "succeeded").await;
        assert_eq!((answer.status, answer.version()), (200, 3), "{field}");
    }
}

#[tokio::test]
async fn a_tag_that_names_another_version_older_or_newer_is_answered_at_once() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    for field in ["\"1\"", "\"3\"", "\"02\"", "2", ""] {
        let answer = answered_at_once(app.ask(&order).if_none_match(field).query("wait", WAIT)).await;
        assert_eq!((answer.status, answer.version()), (200, 2), "{field}");
    }
}

#[tokio::test]
async fn a_request_without_proof_is_answered_at_once() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    let answer = answered_at_once(app.ask(&order).query("wait", WAIT)).await;
    assert_eq!((answer.status, answer.version()), (200, 2));
}

#[tokio::test]
async fn a_star_proves_nothing_and_is_answered_at_once_with_304() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    let answer = answered_at_once(app.ask(&order).if_none_match("*").query("wait", WAIT)).await;
    assert_eq!((answer.status, answer.header("etag")), (304, "\"2\""));
}

#[tokio::test]
async fn a_since_version_equal_to_the_orders_is_held() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    let ask = app.ask(&order).query("since_version", 2).query("wait", WAIT);
    let answer = held_until(&app, &order, ask, "succeeded").await;
    assert_eq!((answer.status, answer.version()), (200, 3));
}

/// Equality, never "less than": an index that went backwards would hold a client for ever.
#[tokio::test]
async fn a_since_version_below_or_above_the_orders_is_answered_at_once() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    for version in ["0", "1", "3", "9223372036854775807"] {
        let answer = answered_at_once(app.ask(&order).query("since_version", version).query("wait", WAIT)).await;
        assert_eq!((answer.status, answer.version()), (200, 2), "{version}");
    }
}

#[tokio::test]
async fn either_proof_is_enough() {
    let app = App::spawn().await;
    for (field, version) in [("\"2\"", 1), ("\"1\"", 2)] {
        let order = open_order(&app).await;
        let ask = app
            .ask(&order)
            .if_none_match(field)
            .query("since_version", version)
            .query("wait", WAIT);
        let answer = held_until(&app, &order, ask, "succeeded").await;
        assert_eq!((answer.status, answer.version()), (200, 3), "{field} {version}");
    }
}

#[tokio::test]
async fn until_final_holds_an_open_order_whatever_else_the_request_shows() {
    let app = App::spawn().await;
    for field in [None, Some("\"1\""), Some("\"2\"")] {
        let order = open_order(&app).await;
        let ask = app.ask(&order).query("until", "final").query("wait", WAIT);
        let ask = field.into_iter().fold(ask, Asking::if_none_match);
        let answer = held_until(&app, &order, ask, "failed").await;
        assert_eq!((answer.status, answer.version()), (200, 3), "{field:?}");
    }
}

#[tokio::test]
async fn until_final_sleeps_through_changes_that_are_not_final() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let until_final = app.ask(&order).query("until", "final").query("wait", WAIT).spawn();
    let until_changed = app.ask(&order).query("since_version", 1).query("wait", WAIT).spawn();
    app.wait_for_held(2).await;
    app.report(&order, "processing").await;
    assert_eq!(until_changed.await.unwrap().version(), 2);
    app.report(&order, "pending").await;
    // The other one was woken twice by now, as its neighbour was, and is still there.
    assert_eq!(app.ask(&order).send().await.version(), 3);
    app.wait_for_held(1).await;
    assert!(!until_final.is_finished());
    app.report(&order, "succeeded").await;
    assert_eq!(until_final.await.unwrap().version(), 4);
}

#[tokio::test]
async fn a_final_order_is_never_held() {
    let app = App::spawn().await;
    for status in ["succeeded", "failed", "closed"] {
        let order = app.create_order().await;
        app.report(&order, status).await;
        let ask = || app.ask(&order).query("wait", WAIT);
        assert_eq!(
            answered_at_once(ask().if_none_match("\"2\"")).await.status,
            304,
            "{status}"
        );
        assert_eq!(
            answered_at_once(ask().query("since_version", 2)).await.status,
            200,
            "{status}"
        );
        assert_eq!(
            answered_at_once(ask().query("until", "final")).await.status,
            200,
            "{status}"
        );
        let preferring = app.ask(&order).if_none_match("\"2\"").header("prefer", "wait=25");
        assert_eq!(answered_at_once(preferring).await.status, 304, "{status}");
    }
}

#[tokio::test]
async fn a_wait_of_nothing_is_a_poll() {
    let app = App::spawn().await;
    let order = open_order(&app).await;
    let ask = || app.ask(&order).query("wait", 0);
    assert_eq!(answered_at_once(ask().if_none_match("\"2\"")).await.status, 304);
    assert_eq!(answered_at_once(ask().query("since_version", 2)).await.status, 200);
    assert_eq!(answered_at_once(ask().query("until", "final")).await.status, 200);
    let without = app.ask(&order).query("since_version", 2).query("until", "final");
    assert_eq!(answered_at_once(without).await.status, 200);
}

#[tokio::test]
async fn one_change_wakes_requests_of_every_kind() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = [
        app.ask(&order).if_none_match("\"1\"").query("wait", WAIT),
        app.ask(&order).query("since_version", 1).query("wait", WAIT),
        app.ask(&order).query("until", "final").query("wait", WAIT),
        app.ask(&order).if_none_match("\"1\"").header("prefer", "wait=25"),
        app.ask_with(&order, &app.api_key)
            .if_none_match("\"1\"")
            .query("wait", WAIT),
        app.ask_without_credentials(&order)
            .query("client_secret", &order.secret)
            .query("since_version", 1)
            .query("wait", WAIT),
    ]
    .map(Asking::spawn);
    app.wait_for_held(6).await;
    app.report(&order, "succeeded").await;
    let mut bodies = Vec::new();
    for held in held {
        let answer = held.await.unwrap();
        assert_eq!(
            (answer.status, answer.version(), answer.header("etag")),
            (200, 2, "\"2\"")
        );
        bodies.push(answer.text);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1);
}

/// A client that had seen both versions in its list is answered truly: nothing that it doesn't have.
#[tokio::test]
async fn a_held_request_that_names_the_new_version_too_is_woken_with_304() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let ask = app.ask(&order).if_none_match("\"1\", \"2\"").query("wait", WAIT);
    let answer = held_until(&app, &order, ask, "processing").await;
    assert_eq!((answer.status, answer.header("etag")), (304, "\"2\""));
}
