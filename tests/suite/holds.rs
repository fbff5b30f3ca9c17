//! Places for held requests: given back at once by those who hang up, and never a reason to fail.

use std::time::{Duration, Instant};

use crate::support::{App, Order, RawConnection};

/// A connection with a request on it that is held.
async fn hold(app: &App, order: &Order) -> RawConnection {
    let mut connection = RawConnection::open(app.address).await;
    let request = format!(
        "GET {}?wait=50 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nif-none-match: \"1\"\r\n\r\n",
        order.status_path(),
        order.secret
    );
    connection.send(request.as_bytes()).await;
    connection
}

/// A place is free: a request is held in it, and answered by a report.
async fn assert_that_a_place_is_free(app: &App, order: &Order) {
    let held = app.ask(order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    app.report(order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
}

#[tokio::test]
async fn a_client_that_closes_its_connection_frees_its_place_at_once() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let order = app.create_order().await;
    let connection = hold(&app, &order).await;
    app.wait_for_held(1).await;
    let start = Instant::now();
    connection.close().await;
    app.wait_for_held(0).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_that_a_place_is_free(&app, &order).await;
}

#[tokio::test]
async fn a_client_that_resets_its_connection_frees_its_place_at_once() {
    let app = App::builder().flag("--max-held-per-order", "1").spawn().await;
    let order = app.create_order().await;
    let connection = hold(&app, &order).await;
    app.wait_for_held(1).await;
    let start = Instant::now();
    connection.reset();
    app.wait_for_held(0).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_that_a_place_is_free(&app, &order).await;
}

#[tokio::test]
async fn of_many_only_those_who_hang_up_go() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let stays = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    let mut connections = Vec::new();
    for _ in 0..40 {
        connections.push(hold(&app, &order).await);
    }
    app.wait_for_held(41).await;
    for (n, connection) in connections.into_iter().enumerate() {
        if n % 2 == 0 {
            connection.close().await;
        } else {
            connection.reset();
        }
    }
    app.wait_for_held(1).await;
    app.report(&order, "succeeded").await;
    assert_eq!(stays.await.unwrap().version(), 2);
}

#[tokio::test]
async fn a_client_that_gives_up_before_its_time_frees_its_place() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    held.abort(); // as `AbortController` and `requestTask.abort()` do
    app.wait_for_held(0).await;
}

/// Sends three requests that prove to be current: by tag, by version, and for a final status.
async fn assert_answered_as_polls(app: &App, order: &Order) {
    let ask = || app.ask(order).query("wait", 50);
    let start = Instant::now();
    let tagged = ask().if_none_match("\"1\"").send().await;
    assert_eq!((tagged.status, tagged.text.as_str()), (304, ""));
    for ask in [ask().query("since_version", 1), ask().query("until", "final")] {
        let answer = ask.send().await;
        assert_eq!((answer.status, answer.version()), (200, 1));
        assert!(answer.has_header("x-poll-interval"), "{answer:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

#[tokio::test]
async fn past_the_orders_limit_a_long_poll_is_a_poll_and_other_orders_are_held() {
    let app = App::builder().flag("--max-held-per-order", "2").spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let held: Vec<_> = (0..2)
        .map(|_| app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn())
        .collect();
    app.wait_for_held(2).await;
    assert_answered_as_polls(&app, &order).await;
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"degraded\"").await, 3.0);
    let of_other = app.ask(&other).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(3).await;
    for order in [&order, &other] {
        app.report(order, "succeeded").await;
    }
    for held in held.into_iter().chain([of_other]) {
        assert_eq!(held.await.unwrap().version(), 2);
    }
}

#[tokio::test]
async fn past_the_processs_limit_a_long_poll_is_a_poll_whatever_the_order() {
    let app = App::builder().flag("--max-held", "1").spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    assert_answered_as_polls(&app, &other).await;
    assert_answered_as_polls(&app, &order).await;
    assert_eq!(app.metric("payquery_polls_total", "outcome=\"degraded\"").await, 6.0);
    app.report(&order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
    assert_that_a_place_is_free(&app, &other).await;
}

#[tokio::test]
async fn a_rush_past_the_limit_is_answered_without_a_single_failure() {
    let app = App::builder()
        .flag("--max-held", "5")
        .flag("--workers", "2")
        .spawn()
        .await;
    let order = app.create_order().await;
    let asking: Vec<_> = (0..200)
        .map(|_| app.ask(&order).if_none_match("\"1\"").query("wait", 1).spawn())
        .collect();
    for asking in asking {
        assert_eq!(asking.await.unwrap().status, 304);
    }
    let count = async |outcome| {
        app.metric("payquery_polls_total", &format!("outcome=\"{outcome}\""))
            .await
    };
    let (held, degraded) = (count("timed_out").await, count("degraded").await);
    assert!(held >= 5.0 && degraded >= 1.0, "held {held}, degraded {degraded}");
    assert_eq!(held + degraded, 200.0);
    app.wait_for_held(0).await;
}
