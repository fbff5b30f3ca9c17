//! Two replicas expire the same thousand orders at the same moment: each is closed once, and its waiters are told.
//!
//! That it is the same moment is not left to their ticks: the log is locked until both have chosen the same orders and stand
//! before it. And when that is, is not left to the machine's speed: the orders get their deadline when all who wait are in place.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::lab::{OwnPostgres, Verdict, World, wait_until};

const ORDERS: usize = 1000;
/// "Within about a second" of its time, for a thousand at once: until both would close them, and from then until all are told.
const BOUND: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "expiry_twice", 2).await;
    let orders = world.create_orders(ORDERS).await;
    let mut waiters = JoinSet::new();
    for (number, order) in orders.iter().enumerate() {
        let (mut payer, door) = (world.payer(order), world.door(number % 2));
        waiters.spawn(async move { (payer.hold_until_final(door, 55).await, SystemTime::now(), payer) });
    }
    for replica in 0..2 {
        world.wait_for_held(replica, ORDERS / 2).await;
    }
    let (expires_at, let_go_at) = let_them_meet(&world.pool).await;
    world
        .judge
        .late(let_go_at.duration_since(expires_at).unwrap_or_default());
    let mut told = 0;
    while let Some(Ok((answer, at, payer))) = waiters.join_next().await {
        match (&answer, at.duration_since(expires_at)) {
            (Ok(answer), Ok(_)) if answer.text("reason") == "expired" && answer.version == Some(2) => {
                told += 1;
                world.judge.late(at.duration_since(let_go_at).unwrap_or_default());
            }
            _ => world.judge.wrong(format!("{}: {answer:?} at {at:?}", payer.order.id)),
        }
    }
    let events: i64 =
        sqlx::query_scalar("select count(*) from order_events where kind = 'order.closed' and source = 'expiry'")
            .fetch_one(&world.pool)
            .await
            .expect("events are counted");
    if usize::try_from(events) != Ok(ORDERS) {
        world
            .judge
            .wrong(format!("{events} events of closing for {ORDERS} orders"));
    }
    let shares = async || [expired_by(&world, 0).await, expired_by(&world, 1).await];
    // They are counted a moment after they are told.
    let _ = wait_until(PATIENCE, async || shares().await.iter().sum::<usize>() >= ORDERS).await;
    let shares = shares().await;
    if shares[0] + shares[1] != ORDERS {
        world
            .judge
            .wrong(format!("the replicas count {shares:?} expired orders"));
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "two replicas, {ORDERS} orders with one deadline: {events} events of closing ({} and {}), {told} waiters told",
        shares[0], shares[1],
    );
    world.judge.verdict(done, BOUND)
}

/// Ends the time of all orders, keeps the log from being written until both replicas wait to close them, and lets them go. Says when
/// their time was up, and when they were let go.
async fn let_them_meet(pool: &PgPool) -> (SystemTime, SystemTime) {
    let mut lock = pool.begin().await.expect("a transaction begins");
    sqlx::query("lock table order_events in share mode")
        .execute(&mut *lock)
        .await
        .expect("the log is locked");
    let expires_at: DateTime<Utc> = sqlx::query_scalar(
        "with changed as (update orders set expires_at = now() + interval '1 second' returning expires_at)
         select max(expires_at) from changed",
    )
    .fetch_one(pool)
    .await
    .expect("the orders get a deadline");
    let met = wait_until(PATIENCE, async || {
        let waiting: i64 = sqlx::query_scalar(
            "select count(*) from pg_locks where not granted and relation = 'order_events'::regclass",
        )
        .fetch_one(pool)
        .await
        .expect("locks are counted");
        waiting == 2
    })
    .await;
    assert!(met.is_some(), "both replicas wait to close orders");
    let let_go_at = SystemTime::now();
    lock.commit().await.expect("the log is free again");
    (expires_at.into(), let_go_at)
}

async fn expired_by(world: &World, replica: usize) -> usize {
    let counted = world
        .merchant
        .http
        .metric(world.door(replica), "payquery_orders_expired_total")
        .await;
    counted.to_string().parse().expect("a whole number")
}
