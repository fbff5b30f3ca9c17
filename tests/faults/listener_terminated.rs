//! The backends that listen for the doorbell are terminated again and again: changes still arrive within a tick.

use std::time::{Duration, Instant};

use sqlx::Executor as _;

use crate::lab::{OwnPostgres, Times, Verdict, WITHIN_A_TICK, World, relay};

const LASTS: Duration = Duration::from_secs(6);
/// So often at least, and where rounds take long for longer.
const TERMINATIONS: u64 = 4;
const PATIENCE: Duration = Duration::from_secs(40);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "listener_terminated", 2).await;
    let mut payers: Vec<_> = world
        .create_orders(20)
        .await
        .iter()
        .map(|order| world.payer(order))
        .collect();
    let (one, other) = (world.door(0), world.door(1));
    let with_bell = Times(relay(&world, one, other, &mut payers, Instant::now() + Duration::from_secs(3)).await);
    let mut terminated = 0;
    let begun = Instant::now();
    while begun.elapsed() < LASTS || terminated < TERMINATIONS && begun.elapsed() < PATIENCE {
        let ended = world.pool.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and query ilike 'listen%'",
        );
        terminated += ended.await.expect("Postgres answers").rows_affected();
        relay(&world, one, other, &mut payers, Instant::now()).await;
    }
    if terminated < TERMINATIONS {
        world
            .judge
            .wrong(format!("only {terminated} listeners were there to be terminated"));
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "the listening backends terminated {terminated} times: {} reports at one replica, each told at the other \
         (with the bell p50 {} ms, max {} ms)",
        world.judge.acknowledged() - payers.len(),
        with_bell.percentile(50).as_millis(),
        with_bell.max().as_millis(),
    );
    world.judge.verdict(done, WITHIN_A_TICK)
}
