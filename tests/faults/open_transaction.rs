//! A transaction that has written stays open in another database of the cluster: delivery is as quick as without it.

use std::time::{Duration, Instant};

use sqlx::{Connection as _, Executor as _};

use crate::lab::{OwnPostgres, Times, Verdict, WITHIN_A_TICK, World, relay};

/// A hundred ticks: what waits for the transaction's end would be late by far.
const OPEN: Duration = Duration::from_mins(1);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "open_transaction", 2).await;
    postgres.create_database("another").await;
    let mut elsewhere = postgres.connect("another").await;
    let mut open = elsewhere.begin().await.expect("a transaction begins");
    open.execute("create table left_open (a int)").await.expect("it writes");

    let mut payers: Vec<_> = world
        .create_orders(20)
        .await
        .iter()
        .map(|order| world.payer(order))
        .collect();
    let until = Instant::now() + OPEN;
    let last = Times(relay(&world, world.door(0), world.door(1), &mut payers, until).await);
    let still_open: Option<String> = sqlx::query_scalar("select pg_current_xact_id_if_assigned()::text")
        .fetch_one(&mut *open)
        .await
        .expect("it is still open");
    if still_open.is_none() {
        world.judge.wrong("the transaction had written nothing".into());
    }
    open.rollback().await.expect("it ends");
    world.judge.audit(&world.pool).await;
    let done = format!(
        "a writing transaction open for {} s in another database: {} reports at one replica, each told at the other \
         (last round p50 {} ms)",
        OPEN.as_secs(),
        world.judge.acknowledged() - payers.len(),
        last.percentile(50).as_millis(),
    );
    world.judge.verdict(done, WITHIN_A_TICK)
}
