//! A database that was restored: what cursors of before meet, and the recipe of docs/operations.md.

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::support::App;
use crate::support::feed::{check_each_order, cursor_at};

/// Runs the SQL that the document tells an operator to run, one statement after the other as `psql` does.
async fn run_recipe(app: &App, mark: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (_, rest) = document.split_once(&format!("<!-- {mark} -->\n```sql\n")).unwrap();
    let (recipe, _) = rest.split_once("```").unwrap();
    let mut connection = app.database.connect().await;
    for statement in recipe.split_inclusive(";\n") {
        connection.execute(AssertSqlSafe(statement)).await.unwrap();
    }
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
    let before = app.feed_page("").await;
    assert!(before.events.is_empty(), "they lie in the future");
    run_recipe(&app, "restored").await;
    let refused = app.feed(&format!("after={}", before.cursor)).await;
    refused.problem(410, "cursor_expired");
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

/// A standby lacked the last commits: a cursor that has seen them would be taken as soon as the server has counted as far.
#[tokio::test]
async fn after_commits_were_lost_the_recipe_refuses_all_cursors_of_before_and_none_since() {
    let app = App::spawn().await;
    let orders = app.create_orders(5, json!({})).await;
    let from_before = app.feed_page("").await.cursor;
    let has_seen_the_lost = cursor_at(u64::try_from(next_transaction(&app).await).unwrap() + 50);
    run_recipe(&app, "taken over").await;
    app.report(&orders[0], "succeeded").await;
    for cursor in [from_before, has_seen_the_lost] {
        app.feed(&format!("after={cursor}"))
            .await
            .problem(410, "cursor_expired");
    }
    for sizes in [[1, 1], [4, 200]] {
        let whole = app.whole_feed("", &sizes).await;
        assert_eq!((whole.len(), check_each_order(&whole)), (6, 5));
    }
    let cursor = app.feed_page("").await.cursor;
    app.report(&orders[1], "succeeded").await;
    assert_eq!(
        app.feed_page(&format!("after={cursor}")).await.types(),
        ["order.succeeded"]
    );
}
