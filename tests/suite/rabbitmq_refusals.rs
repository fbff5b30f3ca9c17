//! A broker that does not take what payquery publishes: full queues, and alarms. What was not taken is not done with.

use serde_json::json;

use crate::support::rabbit::{DEAD, Rabbit, UPDATES, with_headers, with_key};
use crate::support::{App, OwnBroker, VirtualHost, eventually};

async fn wait_for_outcomes(app: &App, outcome: &str, count: f64) {
    let outcomes = async || app.metric("payquery_rabbitmq_updates_total", outcome).await;
    eventually(outcomes, |now| *now == count).await;
}

#[tokio::test]
async fn an_event_that_a_queue_refuses_is_not_marked_as_sent_and_is_sent_when_there_is_room() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    rabbit.declare_full("full").await;
    rabbit.bind_declared("full", &["#"]).await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let order = app.create_order().await;
    let nacked = async || app.metric("payquery_rabbitmq_events_total", "nacked").await;
    eventually(nacked, |count| *count >= 2.0).await;
    let confirmed = async || app.metric("payquery_rabbitmq_events_total", "confirmed").await;
    assert_eq!(confirmed().await, 0.0);
    let place = "select moved_at > (select min(at) from order_events) from event_readers where name = 'rabbitmq'";
    let is_marked = async || sqlx::query_scalar::<_, bool>(place).fetch_one(&app.pool).await.unwrap();
    assert!(!is_marked().await);
    let backlog = async || app.metric("payquery_delivery_backlog", "rabbitmq").await;
    eventually(backlog, |waiting| *waiting == 1.0).await;
    rabbit.delete("full").await;
    eventually(confirmed, |count| *count == 1.0).await;
    assert!(is_marked().await);
    let mut inbox = rabbit.read("ledger").await;
    // (The queue that had room has got it each time.)
    let (first, second) = (inbox.next().await, inbox.next().await);
    assert_eq!(
        (first.json(), first.json()["order_id"].as_str()),
        (second.json(), Some(&*order.id))
    );
    assert_eq!(first.properties.message_id(), second.properties.message_id());
}

#[tokio::test]
async fn a_dead_letter_that_is_refused_leaves_its_message_in_the_queue_and_others_go_on() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.declare_short(DEAD, 1).await;
    rabbit.send(DEAD, with_headers(&[]), b"first").await;
    let mut app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let connected = async || app.metric("payquery_rabbitmq_connected", "updates").await;
    eventually(connected, |connected| *connected == 1.0).await;
    let order = app.create_order().await;
    let nameless = with_headers(&[]).with_message_id("bad".into());
    rabbit.send(UPDATES, nameless, b"{}").await;
    for status in ["processing", "succeeded"] {
        rabbit
            .report(&app.api_key, &json!({ "order_id": order.id, "status": status }))
            .await;
    }
    wait_for_outcomes(&app, "applied", 2.0).await;
    assert_eq!(app.metric("payquery_rabbitmq_updates_total", "dead").await, 0.0);
    assert_eq!(app.metric("payquery_rabbitmq_intake_failures_total", "").await, 0.0);
    app.stop_and_wait().await;
    eventually(async || rabbit.count(UPDATES).await, |count| *count == 1).await;
    let app = app.restart().await;
    eventually(async || rabbit.count(UPDATES).await, |count| *count == 0).await;
    let mut inbox = rabbit.read(DEAD).await;
    assert_eq!(inbox.next().await.body, b"first", "and now there is room");
    let letter = inbox.next().await;
    wait_for_outcomes(&app, "dead", 1.0).await;
    assert_eq!(letter.properties.message_id(), &Some("bad".into()));
    assert_eq!(letter.header("payquery-code"), "unauthorized");
}

#[tokio::test]
async fn while_the_broker_is_short_of_memory_reports_are_taken_and_dead_letters_wait() {
    let broker = OwnBroker::prepare().start().await;
    let mut app = App::builder().flag("--amqp-url", &broker.url).spawn().await;
    let connected = async |app: &App| app.metric("payquery_rabbitmq_connected", "updates").await;
    eventually(async || connected(&app).await, |connected| *connected == 1.0).await;
    let rabbit = Rabbit::connect(&broker.url).await;
    rabbit.declare("payquery.replies.shop").await;
    let order = app.create_order().await;
    app.stop_and_wait().await;
    for number in 0..5 {
        rabbit.send(UPDATES, with_headers(&[]), b"{}").await;
        let status = if number % 2 == 0 { "processing" } else { "pending" };
        let report = json!({ "order_id": order.id, "status": status }).to_string();
        let asking = with_key(&app.api_key).with_reply_to("payquery.replies.shop".into());
        rabbit.send(UPDATES, asking, report.as_bytes()).await;
    }
    broker.set_short_of_memory(true).await;
    let app = app.restart().await;
    // (It is counted when the acknowledgement is on its way.)
    wait_for_outcomes(&app, "applied", 5.0).await;
    eventually(async || app.read(&order).await, |read| read["version"] == 6).await;
    // The broker takes the first that comes over a connection, and then no more.
    assert!(app.metric("payquery_rabbitmq_updates_total", "dead").await < 5.0);
    broker.set_short_of_memory(false).await;
    wait_for_outcomes(&app, "dead", 5.0).await;
    assert_eq!(rabbit.count(DEAD).await, 5, "and none of them twice");
    assert_eq!(app.metric("payquery_rabbitmq_updates_total", "applied").await, 5.0);
    assert_eq!(app.metric("payquery_rabbitmq_intake_failures_total", "").await, 0.0);
}
