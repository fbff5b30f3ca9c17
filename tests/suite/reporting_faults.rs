//! Reports that meet trouble on their way: whatever was committed reaches the payer.

use uuid::Uuid;

use crate::support::{App, RawConnection, eventually};

/// How many sessions of this database wait for a lock.
async fn waiting_for_locks(app: &App) -> i64 {
    sqlx::query_scalar(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    )
    .fetch_one(&app.pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_report_whose_sender_hung_up_during_the_commit_still_wakes_the_payer() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 25).spawn();
    app.wait_for_held(1).await;

    let mut blocker = app.pool.begin().await.unwrap();
    let id = Uuid::parse_str(&order.id).unwrap();
    sqlx::query("select from orders where id = $1 for update")
        .bind(id)
        .execute(&mut *blocker)
        .await
        .unwrap();
    let mut backend = RawConnection::open(app.address).await;
    let body = r#"{"status":"succeeded"}"#;
    let request = format!(
        "PUT /v1/orders/{}/status HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        order.id,
        app.api_key,
        body.len()
    );
    backend.send(request.as_bytes()).await;
    eventually(async || waiting_for_locks(&app).await, |waiting| *waiting == 1).await;
    backend.reset();
    blocker.rollback().await.unwrap();

    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.version()), (200, 2));
}
