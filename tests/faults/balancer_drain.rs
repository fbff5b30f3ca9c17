//! Two replicas behind nginx, one of them stopped with 2,000 requests held: each is answered, none with zero bytes.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::lab::{Balancer, Holds, OwnPostgres, Verdict, World};

const HELD: usize = 2000;
/// From SIGTERM to the last answer of those that the stopped replica held: the spread, and the way through nginx.
const BOUND: Duration = Duration::from_secs(2);
/// Who report side by side: one alone would not be done with all, on a slow machine, before the holds end by themselves.
const REPORTERS: usize = 16;

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let mut world = World::of(postgres, "balancer_drain", 2).await;
    let orders = world.create_orders(HELD).await;
    let balancer = Balancer::start(&world).await;
    let mut holds = Holds::default();
    for order in &orders {
        holds.add(world.payer(order), balancer.door);
    }
    let held = async |number: usize| world.held(number).await;
    let all = crate::lab::wait_until(Duration::from_secs(30), async || held(0).await + held(1).await >= HELD);
    if all.await.is_none() {
        world
            .judge
            .wrong(format!("{} and {} of {HELD} are held", held(0).await, held(1).await));
    }
    let (at_stopped, at_other) = (held(0).await, held(1).await);
    let stopped_at = Instant::now();
    world.replicas.remove(0).stop().await;
    for _ in 0..at_stopped {
        let Some(Ok(ended)) = holds.0.join_next().await else {
            break;
        };
        world.judge.late(ended.at.saturating_duration_since(stopped_at));
        match &ended.answer {
            Ok(answer) if answer.status == 200 || answer.status == 304 => {}
            other => world.judge.lost(format!("{}: {other:?}", ended.payer.order.id)),
        }
    }
    let told = pay_all(&world, &balancer, &orders, &mut holds).await;
    world.judge.audit(&world.pool).await;
    let done = format!(
        "{HELD} held through nginx, {at_stopped} at the replica that was stopped and {at_other} at the other: the first all \
         answered; then all orders paid through nginx, {told} holds told"
    );
    world.judge.verdict(done, BOUND)
}

/// The other replica takes the reports; those whom it holds are told. Says how many.
async fn pay_all(world: &World, balancer: &Balancer, orders: &[crate::lab::Order], holds: &mut Holds) -> usize {
    let shares = orders.chunks(orders.len().div_ceil(REPORTERS));
    join_all(shares.map(|orders| async move {
        for order in orders {
            match world.merchant.report(balancer.door, order, "succeeded").await {
                Ok(answer) if answer.status == 200 => {}
                other => world.judge.lost(format!("a report through nginx: {other:?}")),
            }
        }
    }))
    .await;
    let mut told = 0;
    while let Some(Ok(ended)) = holds.0.join_next().await {
        match &ended.answer {
            Ok(answer) if answer.text("status") == "succeeded" => told += 1,
            other => world
                .judge
                .lost(format!("{} was not told: {other:?}", ended.payer.order.id)),
        }
    }
    told
}
