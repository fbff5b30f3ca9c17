//! Order events out to RabbitMQ, against a real broker.

use std::sync::Arc;

use lapin::{Connection, ConnectionProperties};
use serde_json::json;

use crate::support::rabbit::{Inbox, Rabbit, Received};
use crate::support::{App, Process, VirtualHost, eventually};

/// A broker's virtual host, and an application that sends there.
async fn connected() -> (VirtualHost, Rabbit, App) {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["order.#"]).await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    (host, rabbit, app)
}

/// The types of the next so many messages.
async fn next_types(inbox: &mut Inbox, count: usize) -> Vec<String> {
    let mut types = Vec::new();
    for _ in 0..count {
        types.push(inbox.next().await.json()["type"].as_str().unwrap().to_owned());
    }
    types
}

#[tokio::test]
async fn each_event_arrives_as_the_orders_log_shows_it_with_the_properties_of_a_message() {
    let (_host, rabbit, app) = connected().await;
    let order = app.create_order().await;
    app.report(&order, "succeeded").await;
    app.try_report(&order, json!({ "status": "failed" })).await;
    let mut inbox = rabbit.read("ledger").await;
    let received: Vec<Received> = [inbox.next().await, inbox.next().await, inbox.next().await].into();
    let log = app.get(&format!("/v1/orders/{}/events", order.id)).await.json();
    let keys = ["order.pending", "order.succeeded", "order.rejected"];
    for ((message, event), key) in received.iter().zip(log["data"].as_array().unwrap()).zip(keys) {
        assert_eq!(message.json(), *event, "the body is the event");
        assert_eq!(message.key, key);
        let properties = &message.properties;
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        assert_eq!(properties.message_id().as_ref().unwrap().as_str(), text("id"));
        assert_eq!(properties.kind().as_ref().unwrap().as_str(), text("type"));
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        assert_eq!(properties.app_id().as_ref().unwrap().as_str(), "payquery");
        assert_eq!(properties.delivery_mode(), &Some(2), "persistent");
        let at = chrono::DateTime::parse_from_rfc3339(&text("at")).unwrap().timestamp();
        assert_eq!(properties.timestamp(), &Some(u64::try_from(at).unwrap()));
        assert_eq!(message.header("order_id"), order.id);
        assert_eq!(message.header("merchant"), "acme");
        assert_eq!(message.header("version"), event["version"].to_string());
    }
}

#[tokio::test]
async fn a_late_payment_and_an_expiry_have_the_key_of_the_status_that_the_order_now_has() {
    let (_host, rabbit, app) = connected().await;
    rabbit.bind("money", &["order.succeeded"]).await;
    let order = app.order_at("closed").await;
    app.report(&order, "succeeded").await;
    let mut inbox = rabbit.read("money").await;
    let late = inbox.next().await;
    assert_eq!(
        (late.json()["type"].as_str(), &*late.key),
        (Some("order.paid_late"), "order.succeeded")
    );
    assert_eq!(late.json()["order_id"], order.id);
    let body = json!({ "out_trade_no": "expires", "amount": 5, "currency": "CNY", "expires_in": 1 });
    assert_eq!(app.post("/v1/orders", &body).await.status, 201);
    let mut all = rabbit.read("ledger").await;
    assert_eq!(
        next_types(&mut all, 5).await,
        [
            "order.created",
            "order.closed",
            "order.paid_late",
            "order.created",
            "order.closed"
        ]
    );
}

#[tokio::test]
async fn what_changes_while_the_status_stays_has_a_key_of_its_own_and_whoever_ships_hears_of_money_once() {
    let (_host, rabbit, app) = connected().await;
    rabbit.bind("shipping", &["order.succeeded"]).await;
    rabbit.bind("refunds", &["order.updated"]).await;
    let order = app.create_order().await;
    for report in [
        json!({ "status": "pending", "transaction_id": "t-0" }),
        json!({ "status": "succeeded", "transaction_id": "t-1" }),
        json!({ "status": "succeeded", "refunded_amount": 300 }),
        json!({ "status": "succeeded", "refunded_amount": 500 }),
        json!({ "status": "refunded" }),
    ] {
        assert_eq!(app.try_report(&order, report).await.status, 200);
    }
    let mut all = rabbit.read("ledger").await;
    let keys = ["pending", "updated", "succeeded", "updated", "updated", "refunded"];
    for key in keys {
        assert_eq!(all.next().await.key, format!("order.{key}"));
    }
    // What is confirmed is in every queue that it goes to.
    let confirmed = async || app.metric("payquery_rabbitmq_events_total", "confirmed").await;
    eventually(confirmed, |count| *count == 6.0).await;
    assert_eq!((rabbit.count("shipping").await, rabbit.count("refunds").await), (1, 3));
    let mut refunds = rabbit.read("refunds").await;
    assert_eq!(next_types(&mut refunds, 3).await, ["order.updated"; 3]);
}

/// Before there was `order.updated`, a change that left the status as it was had the status's own type. Such rows stay as they are.
#[tokio::test]
async fn an_event_that_was_logged_as_a_status_which_the_order_had_goes_out_by_its_word() {
    let (_host, rabbit, app) = connected().await;
    app.order_at("succeeded").await;
    let mut inbox = rabbit.read("ledger").await;
    next_types(&mut inbox, 2).await;
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source, accepted, at, data)
         select gen_random_uuid(), 'order.succeeded', order_id, merchant_id, out_trade_no, 7, 'succeeded', 'succeeded', source,
                true, now(), data from order_events where kind = 'order.succeeded'",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let old = inbox.next().await;
    assert_eq!((&*old.key, old.header("version")), ("order.succeeded", "7".to_owned()));
    assert_eq!(old.json()["type"], "order.succeeded");
}

#[tokio::test]
async fn what_nobody_is_bound_for_is_counted_and_holds_nothing_up() {
    let host = VirtualHost::create().await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let order = app.create_order().await;
    let events = async |outcome: &str| app.metric("payquery_rabbitmq_events_total", outcome).await;
    eventually(async || events("returned").await, |count| *count == 1.0).await;
    assert_eq!(events("confirmed").await, 1.0);
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("late", &["#"]).await;
    app.report(&order, "succeeded").await;
    let mut inbox = rabbit.read("late").await;
    assert_eq!(
        inbox.next().await.key,
        "order.succeeded",
        "nobody hears of what was before he was bound"
    );
    eventually(async || events("confirmed").await, |count| *count == 2.0).await;
    assert_eq!((events("returned").await, events("nacked").await), (1.0, 0.0));
}

#[tokio::test]
async fn events_that_another_process_commits_go_out_too() {
    let (_host, rabbit, app) = connected().await;
    let process = Process::serve(&app.database.url, &["--workers=1", "--db-connections=4"]);
    let url = format!("http://{}/v1/orders", process.address());
    let body = json!({ "out_trade_no": "elsewhere", "amount": 5, "currency": "CNY" });
    let request = app.http.post(url).bearer_auth(&app.api_key).json(&body);
    assert_eq!(request.send().await.unwrap().status(), 201);
    let mut inbox = rabbit.read("ledger").await;
    assert_eq!(inbox.next().await.json()["out_trade_no"], "elsewhere");
}

#[tokio::test]
async fn nothing_connects_to_a_broker_that_is_not_configured() {
    let host = VirtualHost::create().await;
    let app = App::spawn().await;
    app.create_order().await;
    // The broker's lists come late: what is older than one that is listed would be, too.
    let properties = ConnectionProperties::default().with_connection_name("somebody else".into());
    let _somebody_else = Connection::connect(&host.url, properties).await.unwrap();
    let names = eventually(async || host.connection_names(), |names| !names.is_empty()).await;
    assert_eq!(names, ["somebody else"]);
    let readers: i64 = sqlx::query_scalar("select count(*) from event_readers")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(readers, 0, "no place in the log is kept for nobody");
}

#[tokio::test]
async fn connections_have_names_and_updates_can_be_switched_off_apart() {
    let (host, _rabbit, app) = connected().await;
    let all = ["payquery: dead letters", "payquery: events", "payquery: updates"];
    eventually(async || host.connection_names(), |names| *names == all).await;
    // (They are there before all is that is done over them.)
    let connected = async |app: &App| app.metric("payquery_rabbitmq_connected", "").await;
    eventually(async || connected(&app).await, |count| *count == 2.0).await;
    drop(app);
    let app = App::builder()
        .flag("--amqp-url", &host.url)
        .flag("--amqp-updates", "false")
        .spawn()
        .await;
    eventually(async || host.connection_names(), |names| *names == all[1..2]).await;
    eventually(async || connected(&app).await, |count| *count == 1.0).await;
}

#[tokio::test]
async fn a_broker_is_reached_by_tls_if_its_authority_is_trusted() {
    let host = VirtualHost::create().await;
    let (url, authority) = host.tls_url();
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let database = Arc::new(crate::support::TestDatabase::create().await);
    let stranger = App::builder()
        .flag("--amqp-url", &url)
        .spawn_over(Arc::clone(&database))
        .await;
    let failures = async || stranger.metric("payquery_delivery_failures_total", "rabbitmq").await;
    eventually(failures, |count| *count >= 1.0).await;
    stranger.create_order().await;
    let app = App::builder()
        .flag("--amqp-url", &url)
        .flag("--amqp-ca-file", authority.to_str().unwrap())
        .spawn_over(database)
        .await;
    app.create_order().await;
    let mut inbox = rabbit.read("ledger").await;
    assert_eq!(next_types(&mut inbox, 2).await, ["order.created", "order.created"]);
}

#[tokio::test]
async fn two_replicas_send_each_event_once_and_in_order() {
    let (_host, rabbit, app) = connected().await;
    let other = app.another().await;
    for round in 0..20 {
        let order = if round % 2 == 0 { &app } else { &other }.create_order().await;
        app.report(&order, "processing").await;
        other.report(&order, "succeeded").await;
    }
    let mut inbox = rabbit.read("ledger").await;
    let mut versions = std::collections::HashMap::<String, Vec<i64>>::new();
    for _ in 0..60 {
        let event = inbox.next().await.json();
        let order = event["order_id"].as_str().unwrap().to_owned();
        versions
            .entry(order)
            .or_default()
            .push(event["version"].as_i64().unwrap());
    }
    assert_eq!(versions.len(), 20);
    assert!(versions.values().all(|versions| *versions == [1, 2, 3]), "{versions:?}");
    let sent = async || {
        app.metric("payquery_rabbitmq_events_total", "confirmed").await
            + other.metric("payquery_rabbitmq_events_total", "confirmed").await
    };
    let sent = eventually(sent, |count| *count >= 60.0).await; // they are counted when they are marked
    assert_eq!((sent, rabbit.count("ledger").await), (60.0, 0), "none twice");
}
