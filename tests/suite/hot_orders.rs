//! Orders in memory: read once, bounded, and never older than what was shown before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgTransaction;

use crate::support::{App, Order, eventually};

/// Where the machine stood still for two seconds the feed is behind, and the service reads again what it shows until the feed
/// has looked: a read or two. So many there may have been in that time.
fn reads_of_a_late_feed(took: Duration) -> i64 {
    3 * i64::try_from(took.as_secs() / 2).unwrap()
}

#[tokio::test]
async fn a_thousand_first_polls_of_one_cold_order_are_one_read_and_later_polls_are_none() {
    let app = App::builder().flag("--workers", "2").spawn().await;
    let order = app.create_order().await;
    let app = app.restart().await;
    let before = app.database.count_order_reads().await;
    let start = Instant::now();
    let is_read_once = async || {
        let reads = app.database.count_order_reads().await - before;
        let most = 1 + reads_of_a_late_feed(start.elapsed());
        assert!((1..=most).contains(&reads), "{reads} reads in {:?}", start.elapsed());
    };
    let polls: Vec<_> = (0..1000).map(|_| app.ask(&order).spawn()).collect();
    for poll in polls {
        let answer = poll.await.unwrap();
        assert_eq!((answer.status, answer.version()), (200, 1));
    }
    is_read_once().await;
    for _ in 0..30 {
        let polls: Vec<_> = (0..100)
            .map(|_| app.ask(&order).if_none_match("\"1\"").spawn())
            .collect();
        for poll in polls {
            assert_eq!(poll.await.unwrap().status, 304);
        }
    }
    is_read_once().await;
    assert_eq!(app.metric("payquery_hub_misses_total", "").await, 1.0);
}

/// Everything that reaches Postgres counts here, but for the service's own chores and what sees to connections.
#[tokio::test]
async fn polls_and_holds_of_a_hot_order_send_the_database_nothing_at_all() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    app.ask_with(&order, &app.api_key).send().await;
    let statements = async || {
        let mut statements = app.database.statements().await;
        let chores = [
            "skip locked",
            "revoked_at",
            "last_used_at",
            "delete from idempotency_keys",
            "pg_current_snapshot()",
            "keep_order_event_partitions",
            "webhook_",
        ];
        statements.retain(|(query, _)| query.contains(" from ") || query.contains("update "));
        statements.retain(|(query, _)| !chores.iter().any(|words| query.contains(words)));
        statements.sort_unstable();
        statements
    };
    let calls = |statements: &[(String, i64)]| statements.iter().map(|(_, calls)| calls).sum::<i64>();
    let (before, start) = (statements().await, Instant::now());
    assert!(
        before.iter().any(|(query, _)| query.contains("from orders")),
        "{before:?}"
    );
    for _ in 0..200 {
        assert_eq!(app.ask(&order).send().await.status, 200);
        let as_merchant = app.ask_with(&order, &app.api_key).if_none_match("\"1\"");
        assert_eq!(as_merchant.send().await.status, 304);
    }
    let holds: Vec<_> = (0..20)
        .map(|_| app.ask(&order).if_none_match("\"1\"").query("wait", 1).spawn())
        .collect();
    for hold in holds {
        assert_eq!(hold.await.unwrap().status, 304);
    }
    let after = statements().await;
    let most = calls(&before) + reads_of_a_late_feed(start.elapsed());
    assert!(
        calls(&after) <= most,
        "{before:?}\nafter {:?} {after:?}",
        start.elapsed()
    );
}

/// A held request has no connection: twenty times as many are held as there are connections, and reports go through.
#[tokio::test]
async fn held_requests_take_no_database_connection() {
    let app = App::builder().flag("--db-connections", "2").spawn().await;
    let orders = app.create_orders(40, json!({})).await;
    let held: Vec<_> = orders
        .iter()
        .map(|order| app.ask(order).if_none_match("\"1\"").query("wait", 50).spawn())
        .collect();
    app.wait_for_held(40).await;
    for order in &orders {
        app.report(order, "succeeded").await;
    }
    for held in held {
        assert_eq!(held.await.unwrap().version(), 2);
    }
}

async fn assert_version(app: &App, orders: &[Order], version: i64) {
    for order in orders {
        let answer = app.ask(order).send().await;
        assert_eq!((answer.status, answer.version()), (200, version));
        assert_eq!(answer.json()["order_id"], order.id);
    }
}

#[tokio::test]
async fn the_number_of_orders_in_memory_is_bounded_and_those_that_went_come_back_right() {
    let app = App::builder().flag("--max-hot", "64").spawn().await;
    let orders = app.create_orders(400, json!({})).await;
    assert_version(&app, &orders, 1).await;
    let hot = app.metric("payquery_hub_orders", "").await;
    assert!((1.0..=64.0).contains(&hot), "{hot} orders in memory");
    for order in &orders {
        app.report(order, "processing").await;
    }
    assert_version(&app, &orders, 2).await;
    assert!(
        app.metric("payquery_hub_misses_total", "").await > 400.0,
        "none came back"
    );
    assert!(app.metric("payquery_hub_orders", "").await <= 64.0);
}

#[tokio::test]
async fn an_order_that_somebody_waits_on_is_not_put_out() {
    let app = App::builder().flag("--max-hot", "1").spawn().await;
    let order = app.create_order().await;
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    let others = app.create_orders(300, json!({})).await;
    assert_version(&app, &others, 1).await;
    app.report(&order, "succeeded").await;
    assert_eq!(held.await.unwrap().version(), 2);
}

/// Orders are put out and read again all the time here, also in the moment of their change.
#[tokio::test]
async fn an_order_that_is_put_out_and_read_again_never_shows_an_older_version() {
    let app = App::builder()
        .flag("--max-hot", "1")
        .flag("--workers", "2")
        .spawn()
        .await;
    let order = app.create_order().await;
    let others = app.create_orders(800, json!({})).await;
    let done = Arc::new(AtomicBool::new(false));
    let poll = || {
        (
            app.http.clone(),
            app.url(&order.status_path()),
            order.secret.clone(),
            Arc::clone(&done),
        )
    };
    let pollers: Vec<_> = (0..4).map(|_| tokio::spawn(watch_versions(poll()))).collect();
    for (change, others) in others.chunks(20).enumerate() {
        let crowd: Vec<_> = others.iter().map(|other| app.ask(other).spawn()).collect();
        app.report(&order, if change % 2 == 0 { "processing" } else { "pending" })
            .await;
        for poll in crowd {
            assert_eq!(poll.await.unwrap().version(), 1);
        }
    }
    done.store(true, Ordering::Relaxed);
    for poller in pollers {
        assert_eq!(poller.await.unwrap(), 41);
    }
    // The others were read once each. Each of them had one chance in 64 to put the order out: in vain every time, less likely
    // than one in 10^5.
    let misses = app.metric("payquery_hub_misses_total", "").await;
    assert!(misses > 801.0, "the order never went: {misses}");
}

/// Polls until `done`, and once more; gives back the last version. Panics when one is older than the one before.
async fn watch_versions((http, url, secret, done): (reqwest::Client, String, String, Arc<AtomicBool>)) -> i64 {
    let mut last = 0;
    loop {
        let finished = done.load(Ordering::Relaxed);
        let answer = crate::support::Answer::to(http.get(&url).bearer_auth(&secret)).await;
        assert!(answer.version() >= last, "after {last} came {}", answer.version());
        last = answer.version();
        if finished {
            return last;
        }
    }
}

/// A report whose commit went through while its answer was lost is sent again; the repeat brings the pollers up to date.
#[tokio::test]
async fn a_report_that_was_acknowledged_is_what_pollers_are_shown() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    // (It is held before: a feed that is late would make the service look for itself whether it may hold.)
    let held = app.ask(&order).if_none_match("\"1\"").query("wait", 50).spawn();
    app.wait_for_held(1).await;
    // Committed, but this process never learnt of it.
    sqlx::query("update orders set status = 'succeeded', version = 2, paid_at = now() where id = $1::uuid")
        .bind(&order.id)
        .execute(&app.pool)
        .await
        .unwrap();
    assert_eq!(app.report(&order, "succeeded").await["version"], 2);
    assert_eq!(held.await.unwrap().version(), 2);
    assert_version(&app, &[order], 2).await;
}

/// Two gates, one behind the other in time: locks of these numbers.
const GATES: [i64; 2] = [81, 82];

/// Reads of whole orders stop in the middle from here on: the row is found at once, and given out when that gate is open which
/// was the one to take when the read began.
async fn stop_reads_at_gates(app: &App) {
    sqlx::raw_sql(
        "create table gate as select 81 as number;
         create function given_out_late(text) returns text stable language plpgsql
             as $$ begin perform pg_advisory_xact_lock_shared(number) from gate; return $1; end $$;
         alter table orders rename to orders_as_stored;
         create view orders as
             select id, merchant_id, out_trade_no, amount, currency, given_out_late(description) as description, metadata,
                    client_secret, fingerprint, status, reason, late, version, refunded_amount, transaction_id,
                    created_at, updated_at, expires_at, paid_at
             from orders_as_stored",
    )
    .execute(&app.pool)
    .await
    .unwrap();
}

/// Shuts a gate until the transaction ends.
async fn shut(app: &App, gate: i64) -> PgTransaction<'static> {
    let mut shut = app.pool.begin().await.unwrap();
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(gate)
        .execute(&mut *shut)
        .await
        .unwrap();
    shut
}

/// The change is committed after the row was found, and told before the row is given out: what was read is old by then.
#[tokio::test]
async fn a_change_that_lands_while_an_order_is_being_read_is_neither_lost_nor_undone() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    stop_reads_at_gates(&app).await;
    let app = app.restart().await;
    let (before_report, before_polls) = (shut(&app, GATES[0]).await, shut(&app, GATES[1]).await);
    let stopped = async || {
        let stopped = "select count(*) from pg_stat_activity
                       where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'";
        sqlx::query_scalar::<_, i64>(stopped)
            .fetch_one(&app.pool)
            .await
            .unwrap()
    };
    let report = app.spawn_report(&order, "succeeded");
    eventually(stopped, |stopped| *stopped == 1).await;
    // The report will have the order's row before those have it who ask for it now, though they find it as it is.
    sqlx::query("update gate set number = $1")
        .bind(GATES[1])
        .execute(&app.pool)
        .await
        .unwrap();
    let start = Instant::now();
    let held = app.ask(&order).query("since_version", 1).query("wait", 50).spawn();
    let poll = app.ask(&order).spawn();
    eventually(stopped, |stopped| *stopped == 2).await;
    before_report.rollback().await.unwrap();
    assert_eq!(report.await.unwrap().status, 200);
    before_polls.rollback().await.unwrap();
    assert_eq!(held.await.unwrap().version(), 2);
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(poll.await.unwrap().version(), 2);
    assert_version(&app, &[order], 2).await;
}
