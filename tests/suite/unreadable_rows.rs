//! A row that payquery cannot read: an answer without internals, and a line in the log that says which request met it.

use serde_json::json;
use uuid::Uuid;

use crate::support::{Answer, App, Order, Process, eventually};

/// Gives the order a currency that there is not.
async fn spoil(app: &App, order: &Order) {
    let id = Uuid::parse_str(&order.id).unwrap();
    let spoilt = sqlx::query("update orders set currency = 'QQQ' where id = $1")
        .bind(id)
        .execute(&app.pool)
        .await;
    assert_eq!(spoilt.unwrap().rows_affected(), 1);
}

#[tokio::test]
async fn an_unreadable_row_is_a_500_without_internals_and_does_not_spread() {
    let app = App::spawn().await;
    let (order, other) = (app.create_order().await, app.create_order().await);
    spoil(&app, &order).await;
    let answers = [
        app.get(&format!("/v1/orders/{}", order.id)).await,
        app.get(&format!("/v1/orders/out-trade-no/{}", order.out_trade_no))
            .await,
        app.try_report(&order, json!({ "status": "succeeded" })).await,
        app.ask(&order).send().await,
        app.post("/v1/orders/statuses", &json!({ "ids": [order.id] })).await,
    ];
    for answer in answers {
        let problem = answer.problem(500, "internal_error");
        for word in ["currency", "QQQ", "ISO", "row", "SQL"] {
            assert!(!answer.text.contains(word), "{problem}");
        }
        assert!(!answer.has_header("retry-after"));
    }
    assert_eq!(app.report(&other, "succeeded").await["version"], 2);
    assert_eq!(app.ask(&other).send().await.version(), 2);
}

#[tokio::test]
async fn the_log_says_what_was_wrong_under_the_request_id_that_the_answer_has() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    spoil(&app, &order).await;
    let process = Process::serve(&app.database.url, &["--log-format=json"]);
    let url = format!("http://{}/v1/orders/{}/status", process.address(), order.id);
    let answer = Answer::to(app.http.get(url).bearer_auth(&order.secret)).await;
    let problem = answer.problem(500, "internal_error");
    let id = problem["request_id"].as_str().unwrap();
    let log = eventually(async || process.log(), |log| log.contains("request failed")).await;
    let line = log
        .lines()
        .find(|line| line.contains("request failed"))
        .unwrap_or_else(|| panic!("{log}"));
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["request.id"], &line["level"]), (&json!(id), &json!("ERROR")));
    assert!(line["cause"].as_str().unwrap().contains("currency"), "{line}");
    assert!(!log.contains(&order.secret));
}
