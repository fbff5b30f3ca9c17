//! Messages that are handed out again while the reports they brought are still on their way: what comes after them in the queue is
//! applied before, and they are not decided on a second time.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::support::rabbit::{DEAD, Rabbit};
use crate::support::{App, Order, VirtualHost, eventually};

const ORDERS: usize = 12;

async fn updates(app: &App, outcome: &str) -> f64 {
    app.metric("payquery_rabbitmq_updates_total", outcome).await
}

async fn wait_for_consumer(app: &App) {
    let connected = async || app.metric("payquery_rabbitmq_connected", "updates").await;
    eventually(connected, |connected| *connected == 1.0).await;
}

async fn create_orders(app: &App) -> Vec<Order> {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        orders.push(app.create_order().await);
    }
    orders
}

/// Two reports of each order: back and forth, so that a first one that comes once more is a change again.
async fn send_reports(rabbit: &Rabbit, app: &App, orders: &[Order]) {
    for order in orders {
        for status in ["processing", "pending"] {
            let body = json!({ "order_id": order.id, "status": status });
            rabbit.report(&app.api_key, &body).await;
        }
    }
}

async fn lock_orders(connection: &mut PgConnection) -> Transaction<'_, Postgres> {
    let mut lock = sqlx::Connection::begin(connection).await.unwrap();
    sqlx::query("select from orders for update")
        .execute(&mut *lock)
        .await
        .unwrap();
    lock
}

/// Until somebody waits for those orders: the database's processes that do.
async fn wait_for_waiting(app: &App) -> Vec<i32> {
    let waiting = async || {
        sqlx::query_scalar::<_, i32>(
            "select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
        )
        .fetch_all(&app.pool)
        .await
        .unwrap()
    };
    eventually(waiting, |waiting| !waiting.is_empty()).await
}

/// Processes of the database that stand still until this goes.
struct Frozen(Vec<Pid>);

impl Frozen {
    fn all(pids: Vec<i32>) -> Self {
        let pids: Vec<_> = pids.into_iter().filter_map(Pid::from_raw).collect();
        for pid in &pids {
            kill_process(*pid, Signal::STOP).unwrap();
        }
        Self(pids)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

async fn wait_for_nobody_at_work(app: &App) {
    let at_work = async || {
        sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity
             where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()",
        )
        .fetch_one(&app.pool)
        .await
        .unwrap()
    };
    eventually(at_work, |at_work| *at_work == 0).await;
}

async fn check(rabbit: &Rabbit, app: &App, orders: &[Order]) {
    for order in orders {
        let read = app.read(order).await;
        assert_eq!(
            (read["status"].as_str(), read["version"].as_i64()),
            (Some("pending"), Some(3)),
            "each report changed it once, in the order of the queue: {:#?}",
            app.events(order).await
        );
    }
    assert_eq!(rabbit.count(DEAD).await, 0);
}

#[tokio::test]
async fn a_report_whose_message_is_handed_out_again_is_not_decided_on_after_a_later_one() {
    let host = VirtualHost::create().await;
    let app = App::builder().flag("--amqp-url", &host.url).spawn().await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&app).await;
    let orders = create_orders(&app).await;
    let mut connection = app.database.connect().await;
    let lock = lock_orders(&mut connection).await;
    send_reports(&rabbit, &app, &orders).await;
    let slow = Frozen::all(wait_for_waiting(&app).await);
    let close = async || host.close_connections("payquery: updates");
    eventually(close, |closed| *closed == 1).await;
    let failed = async || app.metric("payquery_rabbitmq_intake_failures_total", "").await;
    eventually(failed, |failed| *failed >= 1.0).await;
    wait_for_consumer(&app).await;
    lock.commit().await.unwrap();
    let expected = f64::from(u32::try_from(2 * ORDERS).unwrap());
    eventually(async || updates(&app, "applied").await, |applied| *applied >= expected).await;
    // The first time's reports are under way still, and now come to their turn.
    drop(slow);
    let other = app.create_order().await;
    app.report(&other, "processing").await;
    wait_for_nobody_at_work(&app).await;
    check(&rabbit, &app, &orders).await;
}

#[tokio::test]
async fn a_replica_that_was_frozen_goes_on_with_nothing_that_another_one_was_handed_meanwhile() {
    let host = VirtualHost::create().await;
    let url = format!("{}?heartbeat=2", host.url);
    let (process, frozen) = App::builder().flag("--amqp-url", &url).spawn_process().await;
    let rabbit = Rabbit::connect(&host.url).await;
    wait_for_consumer(&frozen).await;
    // Not with such a heartbeat: where the machine stands still for seconds its connection would break, too, and what it has just applied
    // would be handed out once more.
    let other = App::builder()
        .flag("--amqp-url", &host.url)
        .spawn_over(std::sync::Arc::clone(&frozen.database))
        .await;
    wait_for_consumer(&other).await;
    let orders = create_orders(&other).await;
    let mut connection = other.database.connect().await;
    let lock = lock_orders(&mut connection).await;
    send_reports(&rabbit, &other, &orders).await;
    wait_for_waiting(&other).await;
    process.signal(Signal::STOP);
    lock.commit().await.unwrap();
    let expected = f64::from(u32::try_from(2 * ORDERS).unwrap());
    eventually(
        async || updates(&other, "applied").await,
        |applied| *applied >= expected,
    )
    .await;
    process.signal(Signal::CONT);
    let failed = async || frozen.metric("payquery_rabbitmq_intake_failures_total", "").await;
    eventually(failed, |failed| *failed >= 1.0).await;
    wait_for_consumer(&frozen).await;
    check(&rabbit, &other, &orders).await;
}
