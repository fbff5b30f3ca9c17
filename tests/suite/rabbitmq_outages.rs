//! RabbitMQ and replicas that are killed, or not there: each event arrives at least once, and in its order's order.

use std::collections::{HashMap, HashSet};

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Executor as _, PgConnection};

use crate::support::rabbit::{Inbox, Rabbit};
use crate::support::{App, OwnBroker, Process, TestDatabase, VirtualHost, eventually, install_tls};

/// Marking what was sent waits for this lock, once [`block_marking`] was called: a moment that lasts for as long as a test likes.
const MARK: i64 = 42;

/// Lets no reader of the log move its place before that connection lets go.
async fn block_marking(database: &TestDatabase) -> PgConnection {
    let mut connection = database.connect().await;
    connection
        .execute(
            "create function wait_before_marking() returns trigger language plpgsql as
                 'begin perform pg_advisory_xact_lock(42); return new; end';
             create trigger wait_before_marking before update on event_readers
                 for each row execute function wait_before_marking()",
        )
        .await
        .unwrap();
    sqlx::query("select pg_advisory_lock($1)")
        .bind(MARK)
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

async fn let_marking_go(mut connection: PgConnection) {
    sqlx::query("select pg_advisory_unlock($1)")
        .bind(MARK)
        .execute(&mut connection)
        .await
        .unwrap();
}

/// What arrived, by order: the versions as they came, without those that came before.
#[derive(Debug, Default)]
struct Arrived {
    ids: HashSet<String>,
    versions: HashMap<String, Vec<i64>>,
}

impl Arrived {
    fn add(&mut self, event: &Value) {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        if self.ids.insert(text("id")) {
            let versions = self.versions.entry(text("order_id")).or_default();
            versions.push(event["version"].as_i64().unwrap());
        }
    }

    async fn read_until(&mut self, inbox: &mut Inbox, count: usize) {
        while self.ids.len() < count {
            self.add(&inbox.next().await.json());
        }
    }
}

#[tokio::test]
async fn a_broker_that_is_killed_under_a_thousand_events_gets_each_of_them_in_its_orders_order() {
    let mut broker = OwnBroker::prepare().start().await;
    let rabbit = Rabbit::connect(&broker.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let app = App::builder().flag("--amqp-url", &broker.url).spawn().await;
    let reporting = async {
        let mut orders = Vec::new();
        for _ in 0..25 {
            let (mut ten, app) = (Vec::new(), &app);
            for _ in 0..10 {
                ten.push(app.create_order().await);
            }
            let all = ten.iter().map(|order| async move {
                for status in ["processing", "succeeded", "refunded"] {
                    app.report(order, status).await;
                }
            });
            futures_util::future::join_all(all).await;
            orders.extend(ten);
        }
        orders
    };
    let killing = async {
        let confirmed = async || app.metric("payquery_rabbitmq_events_total", "confirmed").await;
        eventually(confirmed, |count| *count > 100.0).await;
        broker.kill();
        broker.start().await
    };
    let (orders, broker) = tokio::join!(reporting, killing);
    assert_eq!(orders.len(), 250);
    drop(rabbit);
    let rabbit = Rabbit::connect(&broker.url).await;
    let mut inbox = rabbit.read("ledger").await;
    let mut arrived = Arrived::default();
    arrived.read_until(&mut inbox, 1000).await;
    assert_eq!(arrived.versions.len(), 250);
    assert!(
        arrived.versions.values().all(|versions| *versions == [1, 2, 3, 4]),
        "{arrived:?}"
    );
    assert!(app.metric("payquery_delivery_failures_total", "rabbitmq").await >= 1.0);
}

#[tokio::test]
async fn a_broker_that_is_not_there_yet_is_waited_for_while_all_else_goes_on() {
    let broker = OwnBroker::prepare();
    let app = App::builder().flag("--amqp-url", &broker.url).spawn().await;
    let mut orders = Vec::new();
    for _ in 0..3 {
        let order = app.create_order().await;
        app.report(&order, "succeeded").await;
        orders.push(order);
    }
    let backlog = async || app.metric("payquery_delivery_backlog", "rabbitmq").await;
    eventually(backlog, |waiting| *waiting == 6.0).await;
    // The oldest has waited for an hour.
    sqlx::query("update order_events set at = at - interval '1 hour' where order_id = $1::uuid and version = 1")
        .bind(&orders[0].id)
        .execute(&app.pool)
        .await
        .unwrap();
    let lag = async || app.metric("payquery_delivery_lag_seconds", "rabbitmq").await;
    let hour = eventually(lag, |lag| *lag > 3600.0).await;
    assert!(hour < 3660.0, "{hour}");
    eventually(lag, |lag| *lag > hour).await;
    let broker = broker.start().await;
    let rabbit = Rabbit::connect(&broker.url).await;
    // (It may be ten seconds before it is noticed that the broker is there.)
    let connected = async || app.metric("payquery_rabbitmq_connected", "events").await;
    eventually(connected, |connected| *connected == 1.0).await;
    let returned = async || {
        app.metric("payquery_rabbitmq_events_total", "outcome=\"returned\"")
            .await
    };
    eventually(returned, |count| *count == 6.0).await;
    eventually(backlog, |waiting| *waiting == 0.0).await;
    eventually(lag, |lag| *lag == 0.0).await;
    rabbit.bind("ledger", &["#"]).await;
    app.report(&orders[0], "refunded").await;
    assert_eq!(rabbit.read("ledger").await.next().await.key, "order.refunded");
}

#[tokio::test]
async fn a_broker_that_takes_nothing_is_waited_for_without_a_transaction() {
    let mut broker = OwnBroker::prepare();
    broker.set_disk_full(true);
    let mut broker = broker.start().await;
    let app = App::builder().flag("--amqp-url", &broker.url).spawn().await;
    let order = app.create_order().await;
    let failures = async || app.metric("payquery_delivery_failures_total", "rabbitmq").await;
    // The first is the page that is not confirmed, after ten seconds; from then on the log is not looked at.
    eventually(failures, |count| *count >= 1.0).await;
    let counted = eventually(failures, |count| *count >= 3.0).await;
    // (Whoever reads the log holds its place, and nobody else's transaction does.)
    let place = "select exists (select from event_readers where name = 'rabbitmq' for update skip locked)";
    let is_free = async || sqlx::query_scalar::<_, bool>(place).fetch_one(&app.pool).await.unwrap();
    let looks = async || (is_free().await, failures().await);
    let (is_free, _) = eventually(looks, |(is_free, count)| !is_free || *count > counted).await;
    assert!(is_free, "nobody waits for the broker with a transaction");
    app.report(&order, "succeeded").await;
    broker.kill();
    broker.set_disk_full(false);
    let broker = broker.start().await;
    let confirmed = async || app.metric("payquery_rabbitmq_events_total", "confirmed").await;
    eventually(confirmed, |count| *count == 2.0).await;
    drop(broker);
}

#[tokio::test]
async fn an_outage_is_one_line_in_the_log_and_the_password_is_in_none() {
    let database = TestDatabase::create().await;
    let broker = OwnBroker::prepare();
    install_tls();
    let url = broker.url.replace("guest:guest@", "guest:s3cret@");
    let process = Process::serve(&database.url, &["--workers=1", "--amqp-url", &url, "--log=info"]);
    let metrics = format!("http://{}/metrics", process.address());
    let failures = async |series: &str| {
        let text = reqwest::get(&metrics).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with(series)).unwrap_or("0 0");
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    let both = async || {
        let events = failures("payquery_delivery_failures_total{channel=\"rabbitmq\"}").await;
        events.min(failures("payquery_rabbitmq_intake_failures_total").await)
    };
    eventually(both, |count| *count >= 4.0).await;
    // (It is read line by line as it comes, which may be after the failure was counted.)
    let words = ["events to rabbitmq: not working", "updates from rabbitmq: not working"];
    let log = eventually(
        async || process.log(),
        |log| words.iter().all(|word| log.contains(word)),
    )
    .await;
    for word in words {
        assert_eq!(log.matches(word).count(), 1, "{log}");
    }
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn an_address_that_is_none_of_a_broker_stops_the_start_and_is_not_repeated() {
    let database = TestDatabase::create().await;
    let process = Process::serve(&database.url, &["--amqp-url", "http://guest:s3cret@localhost"]);
    let (code, _, log) = process.finish();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("PAYQUERY_AMQP_URL") && log.contains("amqp://"), "{log}");
    assert!(!log.contains("s3cret"), "{log}");
}

#[tokio::test]
async fn what_a_replica_sent_and_did_not_mark_before_it_was_killed_is_sent_again() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let (process, app) = App::builder().flag("--amqp-url", &host.url).spawn_process().await;
    let mut inbox = rabbit.read("ledger").await;
    let order = app.create_order().await;
    assert_eq!(inbox.next().await.json()["version"], 1);
    let marked =
        "select count(*) from event_readers where name = 'rabbitmq' and moved_at > (select min(at) from order_events)";
    let marked = async || sqlx::query_scalar::<_, i64>(marked).fetch_one(&app.pool).await.unwrap();
    eventually(marked, |count| *count == 1).await;
    let lock = block_marking(&app.database).await;
    app.report(&order, "succeeded").await;
    let sent = inbox.next().await;
    assert_eq!(sent.json()["version"], 2);
    process.signal(Signal::KILL);
    drop(process);
    let_marking_go(lock).await;
    let _next = App::builder()
        .flag("--amqp-url", &host.url)
        .spawn_over(std::sync::Arc::clone(&app.database))
        .await;
    let again = inbox.next().await;
    assert_eq!(again.json(), sent.json());
    assert_eq!(again.properties.message_id(), sent.properties.message_id());
}

#[tokio::test]
async fn while_one_replica_sends_the_other_does_not_and_when_it_dies_the_other_does() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let (process, app) = App::builder().flag("--amqp-url", &host.url).spawn_process().await;
    let lock = block_marking(&app.database).await;
    let order = app.create_order().await;
    let mut inbox = rabbit.read("ledger").await;
    let first = inbox.next().await.json();
    // The process has sent and is about to mark: the place is its own.
    let other = App::builder()
        .flag("--amqp-url", &host.url)
        .spawn_over(std::sync::Arc::clone(&app.database))
        .await;
    let tries = async || {
        app.database
            .count_statements(&["from event_readers", "skip locked"])
            .await
    };
    let before = tries().await;
    app.report(&order, "succeeded").await;
    eventually(tries, |count| *count >= before + 2).await;
    assert_eq!(
        other.metric("payquery_rabbitmq_events_total", "").await,
        0.0,
        "the place is taken"
    );
    process.signal(Signal::KILL);
    drop(process);
    let_marking_go(lock).await;
    let mut next = inbox.next().await.json();
    assert_eq!(next, first, "once more: nobody knows whether it was sent");
    // (Again and again, where the mark was waited for longer than a statement may take.)
    while next == first {
        next = inbox.next().await.json();
    }
    assert_eq!(next["version"], 2);
    let confirmed = async || other.metric("payquery_rabbitmq_events_total", "confirmed").await;
    eventually(confirmed, |count| *count == 2.0).await;
}

#[tokio::test]
async fn a_stop_lets_what_was_committed_out_or_leaves_it_for_the_next() {
    let host = VirtualHost::create().await;
    let rabbit = Rabbit::connect(&host.url).await;
    rabbit.bind("ledger", &["#"]).await;
    let mut app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    for _ in 0..30 {
        app.create_order().await;
    }
    app.stop_and_wait().await;
    assert!(
        host.connection_names().is_empty()
            || eventually(async || host.connection_names(), Vec::is_empty)
                .await
                .is_empty()
    );
    let app = app.restart().await;
    app.create_order().await;
    let mut arrived = Arrived::default();
    arrived.read_until(&mut rabbit.read("ledger").await, 31).await;
    assert_eq!(rabbit.count("ledger").await, 0, "and none of them twice");
}
