//! Reports and creations that come at the same time become few statements; each is answered as if it had come alone.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, PgTransaction};
use std::sync::Arc;
use uuid::Uuid;

use crate::support::merchant::new_order;
use crate::support::{Answer, App, Gate, Order, TestDatabase, eventually};

/// A connection for each of the batches that wait while orders are held: on a slow machine requests do not come all at once,
/// and a batch that found no connection would be given up after three seconds.
async fn roomy_app() -> App {
    App::builder().flag("--db-connections", "48").spawn().await
}

/// Nobody reads or writes orders while this is held: what is sent meanwhile gathers.
async fn hold_orders(app: &App) -> PgTransaction<'static> {
    let mut held = app.pool.begin().await.unwrap();
    held.execute("lock table orders in access exclusive mode")
        .await
        .unwrap();
    held
}

fn send_all(requests: impl IntoIterator<Item = RequestBuilder>) -> Vec<tokio::task::JoinHandle<Answer>> {
    requests
        .into_iter()
        .map(|request| tokio::spawn(Answer::to(request)))
        .collect()
}

/// Sends the requests, and lets the database write when they have all been taken into batches. `of` names the batches.
async fn send_together(app: &App, of: &str, requests: Vec<RequestBuilder>) -> Vec<Answer> {
    let label = format!("of=\"{of}\"");
    let taken = async || app.metric("payquery_batch_size_sum", &label).await;
    let before = taken().await;
    let held = hold_orders(app).await;
    let count = requests.len() as f64;
    let sent = send_all(requests);
    eventually(taken, |now| *now >= before + count).await;
    held.rollback().await.unwrap();
    let mut answers = Vec::new();
    for answer in sent {
        answers.push(answer.await.unwrap());
    }
    answers
}

fn report(app: &App, order: &Order, body: &Value) -> RequestBuilder {
    app.merchant(Method::PUT, &order.status_path()).json(body)
}

/// The database refuses to change that order.
async fn poison(app: &App, order: &Order) {
    app.pool
        .execute(AssertSqlSafe(format!(
            "create function refuse() returns trigger language plpgsql as $$ begin raise exception 'refused'; end $$;
             create trigger poisoned before update on orders for each row when (old.id = '{}')
                 execute function refuse();",
            order.id
        )))
        .await
        .unwrap();
}

#[tokio::test]
async fn one_bad_row_one_conflict_one_illegal_move_and_one_repeat_among_200_good_reports_are_each_answered_truly() {
    let app = roomy_app().await;
    let good = app.create_orders(200, json!({})).await;
    let (bad, conflict) = (app.create_order().await, app.create_order().await);
    let (illegal, repeat) = (app.order_at("refunded").await, app.order_at("succeeded").await);
    poison(&app, &bad).await;
    let paid = json!({ "status": "succeeded", "transaction_id": "t-1" });
    let mut requests: Vec<_> = good.iter().map(|order| report(&app, order, &paid)).collect();
    requests.insert(20, report(&app, &bad, &paid));
    requests.insert(60, report(&app, &conflict, &paid).header("if-match", "\"7\""));
    requests.insert(100, report(&app, &illegal, &json!({ "status": "pending" })));
    requests.insert(140, report(&app, &repeat, &json!({ "status": "succeeded" })));
    let mut answers = send_together(&app, "reports", requests).await;

    assert_eq!((answers[140].status, answers[140].version()), (200, 2));
    assert_eq!(answers.remove(140).json(), app.read(&repeat).await);
    answers.remove(100).problem(409, "illegal_transition");
    answers.remove(60).problem(412, "precondition_failed");
    answers.remove(20).problem(500, "internal_error");
    for (order, answer) in good.iter().zip(&answers) {
        assert_eq!((answer.status, answer.version()), (200, 2), "{}", answer.text);
        assert_eq!(answer.json()["id"], order.id);
        let events = app.events(order).await;
        assert_eq!((events.len(), &events[1]["data"]["transaction_id"]), (2, &json!("t-1")));
    }
    assert_eq!(
        (app.read(&bad).await["version"].as_i64(), app.events(&bad).await.len()),
        (Some(1), 1)
    );
    assert_eq!(
        (
            app.read(&conflict).await["version"].as_i64(),
            app.events(&conflict).await.len()
        ),
        (Some(1), 1)
    );
    assert_eq!(app.events(&repeat).await.len(), 2);
    let log = app.events(&illegal).await;
    assert_eq!((log.len(), &log[3]["reason"]), (4, &json!("illegal_transition")));
}

#[tokio::test]
async fn creations_at_once_with_one_number_twice_are_each_answered_truly() {
    let app = roomy_app().await;
    let create = |body: &Value| app.merchant(Method::POST, "/v1/orders").json(body);
    let taken = app.post("/v1/orders", &new_order("taken")).await.json();
    let mut bodies: Vec<Value> = (0..200).map(|number| new_order(&format!("A-{number}"))).collect();
    let mut other_amount = new_order("A-7");
    other_amount["amount"] = json!(7);
    // The same again, the same number for something else, and both of an order that is there already.
    let mut taken_for_another = new_order("taken");
    taken_for_another["currency"] = json!("USD");
    bodies.extend([new_order("A-3"), other_amount, new_order("taken"), taken_for_another]);
    let answers = send_together(&app, "creations", bodies.iter().map(create).collect()).await;

    answers[203].problem(409, "out_trade_no_taken");
    assert_eq!((answers[202].status, answers[202].json()), (200, taken));
    // Which of two comes first is open; that one of them makes the order is not.
    let created = |of: [usize; 2]| of.into_iter().filter(|at| answers[*at].status == 201).count();
    assert_eq!((created([3, 200]), created([7, 201])), (1, 1));
    assert_eq!(answers[3].json(), answers[200].json());
    let second = if answers[7].status == 201 {
        &answers[201]
    } else {
        &answers[7]
    };
    second.problem(409, "out_trade_no_taken");
    for (at, answer) in answers[..200].iter().enumerate().filter(|(at, _)| ![3, 7].contains(at)) {
        assert_eq!(
            (answer.status, &answer.json()["out_trade_no"]),
            (201, &json!(format!("A-{at}")))
        );
        assert_eq!(app.events(&Order::of(&answer.json())).await.len(), 1);
    }
    let orders: i64 = sqlx::query_scalar("select count(*) from orders")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    let events: i64 = sqlx::query_scalar("select count(*) from order_events")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!((orders, events), (201, 201));
}

#[tokio::test]
async fn a_creation_that_the_database_refuses_does_not_refuse_its_neighbours() {
    let app = roomy_app().await;
    let refuse = "alter table orders add constraint not_this_one check (out_trade_no <> 'A-5')";
    app.pool.execute(refuse).await.unwrap();
    let bodies = (0..40).map(|number| new_order(&format!("A-{number}")));
    let requests = bodies.map(|body| app.merchant(Method::POST, "/v1/orders").json(&body));
    let answers = send_together(&app, "creations", requests.collect()).await;
    for (at, answer) in answers.iter().enumerate() {
        if at == 5 {
            answer.problem(500, "internal_error");
        } else {
            assert_eq!(answer.status, 201, "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn many_reports_at_once_are_few_statements() {
    let app = roomy_app().await;
    let orders = app.create_orders(200, json!({})).await;
    let (paid, wrong) = (json!({ "status": "succeeded" }), json!({ "status": "refunded" }));
    let reports = async |words: &[&str], body: &Value| {
        let before = app.database.count_statements(words).await;
        send_together(
            &app,
            "reports",
            orders.iter().map(|order| report(&app, order, body)).collect(),
        )
        .await;
        app.database.count_statements(words).await - before
    };
    // A rejection is an order event too, and no way to make the database work row by row.
    let rejections = reports(&["insert into order_events"], &wrong).await;
    assert!((1..=60).contains(&rejections), "{rejections}");
    let changes = reports(&["update orders"], &paid).await;
    assert!((1..=60).contains(&changes), "{changes}");
    let reads = reports(&["from orders", "where id = any"], &paid).await;
    assert!((1..=60).contains(&reads), "{reads}");
    let by_number = orders.iter().map(|order| {
        let path = format!("/v1/orders/out-trade-no/{}/status", order.out_trade_no);
        app.merchant(Method::PUT, &path).json(&paid)
    });
    let before = app.database.count_statements(&["from orders"]).await;
    for answer in send_together(&app, "reports", by_number.collect()).await {
        assert_eq!((answer.status, answer.version()), (200, 2));
    }
    let reads = app.database.count_statements(&["from orders"]).await - before;
    assert!((1..=60).contains(&reads), "{reads}");
}

#[tokio::test]
async fn many_notices_of_one_order_at_once_are_few_statements() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let writes = async || app.database.count_statements(&["insert into order_events"]).await;
    let before = writes().await;
    let paid = json!({ "status": "succeeded", "transaction_id": "t-1" });
    let mut requests: Vec<_> = (0..100).map(|_| report(&app, &order, &paid)).collect();
    requests.extend((0..100).map(|_| report(&app, &order, &json!({ "status": "closed", "amount": 1 }))));
    let answers = send_together(&app, "reports", requests).await;
    for answer in &answers[..100] {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
    for answer in &answers[100..] {
        answer.problem(409, "amount_mismatch");
    }
    let events = app.events(&order).await;
    assert_eq!(events.iter().filter(|event| event["accepted"] == true).count(), 2);
    assert_eq!(events.iter().filter(|event| event["accepted"] == false).count(), 100);
    let writes = writes().await - before;
    assert!((2..=60).contains(&writes), "{writes}");
}

#[tokio::test]
async fn an_order_that_somebody_has_locked_holds_up_no_other() {
    let app = App::spawn().await;
    let orders = app.create_orders(30, json!({})).await;
    let mut locked = app.pool.begin().await.unwrap();
    sqlx::query("select from orders where id = $1 for update")
        .bind(Uuid::parse_str(&orders[9].id).unwrap())
        .execute(&mut *locked)
        .await
        .unwrap();
    let paid = json!({ "status": "succeeded" });
    let mut sent = send_all(orders.iter().map(|order| report(&app, order, &paid)));
    let waits = sent.remove(9);
    for answer in sent {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    assert!(!waits.is_finished());
    locked.rollback().await.unwrap();
    let answer = waits.await.unwrap();
    assert_eq!((answer.status, answer.version()), (200, 2));
    assert_eq!(app.events(&orders[9]).await.len(), 2);
}

#[tokio::test]
async fn a_number_that_another_transaction_is_just_writing_holds_up_no_other() {
    let app = App::spawn().await;
    let mut writing = app.pool.begin().await.unwrap();
    // As a replica would that stands still in the middle of a creation.
    let template = app.create_order().await;
    sqlx::query(
        "insert into orders select ($2::text)::uuid, merchant_id, 'A-5', amount, currency, description, metadata, client_secret,
                fingerprint, status, reason, late, version, refunded_amount, transaction_id, created_at, updated_at,
                expires_at, paid_at
         from orders where out_trade_no = $1",
    )
    .bind(&template.out_trade_no)
    .bind(Uuid::now_v7().to_string())
    .execute(&mut *writing)
    .await
    .unwrap();
    let bodies = (0..30).map(|number| new_order(&format!("A-{number}")));
    let mut sent = send_all(bodies.map(|body| app.merchant(Method::POST, "/v1/orders").json(&body)));
    let waits = sent.remove(5);
    for answer in sent {
        assert_eq!(answer.await.unwrap().status, 201);
    }
    assert!(!waits.is_finished());
    writing.rollback().await.unwrap();
    assert_eq!(waits.await.unwrap().status, 201);
}

#[tokio::test]
async fn a_batch_whose_connection_dies_under_it_is_answered_with_503_and_what_was_committed_is_told() {
    let database = Arc::new(TestDatabase::create().await);
    let mut gate = Gate::before(&database.url);
    let app = App::builder()
        .flag("--database-url", &gate.url)
        .spawn_over(database)
        .await;
    let orders = app.create_orders(20, json!({})).await;
    let held: Vec<_> = orders
        .iter()
        .map(|order| app.ask(order).if_none_match("\"1\"").query("wait", 50).spawn())
        .collect();
    app.wait_for_held(20).await;
    let lock = app.hold_changes().await;
    let paid = json!({ "status": "succeeded" });
    let sent = send_all(orders.iter().map(|order| report(&app, order, &paid)));
    let taken = async || app.metric("payquery_batch_size_sum", "of=\"reports\"").await;
    eventually(taken, |taken| *taken == 20.0).await;
    let waiting = "select count(*) from pg_stat_activity
         where datname = current_database() and wait_event_type = 'Lock' and query like '%update orders o%'";
    let waiting = async || {
        sqlx::query_scalar::<_, i64>(waiting)
            .fetch_one(&app.pool)
            .await
            .unwrap()
    };
    eventually(waiting, |waiting| *waiting >= 1).await;
    // Postgres hears and commits what it was sent; nobody hears of that.
    gate.lose_answers();
    lock.rollback().await.unwrap();
    let changed = "select count(*) from orders where version = 2";
    let changed = async || {
        sqlx::query_scalar::<_, i64>(changed)
            .fetch_one(&app.pool)
            .await
            .unwrap()
    };
    eventually(changed, |changed| *changed >= 1).await;
    gate.shut();
    for answer in sent {
        answer.await.unwrap().problem(503, "database_unavailable");
    }
    gate.open();
    let committed: Vec<Uuid> = sqlx::query_scalar("select id from orders where version = 2")
        .fetch_all(&app.pool)
        .await
        .unwrap();
    // Held requests of orders whose change was committed are told without anybody reporting again.
    for (order, held) in orders.iter().zip(held) {
        if !committed.contains(&Uuid::parse_str(&order.id).unwrap()) {
            let again = async || app.try_report(order, paid.clone()).await;
            eventually(again, |answer| answer.status == 200).await;
        }
        assert_eq!(held.await.unwrap().version(), 2);
    }
    let ready = async || Answer::to(app.http.get(app.url("/readyz"))).await;
    eventually(ready, |answer| answer.status == 200).await;
    for order in &orders {
        assert_eq!(app.events(order).await.len(), 2);
    }
}
