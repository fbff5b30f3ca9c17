//! Status reports in by RabbitMQ, against a real broker.

use std::sync::Arc;

use lapin::BasicProperties;
use serde_json::{Value, json};

use crate::support::rabbit::{DEAD, Inbox, Rabbit, Received, UPDATES, with_headers, with_key};
use crate::support::{App, Gate, Order, TestDatabase, VirtualHost, eventually};

/// A broker's virtual host, and an application that takes updates from it.
async fn connected() -> (VirtualHost, Rabbit, App) {
    let host = VirtualHost::create().await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&app).await;
    (host, rabbit, app)
}

async fn wait_for_consumer(app: &App) {
    let connected = async || app.metric("payquery_rabbitmq_connected", "updates").await;
    eventually(connected, |connected| *connected == 1.0).await;
}

async fn wait_for_outcomes(app: &App, outcome: &str, count: f64) {
    let outcomes = async || app.metric("payquery_rabbitmq_updates_total", outcome).await;
    eventually(outcomes, |now| *now == count).await;
}

async fn wait_for_status(app: &App, order: &Order, status: &str) -> Value {
    eventually(async || app.read(order).await, |read| read["status"] == status).await
}

/// The next dead letter: with that code as its reason.
async fn dead(inbox: &mut Inbox, status: u16, code: &str) -> Received {
    let letter = inbox.next().await;
    let problem: Value = serde_json::from_str(&letter.header("payquery-problem")).unwrap();
    assert_eq!(letter.header("payquery-code"), code, "{problem}");
    assert_eq!(letter.header("payquery-status"), status.to_string());
    assert_eq!(
        (problem["code"].as_str(), problem["status"].as_u64()),
        (Some(code), Some(status.into()))
    );
    assert!(
        problem["request_id"].as_str().is_some_and(|id| !id.is_empty()),
        "{problem}"
    );
    assert_eq!(letter.header("api-key"), "", "a key opens more than this message");
    letter
}

#[tokio::test]
async fn a_report_by_message_does_what_put_does_and_its_payer_is_told() {
    let (_host, rabbit, app) = connected().await;
    let (by_id, by_number) = (app.create_order().await, app.create_order().await);
    let held = app.ask(&by_id).query("wait", 20).query("since_version", 1).spawn();
    app.wait_for_held(1).await;
    let body = json!({ "order_id": by_id.id, "status": "succeeded", "amount": 1000, "currency": "CNY", "transaction_id": "4200" });
    rabbit.report(&app.api_key, &body).await;
    assert_eq!(held.await.unwrap().json()["status"], "succeeded");
    assert_eq!(app.read(&by_id).await["transaction_id"], "4200");
    let body = json!({ "out_trade_no": by_number.out_trade_no, "trade_state": "CLOSED", "reason": "left" });
    rabbit.report(&app.api_key, &body).await;
    assert_eq!(wait_for_status(&app, &by_number, "closed").await["reason"], "left");
    wait_for_outcomes(&app, "applied", 2.0).await;
    assert_eq!((rabbit.count(UPDATES).await, rabbit.count(DEAD).await), (0, 0));
}

#[tokio::test]
async fn the_same_report_twice_is_no_change_and_no_error() {
    let (_host, rabbit, app) = connected().await;
    let order = app.create_order().await;
    for _ in 0..3 {
        rabbit
            .report(&app.api_key, &json!({ "order_id": order.id, "status": "succeeded" }))
            .await;
    }
    wait_for_outcomes(&app, "applied", 3.0).await;
    assert_eq!(app.read(&order).await["version"], 2);
    assert_eq!(rabbit.count(DEAD).await, 0);
}

/// Bodies that are wrong whoever sends them, and what is wrong with each.
fn bad_bodies(id: &str) -> Vec<(Vec<u8>, u16, &'static str)> {
    let report = json!({ "order_id": id, "status": "refunded" }).to_string();
    let with = |more: &str| format!("{{{more},{}", &report[1..]).into_bytes();
    let about = |id: &str, status: &str| json!({ "order_id": id, "status": status }).to_string().into_bytes();
    let too_large = format!("{{\"order_id\":\"{id}\",\"reason\":\"{}\"}}", "x".repeat(70_000));
    let other_amount = json!({ "order_id": id, "status": "refunded", "amount": 999 });
    vec![
        (b"{".into(), 400, "malformed_json"),
        (b"".into(), 400, "malformed_json"),
        (b"{\"order_id\":\"\xff\"}".into(), 400, "malformed_json"),
        (format!("{report} more").into(), 400, "malformed_json"),
        (b"[]".into(), 400, "invalid_field"),
        (with(r#""status":"closed""#), 400, "invalid_field"),
        (with(r#""colour":1"#), 400, "invalid_field"),
        (with(r#""out_trade_no":"a""#), 400, "invalid_field"),
        (br#"{"status":"closed"}"#.into(), 400, "invalid_field"),
        (about("7", "closed"), 400, "invalid_field"),
        (too_large.into(), 413, "body_too_large"),
        (
            about("0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", "closed"),
            404,
            "order_not_found",
        ),
        (about(id, "failed"), 409, "illegal_transition"),
        (other_amount.to_string().into(), 409, "amount_mismatch"),
    ]
}

/// Properties that are wrong with a good report, and what is wrong with each.
fn bad_properties(api_key: &str, secret: &str, stranger: &str) -> Vec<(BasicProperties, u16, &'static str)> {
    let mistyped = format!("{}x", &api_key[..api_key.len() - 1]);
    let if_match = |value: &str| with_headers(&[("api-key", api_key), ("if-match", value)]);
    let of_type = with_key(api_key).with_content_type("text/plain".into());
    let encoded = with_key(api_key).with_content_encoding("gzip".into());
    vec![
        (of_type, 415, "unsupported_media_type"),
        (encoded, 415, "unsupported_media_type"),
        (with_key(stranger), 404, "order_not_found"),
        (with_key(&mistyped), 401, "unauthorized"),
        (with_key(secret), 401, "unauthorized"),
        (BasicProperties::default(), 401, "unauthorized"),
        (if_match("\"1\""), 412, "precondition_failed"),
        (if_match("2"), 400, "invalid_field"),
    ]
}

#[tokio::test]
async fn what_cannot_be_applied_goes_to_the_dead_letters_with_its_reason() {
    let (_host, rabbit, app) = connected().await;
    let order = app.order_at("succeeded").await;
    let stranger = app.key_of("stranger").await;
    let good = json!({ "order_id": order.id, "status": "refunded" });
    let bodies = bad_bodies(&order.id).into_iter();
    let bodies = bodies.map(|(body, status, code)| (with_key(&app.api_key), body, status, code));
    let properties = bad_properties(&app.api_key, &order.secret, &stranger).into_iter();
    let properties = properties.map(|(properties, status, code)| (properties, good.to_string().into(), status, code));
    let mut inbox = rabbit.read(DEAD).await;
    for (properties, body, status, code) in bodies.chain(properties) {
        let properties = properties.with_message_id("m-7".into()).with_correlation_id("c".into());
        rabbit.send(UPDATES, properties, &body).await;
        let letter = dead(&mut inbox, status, code).await;
        assert_eq!(letter.body, body, "{code}");
        assert_eq!(letter.properties.message_id(), &Some("m-7".into()));
        let problem: Value = serde_json::from_str(&letter.header("payquery-problem")).unwrap();
        assert_eq!(problem["request_id"], "m-7", "the message's own id is the request's");
    }
    assert_eq!(app.read(&order).await["version"], 2, "nothing was changed");
    let log = app.get(&format!("/v1/orders/{}/events", order.id)).await.json();
    let rejected = log["data"].as_array().unwrap().iter();
    let rejected = rejected.filter(|event| event["type"] == "order.rejected");
    assert_eq!(
        rejected.count(),
        2,
        "rejected moves stand in the log, as PUT writes them"
    );
    rabbit.report(&app.api_key, &good).await;
    wait_for_status(&app, &order, "refunded").await;
}

#[tokio::test]
async fn whoever_asks_for_an_answer_gets_the_one_that_put_gives() {
    let (_host, rabbit, app) = connected().await;
    let order = app.create_order().await;
    rabbit.declare("payquery.replies.test").await;
    let mut inbox = rabbit.read("payquery.replies.test").await;
    let asking = |id: &str| {
        with_key(&app.api_key)
            .with_reply_to("payquery.replies.test".into())
            .with_correlation_id(id.into())
    };
    let body = json!({ "order_id": order.id, "status": "succeeded" }).to_string();
    rabbit.send(UPDATES, asking("one"), body.as_bytes()).await;
    let answer = inbox.next().await;
    assert_eq!(answer.json(), app.read(&order).await);
    assert_eq!(answer.properties.correlation_id(), &Some("one".into()));
    assert_eq!(
        (answer.header("payquery-status"), answer.header("etag")),
        ("200".into(), "\"2\"".into())
    );
    let body = json!({ "order_id": order.id, "status": "failed" }).to_string();
    rabbit.send(UPDATES, asking("two"), body.as_bytes()).await;
    let answer = inbox.next().await;
    assert_eq!(answer.json()["code"], "illegal_transition");
    let content_type = answer.properties.content_type().as_ref().unwrap();
    assert_eq!(content_type.as_str(), "application/problem+json");
    assert_eq!(answer.properties.correlation_id(), &Some("two".into()));
    let gone = with_key(&app.api_key).with_reply_to("payquery.replies.nobody".into());
    rabbit
        .send(
            UPDATES,
            gone,
            json!({ "order_id": order.id, "status": "refunded" })
                .to_string()
                .as_bytes(),
        )
        .await;
    wait_for_outcomes(&app, "applied", 2.0).await;
}

#[tokio::test]
async fn answers_that_cannot_be_delivered_stop_nothing_and_are_sent_once() {
    let (_host, rabbit, app) = connected().await;
    let order = app.create_order().await;
    rabbit.declare_full("payquery.replies.full").await;
    // The second one is a name that the broker answers with an error of the whole connection.
    for (number, reply_to) in ["payquery.replies.full", "amq.rabbitmq.reply-to.g1h2AA==.x"]
        .into_iter()
        .enumerate()
    {
        let asking = with_key(&app.api_key).with_reply_to(reply_to.into());
        rabbit.send(UPDATES, asking, b"{}").await;
        let body = json!({ "order_id": order.id, "status": if number == 0 { "succeeded" } else { "refunded" } });
        rabbit.report(&app.api_key, &body).await;
        wait_for_outcomes(&app, "applied", number as f64 + 1.0).await;
        eventually(
            async || rabbit.count(DEAD).await,
            |count| *count == u32::try_from(number).unwrap() + 1,
        )
        .await;
    }
    wait_for_outcomes(&app, "dead", 2.0).await;
}

#[tokio::test]
async fn properties_that_the_broker_would_act_upon_stop_nothing() {
    let (_host, rabbit, app) = connected().await;
    let order = app.create_order().await;
    let mut inbox = rabbit.read(DEAD).await;
    // A user id must be the sender's, an expired message is dropped, a CC is a route, and headers have to fit into a frame.
    let long = "x".repeat(100_000);
    let odd = with_headers(&[("api-key", &app.api_key), ("long", &long)])
        .with_user_id("guest".into())
        .with_expiration("60000".into());
    rabbit.send(UPDATES, odd, b"{").await;
    let letter = dead(&mut inbox, 400, "malformed_json").await;
    assert_eq!(
        (letter.properties.user_id(), letter.properties.expiration()),
        (&None, &None)
    );
    rabbit
        .report(&app.api_key, &json!({ "order_id": order.id, "status": "closed" }))
        .await;
    wait_for_status(&app, &order, "closed").await;
    assert_eq!(app.metric("payquery_rabbitmq_intake_failures_total", "").await, 0.0);
}

#[tokio::test]
async fn the_reports_of_an_order_are_applied_in_the_order_of_the_queue_however_they_name_it() {
    let (_host, rabbit, app) = connected().await;
    let other = app.another().await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(app.create_order().await);
    }
    // Back and forth: in any other order at least one of them would be rejected, or no change.
    let moves = [
        "processing",
        "pending",
        "processing",
        "pending",
        "processing",
        "failed",
        "succeeded",
        "refunded",
    ];
    for (at, status) in moves.iter().enumerate() {
        for (number, order) in orders.iter().enumerate() {
            let name = if (at + number) % 3 == 0 {
                ("out_trade_no", &order.out_trade_no)
            } else {
                ("order_id", &order.id)
            };
            rabbit
                .report(&app.api_key, &json!({ name.0: name.1, "status": status }))
                .await;
        }
    }
    let applied = async || {
        app.metric("payquery_rabbitmq_updates_total", "applied").await
            + other.metric("payquery_rabbitmq_updates_total", "applied").await
    };
    eventually(applied, |count| *count == 160.0).await;
    for order in &orders {
        assert_eq!(app.read(order).await["version"], 9, "each move was a change");
    }
    assert_eq!(rabbit.count(DEAD).await, 0);
}

#[tokio::test]
async fn while_postgres_is_away_messages_wait_and_none_is_lost() {
    let host = VirtualHost::create().await;
    let database = Arc::new(TestDatabase::create().await);
    let mut gate = Gate::before(&database.url);
    let app = App::builder()
        .flag("--amqp-url", &host.url)
        .flag("--database-url", &gate.url)
        .spawn_over(database)
        .await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&app).await;
    let order = app.create_order().await;
    gate.shut();
    rabbit
        .report(&app.api_key, &json!({ "order_id": order.id, "status": "processing" }))
        .await;
    rabbit
        .report(&app.api_key, &json!({ "order_id": order.id, "status": "succeeded" }))
        .await;
    let retried = async || app.metric("payquery_rabbitmq_updates_total", "retried").await;
    eventually(retried, |count| *count >= 3.0).await;
    assert_eq!(
        (
            rabbit.count(DEAD).await,
            app.metric("payquery_rabbitmq_updates_total", "applied").await
        ),
        (0, 0.0)
    );
    gate.open();
    wait_for_outcomes(&app, "applied", 2.0).await;
    assert_eq!(wait_for_status(&app, &order, "succeeded").await["version"], 3);
    assert_eq!(rabbit.count(DEAD).await, 0);
}

#[tokio::test]
async fn what_a_replica_had_in_hand_when_it_stopped_is_taken_by_the_next() {
    let host = VirtualHost::create().await;
    let database = Arc::new(TestDatabase::create().await);
    let mut gate = Gate::before(&database.url);
    let through_gate = App::builder()
        .flag("--amqp-url", &host.url)
        .flag("--database-url", &gate.url);
    let mut app = through_gate.spawn_over(Arc::clone(&database)).await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&app).await;
    let order = app.create_order().await;
    gate.shut();
    for status in ["processing", "pending", "processing", "succeeded"] {
        rabbit
            .report(&app.api_key, &json!({ "order_id": order.id, "status": status }))
            .await;
    }
    let retried = async || app.metric("payquery_rabbitmq_updates_total", "retried").await;
    eventually(retried, |count| *count >= 1.0).await;
    app.stop_and_wait().await;
    let next = App::builder().flag("--amqp-url", &host.url).spawn_over(database).await;
    wait_for_outcomes(&next, "applied", 4.0).await;
    let read = async || {
        next.http
            .get(next.url(&format!("/v1/orders/{}", order.id)))
            .bearer_auth(&app.api_key)
    };
    let read: Value = read().await.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (read["status"].as_str(), read["version"].as_i64()),
        (Some("succeeded"), Some(5)),
        "in their order"
    );
}

#[tokio::test]
async fn a_flood_of_wrong_keys_holds_no_good_message_up() {
    let host = VirtualHost::create().await;
    let app = App::builder()
        .flag("--amqp-url", &host.url)
        .flag("--auth-failure-rate", "0.01")
        .flag("--auth-failure-burst", "2")
        .spawn()
        .await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&app).await;
    let order = app.create_order().await;
    let revoked = app.key_of("acme").await;
    sqlx::query("update api_keys set revoked_at = now() where id <> (select min(id::text)::uuid from api_keys)")
        .execute(&app.pool)
        .await
        .unwrap();
    for _ in 0..100 {
        rabbit
            .report(&revoked, &json!({ "order_id": order.id, "status": "failed" }))
            .await;
    }
    rabbit
        .report(&app.api_key, &json!({ "order_id": order.id, "status": "succeeded" }))
        .await;
    wait_for_status(&app, &order, "succeeded").await;
    let mut inbox = rabbit.read(DEAD).await;
    for _ in 0..100 {
        dead(&mut inbox, 401, "unauthorized").await;
    }
    assert!(
        app.metric("payquery_rate_limited_total", "authentication").await > 0.0,
        "they were counted"
    );
}
