//! 64 writers whose transactions commit in another order than they began: a replica that only listens misses none.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use sqlx::PgPool;
use uuid::Uuid;

use crate::lab::{OwnPostgres, Verdict, WITHIN_A_TICK, World};

const WRITERS: usize = 64;
const ORDERS_PER_WRITER: usize = 4;
const LASTS: Duration = Duration::from_secs(8);
/// The longest that a transaction is held open between its writing and its commit.
const MAX_OPEN_MS: u64 = 400;
/// What is not shown by then was skipped.
const PATIENCE: Duration = Duration::from_secs(20);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let world = World::of(postgres, "writers_out_of_order", 1).await;
    let door = world.door(0);
    let orders = world.create_orders(WRITERS * ORDERS_PER_WRITER).await;
    for order in &orders {
        world.payer(order).look(door).await.expect("it is hot now");
    }
    let resyncs = world.merchant.http.metric(door, "payquery_feed_resyncs_total").await;
    let until = Instant::now() + LASTS;
    let writers = orders.chunks(ORDERS_PER_WRITER).map(|orders| {
        let ids = orders.iter().map(|order| order.id).collect();
        tokio::spawn(write(world.pool.clone(), ids, until))
    });
    let totals = join_all(writers)
        .await
        .into_iter()
        .map(|total| total.expect("no panic"));
    let (committed, rolled_back) = totals.fold((0, 0), |sum, total| (sum.0 + total.0, sum.1 + total.1));

    let ended = Instant::now();
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("select id, version from orders")
        .fetch_all(&world.pool)
        .await
        .expect("orders are read");
    let stored: HashMap<Uuid, i64> = rows.into_iter().collect();
    // Each with the time at which somebody last asked and was not told: for so long it was late. How long it takes to ask for all of
    // them is another matter.
    let mut missing: Vec<_> = orders.iter().map(|order| (order.clone(), Duration::ZERO)).collect();
    while !missing.is_empty() && ended.elapsed() < PATIENCE {
        let mut still = Vec::new();
        for (order, unseen) in missing {
            let asked = ended.elapsed();
            let told = world
                .payer(&order)
                .look(door)
                .await
                .expect("hot orders are told")
                .version;
            match told {
                told if told == stored.get(&order.id).copied() => world.judge.late(unseen),
                _ => still.push((order, asked)),
            }
        }
        missing = still;
    }
    for (order, _) in &missing {
        world.judge.lost(format!("{} was skipped", order.id));
    }
    // A resync reads everything anew and would hide what the cursor had skipped.
    let resynced = world.merchant.http.metric(door, "payquery_feed_resyncs_total").await - resyncs;
    if resynced > 0.0 {
        world
            .judge
            .wrong(format!("{resynced} resyncs: this shows nothing of the cursor"));
    }
    let expected = committed + i64::try_from(orders.len()).expect("a few");
    if stored.values().sum::<i64>() != expected {
        world.judge.wrong(format!(
            "the versions add up to {}, not to {expected}",
            stored.values().sum::<i64>()
        ));
    }
    world.judge.audit(&world.pool).await;
    let done = format!(
        "{WRITERS} writers, transactions open for up to {MAX_OPEN_MS} ms: {committed} committed out of order, {rolled_back} rolled \
         back; a listening replica has the last version of {} of {} orders, and read none of them anew for safety",
        orders.len() - missing.len(),
        orders.len(),
    );
    world.judge.verdict(done, WITHIN_A_TICK)
}

/// Writes changes of its orders by hand, holds each transaction open for a while, and commits nine of ten.
async fn write(pool: PgPool, orders: Vec<Uuid>, until: Instant) -> (i64, i64) {
    let (mut committed, mut rolled_back) = (0, 0);
    while Instant::now() < until {
        let mut transaction = pool.begin().await.expect("a transaction");
        let order = orders[fastrand::usize(..orders.len())];
        let written = sqlx::query(
            "with changed as (
                 update orders set version = version + 1, updated_at = now(),
                                   status = case status when 'pending' then 'processing' else 'pending' end
                 where id = $1 returning *)
             insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                       accepted, at, data)
             select gen_random_uuid(), 'order.' || status, id, merchant_id, out_trade_no, version,
                    case status when 'pending' then 'processing' else 'pending' end, status, 'merchant', true, now(), '{}'
             from changed",
        );
        written.bind(order).execute(&mut *transaction).await.expect("it writes");
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..MAX_OPEN_MS))).await;
        if fastrand::u8(..10) == 0 {
            transaction.rollback().await.expect("it rolls back");
            rolled_back += 1;
        } else {
            transaction.commit().await.expect("it commits");
            committed += 1;
        }
    }
    (committed, rolled_back)
}
