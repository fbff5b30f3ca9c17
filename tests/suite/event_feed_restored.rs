//! A database that was restored: what cursors of before meet, and the recipe of docs/operations.md.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::App;
use crate::support::feed::check_each_order;

/// The SQL that the document tells an operator to run.
fn recipe() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once("<!-- restored -->\n```sql\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// Makes the events look as a dump of another server brings them: ids of transactions that this one has not given out yet.
async fn make_restored(app: &App) {
    app.pool
        .execute("update order_events set xid = (4000000000 + seq)::text::xid8")
        .await
        .unwrap();
}

async fn next_transaction(app: &App) -> i64 {
    sqlx::query_scalar("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        .fetch_one(&app.pool)
        .await
        .unwrap()
}

#[tokio::test]
async fn the_recipe_brings_the_events_of_a_restored_database_back_into_the_feed() {
    let app = App::spawn().await;
    let mut orders = Vec::new();
    for _ in 0..30 {
        orders.push(app.order_at("succeeded").await);
    }
    make_restored(&app).await;
    sqlx::query("insert into event_readers (name, cursor) values ('someone', 'bIDQrPMOAA')")
        .execute(&app.pool)
        .await
        .unwrap();
    assert!(app.feed_page("").await.events.is_empty(), "they lie in the future");
    app.pool.execute(AssertSqlSafe(recipe())).await.unwrap();
    let readers: i64 = sqlx::query_scalar("select count(*) from event_readers")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(readers, 0, "the service's own readers begin anew");
    let restored = app.whole_feed("", &[7, 200]).await;
    assert_eq!((restored.len(), check_each_order(&restored)), (60, 30));
    let seqs: Vec<i64> = sqlx::query_scalar("select seq from order_events order by xid, seq")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert!(seqs.is_sorted());
    // And it goes on as ever.
    let cursor = app.feed_page("limit=200").await.cursor;
    app.report(&orders[0], "refunded").await;
    let page = app.feed_page(&format!("after={cursor}")).await;
    assert_eq!(page.types(), ["order.refunded"]);
    let whole = app.whole_feed("", &[200]).await;
    assert_eq!((whole.len(), check_each_order(&whole)), (61, 30));
}

#[tokio::test]
async fn a_cursor_that_has_seen_more_than_the_database_is_refused_with_what_to_do() {
    let app = App::spawn().await;
    app.create_order().await;
    let ahead = cursor_at(u64::try_from(next_transaction(&app).await).unwrap() + 1_000_000);
    for query in [format!("after={ahead}"), format!("after={ahead}&wait=50")] {
        let problem = app.feed(&query).await.problem(409, "cursor_ahead");
        assert_eq!(problem["field"], "after");
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("after=now") && detail.contains("GET /v1/orders"),
            "{detail}"
        );
    }
    let request = app.merchant(reqwest::Method::GET, &format!("/v1/events?after={ahead}"));
    let refused = crate::support::Answer::to(request.header("accept", "application/x-ndjson")).await;
    refused.problem(409, "cursor_ahead");
    let fresh = app.feed_page("after=now").await.cursor;
    app.create_order_with(json!({})).await;
    assert_eq!(
        app.feed_page(&format!("after={fresh}")).await.types(),
        ["order.created"]
    );
}

/// The cursor of a reader that has seen all transactions before `next`.
fn cursor_at(next: u64) -> String {
    use payquery::domain::log_cursor::{Horizon, LogCursor};
    LogCursor::at(Horizon::parse(&format!("{next}:{next}:")).unwrap()).encode()
}
