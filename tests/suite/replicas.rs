//! Several replicas over one database: what one commits, the others tell.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use crate::support::{App, eventually};

/// Far below the shortest hold here, of 25 s: whoever is answered within this was told by the feed.
const TOLD: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_report_at_one_replica_wakes_a_request_held_at_another() {
    let one = App::spawn().await;
    let other = one.another().await;
    let order = one.create_order().await;
    let held = other.ask(&order).query("since_version", 1).query("wait", 25).spawn();
    other.wait_for_held(1).await;
    let start = Instant::now();
    one.report(&order, "succeeded").await;
    let answer = held.await.unwrap();
    assert_eq!((answer.status, answer.version()), (200, 2));
    assert!(start.elapsed() < TOLD, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_replica_never_answers_with_less_than_the_client_has_shown() {
    let one = App::spawn().await;
    // Its feed is cut off: it must notice by what the client shows.
    let other = one.another().await;
    let order = one.create_order().await;
    assert_eq!(other.ask(&order).send().await.version(), 1);
    for round in 0..50 {
        let status = if round % 2 == 0 { "processing" } else { "pending" };
        let version = one.report(&order, status).await["version"].as_i64().unwrap();
        let answer = other.ask(&order).if_none_match(&format!("\"{version}\"")).send().await;
        assert_eq!(answer.status, 304, "shown {version}: {}", answer.text);
        let answer = other.ask(&order).query("since_version", version).send().await;
        assert_eq!(answer.version(), version);
    }
}

#[tokio::test]
async fn a_client_that_shows_a_version_that_never_was_gets_the_document_as_it_is() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    let answer = app.ask(&order).if_none_match("\"999\"").query("wait", 25).send().await;
    assert_eq!((answer.status, answer.version()), (200, 1));
    let answer = app
        .ask(&order)
        .query("since_version", i64::MAX)
        .query("wait", 25)
        .send()
        .await;
    assert_eq!((answer.status, answer.version()), (200, 1));
}

#[tokio::test]
async fn with_its_listener_ended_a_replica_still_learns_of_changes_within_a_tick() {
    let one = App::spawn().await;
    let other = one.another().await;
    let order = one.create_order().await;
    assert_eq!(other.ask(&order).send().await.version(), 1);
    let (mut version, mut quickest) = (1, TOLD);
    for _ in 0..6 {
        one.pool
            .execute(
                "select pg_terminate_backend(pid) from pg_stat_activity
                 where datname = current_database() and query ilike 'listen%'",
            )
            .await
            .unwrap();
        version += 1;
        let held = other
            .ask(&order)
            .query("since_version", version - 1)
            .query("wait", 25)
            .spawn();
        other.wait_for_held(1).await;
        let start = Instant::now();
        one.report(&order, if version % 2 == 0 { "processing" } else { "pending" })
            .await;
        assert_eq!(held.await.unwrap().version(), version);
        assert!(start.elapsed() < TOLD, "{:?}", start.elapsed());
        quickest = quickest.min(start.elapsed());
    }
    // A tick is a fifth of a second; a new listener comes after a whole one. (The quickest, since machines may stand still.)
    assert!(quickest < Duration::from_millis(600), "{quickest:?}");
}

/// Readers of another replica's events need not wait for its tick. Each ring is a commit, so many creations are few of them.
#[tokio::test]
async fn creations_and_rejected_reports_ring_the_doorbell_too_and_never_often() {
    let app = App::spawn().await;
    let rings = async || app.database.count_statements(&["pg_notify"]).await;
    let order = app.create_order().await;
    let first = eventually(rings, |rings| *rings > 0).await;
    let answer = app
        .try_report(&order, serde_json::json!({ "status": "refunded" }))
        .await;
    assert_eq!(answer.status, 409);
    let before = eventually(rings, |rings| *rings > first).await;
    let start = Instant::now();
    for _ in 0..300 {
        app.create_order().await;
    }
    let (rung, took) = (rings().await - before, start.elapsed());
    let most = took.as_millis() / 25 + 2;
    assert!(u128::try_from(rung).unwrap() <= most, "{rung} times in {took:?}");
}

#[tokio::test]
async fn a_transaction_left_open_holds_no_change_up() {
    let one = App::spawn().await;
    let other = one.another().await;
    let mut open = one.pool.begin().await.unwrap();
    open.execute("create table left_open (a int)").await.unwrap();
    let order = one.create_order().await;
    let mut quickest = TOLD;
    for version in 2..6 {
        let held = other
            .ask(&order)
            .query("since_version", version - 1)
            .query("wait", 25)
            .spawn();
        other.wait_for_held(1).await;
        let start = Instant::now();
        one.report(&order, if version % 2 == 0 { "processing" } else { "pending" })
            .await;
        assert_eq!(held.await.unwrap().version(), version);
        assert!(start.elapsed() < TOLD, "{:?}", start.elapsed());
        quickest = quickest.min(start.elapsed());
    }
    // Nor is anything put off. (The quickest, since machines may stand still.)
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");
    open.rollback().await.unwrap();
}

#[tokio::test]
async fn a_change_whose_transaction_commits_long_after_later_ones_is_not_skipped() {
    let one = App::spawn().await;
    let other = one.another().await;
    let (early, late) = (one.create_order().await, one.create_order().await);
    for order in [&early, &late] {
        assert_eq!(other.ask(order).send().await.version(), 1);
    }
    // An event with a low number and an early transaction, committed last. Written by hand, as a slow replica would.
    let mut slow = one.pool.begin().await.unwrap();
    let id = uuid::Uuid::parse_str(&early.id).unwrap();
    sqlx::query("update orders set status = 'processing', version = 2 where id = $1")
        .bind(id)
        .execute(&mut *slow)
        .await
        .unwrap();
    sqlx::query(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                   accepted, at, data)
         select gen_random_uuid(), 'order.processing', id, merchant_id, out_trade_no, 2, 'pending', 'processing',
                'merchant', true, now(), '{}' from orders where id = $1",
    )
    .bind(id)
    .execute(&mut *slow)
    .await
    .unwrap();
    one.report(&late, "succeeded").await;
    eventually(
        async || other.ask(&late).send().await.version(),
        |version| *version == 2,
    )
    .await;
    assert_eq!(other.ask(&early).send().await.version(), 1);
    slow.commit().await.unwrap();
    eventually(
        async || other.ask(&early).send().await.version(),
        |version| *version == 2,
    )
    .await;
}

/// While replicas are exchanged for a newer version's, one of the old ones may have to start again.
#[tokio::test]
async fn a_replica_starts_over_a_schema_that_a_newer_version_has_moved_on() {
    let one = App::spawn().await;
    let order = one.create_order().await;
    one.pool
        .execute(
            "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
             values (29990101000000, 'what only a newer version knows', true, '\\x00', 1)",
        )
        .await
        .unwrap();
    let other = one.another().await;
    assert_eq!(other.ask(&order).send().await.version(), 1);
}

#[tokio::test]
async fn rows_of_a_restored_database_whose_transactions_lie_in_the_future_are_no_news() {
    let app = App::spawn().await;
    let order = app.create_order().await;
    assert_eq!(app.ask(&order).send().await.version(), 1);
    // As pg_dump brings them: more than one reading takes, with ids of a server that had counted further.
    app.pool
        .execute(
            "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted,
                                       at, data, xid)
             select gen_random_uuid(), kind, order_id, merchant_id, out_trade_no, version, to_status, source, accepted, at,
                    data, '4000000000'::xid8
             from order_events, generate_series(1, 25000)",
        )
        .await
        .unwrap();
    let other = app.another().await;
    assert_eq!(other.ask(&order).send().await.version(), 1);
    for version in 2..6 {
        let held = other
            .ask(&order)
            .query("since_version", version - 1)
            .query("wait", 25)
            .spawn();
        other.wait_for_held(1).await;
        app.report(&order, if version % 2 == 0 { "processing" } else { "pending" })
            .await;
        assert_eq!(held.await.unwrap().version(), version);
    }
    assert_eq!(
        other.metric("payquery_feed_resyncs_total", "").await,
        1.0,
        "the one at its start"
    );
}
