//! Postgres takes no writes: it was turned read-only, as a standby or an administrator has it. Clear 503s, nothing acknowledged that isn't there, and
//! polls and held requests go on.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::Executor as _;

use crate::lab::{Holds, OwnPostgres, Traffic, Verdict, World, wait_until};

const HELD: usize = 200;
const LASTS: Duration = Duration::from_secs(5);
const BOUND: Duration = Duration::from_secs(1);
/// How long is waited for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "read_only", 1).await;
    let door = world.door(0);
    let (held, written) = (world.create_orders(HELD).await, world.create_orders(8).await);
    let mut holds = Holds::default();
    for order in &held {
        holds.add(world.payer(order), door);
    }
    world.wait_for_held(0, HELD).await;
    let mut traffic = Traffic::default();
    written
        .chunks(2)
        .for_each(|orders| traffic.write(&world, door, orders, Duration::from_millis(10)));
    traffic.poll(&world, door, &held, Duration::from_millis(5));
    tokio::time::sleep(Duration::from_secs(1)).await;

    set_read_only(postgres, true).await;
    let refuses = wait_until(PATIENCE, async || is_refused(&world).await).await;
    // Transactions that had begun may still commit; from now on none may.
    let_writers_end(postgres, &world).await;
    let (start, stored) = (Instant::now(), count_events(&world).await);
    tokio::time::sleep(LASTS).await;
    let (end, stored_after) = (Instant::now(), count_events(&world).await);
    let ended = holds.ended_so_far();
    set_read_only(postgres, false).await;
    let recovery = wait_until(PATIENCE, async || !is_refused(&world).await).await;
    let (writes, polls) = traffic.finish().await;
    polls.times.iter().for_each(|(_, took)| world.judge.late(*took));

    let meanwhile = writes
        .times
        .iter()
        .filter(|(began, took)| *began > start && *began + *took < end)
        .count();
    for (is_wrong, what) in [
        (refuses.is_none(), "writes were not refused"),
        (
            meanwhile > 0 || stored != stored_after,
            "writes were acknowledged meanwhile",
        ),
        (ended > 0, "held requests ended meanwhile"),
        (writes.broken > 0, "writes were left without an answer"),
        (recovery.is_none(), "writes are refused for good"),
    ] {
        if is_wrong {
            world.judge.wrong(what.into());
        }
    }
    let mut told = 0;
    for order in &held {
        let _ = world.merchant.report(door, order, "failed").await;
    }
    while let Some(Ok(ended)) = holds.0.join_next().await {
        match ended.answer {
            Ok(answer) if answer.text("status") == "failed" => told += 1,
            other => world.judge.lost(format!("a held request: {other:?}")),
        }
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "Postgres read-only for {} s: {} writes refused with 503 (slowest {} ms), none acknowledged; {} polls answered; {told} of \
         {HELD} held requests kept and then told",
        LASTS.as_secs(),
        writes.refused,
        writes.refused_times.max().as_millis(),
        polls.good_between(start, end),
    );
    world.judge.verdict(done, BOUND)
}

async fn set_read_only(postgres: &OwnPostgres, read_only: bool) {
    let mut admin = postgres.connect("postgres").await;
    let setting = if read_only {
        "alter system set default_transaction_read_only = on"
    } else {
        "alter system reset default_transaction_read_only"
    };
    // The administrator's own session is read-only as well by then.
    for sql in [
        "set default_transaction_read_only = off",
        setting,
        "select pg_reload_conf()",
    ] {
        admin.execute(sql).await.expect("the setting is changed");
    }
}

/// Until nobody can write any more who began before the setting held.
async fn let_writers_end(postgres: &OwnPostgres, world: &World) {
    // A session that the server makes with the new setting: it has told all older ones of it before.
    let told = wait_until(PATIENCE, async || {
        let mut new = postgres.connect("postgres").await;
        let setting = sqlx::query_scalar::<_, String>("select current_setting('default_transaction_read_only')");
        setting.fetch_one(&mut new).await.is_ok_and(|setting| setting == "on")
    });
    let told = told.await;
    let now: DateTime<Utc> = sqlx::query_scalar("select clock_timestamp()")
        .fetch_one(&world.pool)
        .await
        .expect("a time");
    let ended = wait_until(PATIENCE, async || {
        let open = sqlx::query_scalar::<_, i64>(
            "select count(*) from pg_stat_activity
             where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
                   and xact_start <= $1",
        );
        open.bind(now).fetch_one(&world.pool).await.is_ok_and(|open| open == 0)
    });
    if told.is_none() || ended.await.is_none() {
        world.judge.wrong("the setting does not hold".into());
    }
}

async fn is_refused(world: &World) -> bool {
    match world.merchant.create(world.door(0), json!({})).await {
        Ok(_) => false,
        Err(Ok(answer)) if answer.status == 503 && answer.retry_after => true,
        Err(other) => {
            world.judge.wrong(format!("a creation: {other:?}"));
            true
        }
    }
}

async fn count_events(world: &World) -> i64 {
    sqlx::query_scalar("select count(*) from order_events")
        .fetch_one(&world.pool)
        .await
        .expect("events are counted")
}
