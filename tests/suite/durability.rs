//! What a 2xx stands on, and what is kept for how long.

use payquery::db;
use sqlx::Executor as _;

use crate::support::{App, TestDatabase, eventually};

async fn commits_are(database: &TestDatabase, server_default: &'static str) -> String {
    let mut connection = database.connect().await;
    let set = format!(
        "do $$ begin execute format('alter database %I set synchronous_commit = {server_default}', current_database()); end $$"
    );
    connection.execute(sqlx::AssertSqlSafe(set)).await.unwrap();
    let settings = db::Settings {
        url: database.url.clone(),
        max_connections: 2,
        acquire_timeout: std::time::Duration::from_secs(5),
    };
    let pool = db::connect(&settings).await.unwrap();
    let setting = sqlx::query_scalar("show synchronous_commit")
        .fetch_one(&pool)
        .await
        .unwrap();
    pool.close().await;
    setting
}

#[tokio::test]
async fn commits_are_on_disk_before_they_are_acknowledged_whatever_the_servers_default() {
    let database = TestDatabase::create().await;
    for default in ["off", "local"] {
        assert_eq!(commits_are(&database, default).await, "on", "{default}");
    }
    assert_eq!(
        commits_are(&database, "remote_apply").await,
        "remote_apply",
        "stronger settings stay"
    );
}

#[tokio::test]
async fn first_answers_are_kept_for_two_days_and_then_dropped() {
    let app = App::spawn().await;
    for (key, hours) in [("old", 49), ("young", 47)] {
        let body = serde_json::json!({ "out_trade_no": key, "amount": 1, "currency": "CNY" });
        let request = app.merchant(reqwest::Method::POST, "/v1/orders").json(&body);
        let answer = crate::support::Answer::to(request.header("idempotency-key", key)).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        sqlx::query("update idempotency_keys set created_at = now() - make_interval(hours => $2) where key = $1")
            .bind(key)
            .bind(hours)
            .execute(&app.pool)
            .await
            .unwrap();
    }
    let app = app.restart().await;
    let keys = async || -> Vec<String> {
        sqlx::query_scalar("select key from idempotency_keys")
            .fetch_all(&app.pool)
            .await
            .unwrap()
    };
    let left = eventually(keys, |keys| keys.len() == 1).await;
    assert_eq!(left, ["young"]);
}
