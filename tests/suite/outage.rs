//! Postgres goes away and comes back: what is in memory goes on, what needs the database says so, and all is well again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::{Answer, App, Gate, TestDatabase, eventually};

async fn app_behind_a_gate() -> (Gate, App) {
    let database = Arc::new(TestDatabase::create().await);
    let gate = Gate::before(&database.url);
    let app = App::builder()
        .flag("--database-url", &gate.url)
        .spawn_over(database)
        .await;
    (gate, app)
}

/// Checks that this is an honest 503: when to come back, and nothing of what lies behind.
#[track_caller]
fn is_unavailable(answer: &Answer) {
    answer.problem(503, "database_unavailable");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds > 0);
    shows_no_internals(answer);
}

#[track_caller]
fn shows_no_internals(answer: &Answer) {
    let text = answer.text.to_lowercase();
    for word in [
        "sql", "postgres", "pool", "socket", "refused", "os error", "pgsql", "relation", "column", "currency", "/tmp",
    ] {
        assert!(!text.contains(word), "{word}: {}", answer.text);
    }
}

#[tokio::test]
async fn writes_and_cold_reads_are_503_with_a_time_to_come_back() {
    let (mut gate, app) = app_behind_a_gate().await;
    let order = app.create_order().await;
    let id = &order.id;
    let mut requests = vec![app.ask(&order).0, app.http.get(app.url("/readyz"))];
    // A key that was never seen is looked up in the database.
    requests.push(
        app.http
            .get(app.url("/v1/orders"))
            .bearer_auth(app.key_of("other").await),
    );
    for (method, path, body) in [
        (Method::POST, "/v1/orders".to_owned(), new_order("A-1")),
        (
            Method::PUT,
            format!("/v1/orders/{id}/status"),
            json!({ "status": "succeeded" }),
        ),
        (Method::GET, format!("/v1/orders/{id}"), json!(null)),
        (
            Method::GET,
            format!("/v1/orders/out-trade-no/{}", order.out_trade_no),
            json!(null),
        ),
        (Method::GET, "/v1/orders".into(), json!(null)),
        (Method::GET, format!("/v1/orders/{id}/events"), json!(null)),
        (Method::POST, "/v1/orders/statuses".into(), json!({ "ids": [id] })),
        (Method::GET, format!("/v1/orders/{id}/status"), json!(null)),
    ] {
        let request = app.merchant(method, &path).json(&body);
        requests.push(request.try_clone().unwrap());
        requests.push(request.header("idempotency-key", "k-1"));
    }
    gate.shut();
    let start = Instant::now();
    let sent: Vec<_> = requests
        .into_iter()
        .map(|request| tokio::spawn(Answer::to(request)))
        .collect();
    for answer in sent {
        is_unavailable(&answer.await.unwrap());
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(Answer::to(app.http.get(app.url("/healthz"))).await.status, 200);
    gate.open();
    let id = Uuid::parse_str(id).unwrap();
    let version: i64 = sqlx::query_scalar("select version from orders where id = $1")
        .bind(id)
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(version, 1);
}

#[tokio::test]
async fn polls_of_hot_orders_go_on_being_answered() {
    let (mut gate, app) = app_behind_a_gate().await;
    let order = app.create_order().await;
    app.ask(&order).send().await;
    gate.shut();
    for _ in 0..20 {
        let full = app.ask(&order).send().await;
        assert_eq!((full.status, full.version()), (200, 1));
        assert_eq!(app.ask(&order).if_none_match("\"1\"").send().await.status, 304);
        assert_eq!(app.get(&format!("/v1/orders/{}/status", order.id)).await.status, 200);
    }
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 1).send().await;
    assert_eq!(held.status, 304);
}

#[tokio::test]
async fn held_requests_stay_held_and_are_woken_when_all_is_well_again() {
    let (mut gate, app) = app_behind_a_gate().await;
    let order = app.create_order().await;
    let held: Vec<_> = (0..5)
        .map(|_| app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn())
        .collect();
    app.wait_for_held(5).await;
    gate.shut();
    is_unavailable(&app.try_report(&order, json!({ "status": "succeeded" })).await);
    // Longer than the housekeeping's ticks: it met the outage too.
    is_unavailable(&Answer::to(app.http.get(app.url("/readyz"))).await);
    assert!(held.iter().all(|request| !request.is_finished()));
    app.wait_for_held(5).await;
    gate.open();
    let reported = async || app.try_report(&order, json!({ "status": "succeeded" })).await;
    eventually(reported, |answer| answer.status == 200).await;
    for request in held {
        let answer = request.await.unwrap();
        assert_eq!((answer.status, answer.version()), (200, 2));
    }
}

#[tokio::test]
async fn all_is_well_again_by_itself() {
    let (mut gate, app) = app_behind_a_gate().await;
    for round in 0..2 {
        let order = app.create_order_with(json!({ "expires_in": 2 })).await;
        gate.shut();
        is_unavailable(&app.post("/v1/orders", &new_order("A-1")).await);
        gate.open();
        let start = Instant::now();
        let ready = async || Answer::to(app.http.get(app.url("/readyz"))).await;
        eventually(ready, |answer| answer.status == 200).await;
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        // (Another connection of the pool may just find out that it is broken; asked again, it is the same creation.)
        let create = async || app.post("/v1/orders", &new_order(&format!("A-{round}"))).await;
        eventually(create, |answer| matches!(answer.status, 200 | 201)).await;
        let closed = app.ask(&order).query("until", "final").query("wait", 25).send().await;
        assert_eq!((closed.status, &closed.json()["reason"]), (200, &json!("expired")));
    }
}

#[tokio::test]
async fn a_change_whose_confirmation_was_lost_is_seen_once_the_report_is_repeated() {
    let (mut gate, app) = app_behind_a_gate().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    // The report is stopped in the middle; then Postgres applies it, and nobody hears of that.
    let transaction = app.hold_changes().await;
    let id = Uuid::parse_str(&order.id).unwrap();
    let path = format!("/v1/orders/{}/status", order.id);
    let report = tokio::spawn(Answer::to(
        app.merchant(Method::PUT, &path).json(&json!({ "status": "succeeded" })),
    ));
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    eventually(
        async || {
            sqlx::query_scalar::<_, i64>(waiting)
                .fetch_one(&app.pool)
                .await
                .unwrap()
        },
        |count| *count == 1,
    )
    .await;
    gate.lose_answers();
    transaction.commit().await.unwrap();
    let version = "select version from orders where id = $1";
    let version = async || {
        sqlx::query_scalar::<_, i64>(version)
            .bind(id)
            .fetch_one(&app.pool)
            .await
            .unwrap()
    };
    eventually(version, |version| *version == 2).await;
    gate.shut();
    let unanswered = report.await.unwrap();
    is_unavailable(&unanswered);
    assert!(!unanswered.text.contains("nothing was changed"), "{}", unanswered.text);
    gate.open();
    let again = async || app.try_report(&order, json!({ "status": "succeeded" })).await;
    let again = eventually(again, |answer| answer.status == 200).await;
    assert_eq!(again.version(), 2);
    let poll = app.ask(&order).send().await;
    assert_eq!((poll.version(), &poll.json()["status"]), (2, &json!("succeeded")));
    assert_eq!(held.await.unwrap().version(), 2);
    assert_eq!(app.events(&order).await.len(), 2);
}
