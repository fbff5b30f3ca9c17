//! The feed as lines: for bulk reading, as fast as the client takes them, and resumable at each line.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::App;
use crate::support::feed::ids_of;

/// Without what a line has besides the event.
fn events_of(lines: &[Value]) -> Vec<Value> {
    let mut events = lines.to_vec();
    for event in &mut events {
        event
            .as_object_mut()
            .unwrap()
            .remove("cursor")
            .expect("each line has its cursor");
    }
    events
}

/// Events by the thousand, in as many transactions as there are hundreds of them.
async fn add_events(app: &App, count: i32) {
    let order = app.create_order().await;
    for _ in 0..count / 100 {
        sqlx::query(
            "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at,
                                       data)
             select gen_random_uuid(), 'order.rejected', id, merchant_id, out_trade_no, 1, 'closed', 'merchant', false, now(),
                    jsonb_build_object('n', repeat('x', 200)) from orders, generate_series(1, 100) where id::text = $1",
        )
        .bind(&order.id)
        .execute(&app.pool)
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn lines_are_the_events_of_the_pages_and_the_last_one_is_the_end() {
    let app = App::spawn().await;
    for _ in 0..5 {
        app.order_at("refunded").await;
    }
    let mut lines = app.feed_lines("").await;
    assert_eq!(lines.headers["content-type"], "application/x-ndjson");
    assert_eq!(lines.headers["cache-control"], "private, no-store, no-transform");
    assert_eq!(lines.headers["x-accel-buffering"], "no");
    let (events, end) = lines.rest().await;
    let page = app.feed_page("").await;
    assert_eq!(events_of(&events), page.events);
    assert_eq!((end.as_object().unwrap().len(), &end["has_more"]), (2, &json!(false)));
    let (some, _) = app.feed_lines("types=order.refunded").await.rest().await;
    assert_eq!(some.len(), 5);
    let counted = app.metric("payquery_event_feed_events_total", "format=\"lines\"").await;
    assert_eq!(counted, 20.0);
}

#[tokio::test]
async fn every_lines_cursor_goes_on_with_the_next_line() {
    let app = App::spawn().await;
    for _ in 0..3 {
        app.order_at("refunded").await;
    }
    // Several events of one transaction, and one that is still running in between.
    let mut open = app.pool.begin().await.unwrap();
    sqlx::query("select pg_current_xact_id()")
        .execute(&mut *open)
        .await
        .unwrap();
    add_events(&app, 200).await;
    let (lines, end) = app.feed_lines("").await.rest().await;
    let ids = ids_of(&lines);
    assert_eq!(ids.len(), 210);
    for (index, line) in lines.iter().enumerate().step_by(7) {
        let after = line["cursor"].as_str().unwrap();
        let (rest, _) = app.feed_lines(&format!("after={after}")).await.rest().await;
        assert_eq!(ids_of(&rest), ids[index + 1..], "after line {index}");
        let page = app.feed_page(&format!("after={after}&limit=1")).await;
        assert_eq!(ids_of(&page.events), ids[index + 1..][..1.min(ids.len() - index - 1)]);
    }
    open.rollback().await.unwrap();
    let after_end = app
        .feed_page(&format!("after={}", end["cursor"].as_str().unwrap()))
        .await;
    assert!(after_end.events.is_empty());
}

#[tokio::test]
async fn a_limit_ends_the_lines_and_says_that_there_are_more() {
    let app = App::spawn().await;
    add_events(&app, 300).await;
    let (first, end) = app.feed_lines("limit=100").await.rest().await;
    assert_eq!((first.len(), &end["has_more"]), (100, &json!(true)));
    assert_eq!(first[99]["cursor"], end["cursor"]);
    let after = end["cursor"].as_str().unwrap();
    let (rest, end) = app.feed_lines(&format!("after={after}")).await.rest().await;
    assert_eq!((rest.len(), &end["has_more"]), (201, &json!(false)));
}

#[tokio::test]
async fn with_a_wait_the_lines_go_on_with_what_comes_until_the_time_is_up() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let start = Instant::now();
    // Long enough that the reports come before its end on any machine.
    let mut lines = app.feed_lines("wait=6").await;
    assert_eq!(lines.line().await["type"], "order.created");
    for status in ["processing", "pending", "succeeded"] {
        app.report(&order, status).await;
        assert_eq!(lines.line().await["type"], format!("order.{status}"));
    }
    let (rest, end) = lines.rest().await;
    let took = start.elapsed();
    assert_eq!((rest.len(), &end["has_more"]), (0, &json!(false)));
    assert!(
        took > Duration::from_millis(5600) && took < Duration::from_secs(16),
        "{took:?}"
    );
    app.wait_for_held(0).await;
}

/// Reads from the connection until that many whole lines are there, and hangs up in the middle of whatever comes next.
async fn read_some(app: &App, query: &str, at_least: usize) -> Vec<Value> {
    let mut connection = TcpStream::connect(app.address).await.unwrap();
    let head = app.head(
        "GET",
        &format!("/v1/events?{query}"),
        "Accept: application/x-ndjson\r\n",
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let (mut bytes, mut chunk) = (Vec::new(), [0; 1000]);
    loop {
        let count = connection.read(&mut chunk).await.unwrap();
        assert!(count > 0, "there is more than is read here");
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        // (Between them are the lengths of chunks, which are no JSON.)
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let whole: Vec<Value> = lines
            .filter(|line| line.starts_with('{'))
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        if whole.len() >= at_least {
            return whole;
        }
    }
}

#[tokio::test]
async fn a_reading_that_broke_in_the_middle_goes_on_from_its_last_whole_line() {
    let app = App::spawn().await;
    add_events(&app, 2000).await;
    let whole = app.whole_feed("", &[200]).await;
    let (mut read, mut after) = (Vec::new(), String::new());
    for at_least in [1, 30, 400, 77] {
        let lines = read_some(&app, &after, at_least).await;
        after = format!("after={}", lines.last().unwrap()["cursor"].as_str().unwrap());
        read.extend(lines);
    }
    let (rest, _) = app.feed_lines(&after).await.rest().await;
    read.extend(rest);
    assert_eq!(ids_of(&read), ids_of(&whole));
    app.wait_for_held(0).await;
}

/// What is read from the database runs no further ahead of the client than the buffers of its connection.
#[tokio::test]
async fn pages_are_read_as_the_client_takes_them_and_no_connection_is_kept_meanwhile() {
    let app = App::builder().flag("--db-connections", "2").spawn().await;
    add_events(&app, 40_000).await; // twenty megabytes and more
    let reads = async || {
        app.database
            .count_statements(&["order_events", "pg_visible_in_snapshot"])
            .await
    };
    let mut slow = Vec::new();
    for _ in 0..4 {
        let mut connection = TcpStream::connect(app.address).await.unwrap();
        let head = app.head("GET", "/v1/events", "Accept: application/x-ndjson\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        let mut chunk = [0; 100];
        connection.read_exact(&mut chunk).await.unwrap();
        slow.push(connection);
    }
    // They read as far as the buffers go, and then no further.
    let mut last = reads().await;
    crate::support::eventually(
        async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
            std::mem::replace(&mut last, reads().await) == last
        },
        |stands_still| *stands_still,
    )
    .await;
    let read = reads().await;
    assert!(read < 4 * 60, "{read} pages of 320 were read");
    // Meanwhile both connections are there for others.
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    let (lines, _) = app.feed_lines("").await.rest().await;
    assert_eq!(lines.len(), 40_003);
}

/// A failure in the middle can have no status code: the body ends without the end that HTTP has for it.
#[tokio::test]
async fn a_database_that_goes_away_in_the_middle_breaks_the_lines_off() {
    let database = std::sync::Arc::new(crate::support::TestDatabase::create().await);
    let mut gate = crate::support::Gate::before(&database.url);
    let app = App::builder()
        .flag("--database-url", &gate.url)
        .spawn_over(database)
        .await;
    add_events(&app, 40_000).await;
    let mut lines = app.feed_lines("").await;
    let mut read = vec![lines.line().await];
    gate.shut();
    let broken = loop {
        match lines.try_line().await {
            Ok(Some(line)) => read.push(line),
            other => break other,
        }
    };
    assert!(broken.is_err(), "the reader can tell: {broken:?}");
    assert!(read.len() < 40_000, "there was more");
    gate.open();
    crate::support::eventually(async || app.feed("").await.status, |status| *status == 200).await;
    let after = read.last().unwrap()["cursor"].as_str().unwrap().to_owned();
    let (rest, _) = app.feed_lines(&format!("after={after}")).await.rest().await;
    assert_eq!(read.len() + rest.len(), 40_001);
}
