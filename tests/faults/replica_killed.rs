//! kill -9 of one of two replicas under writes: what it acknowledged is there, the other one goes on.

use std::time::{Duration, Instant};

use crate::lab::{Holds, OwnPostgres, Traffic, Verdict, World};

const ORDERS: usize = 96;
/// A poll or write at the other replica, and the way from a report to a held request.
const BOUND: Duration = Duration::from_secs(1);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let mut world = World::of(postgres, "replica_killed", 2).await;
    let orders = world.create_orders(ORDERS).await;
    let (doomed, other) = (world.door(0), world.door(1));
    let mut traffic = Traffic::default();
    for (number, orders) in orders.chunks(ORDERS / 12).enumerate() {
        let door = if number < 8 { doomed } else { other };
        traffic.write(&world, door, orders, Duration::ZERO);
    }
    for number in 0..4 {
        let mut orders = orders.clone();
        orders.rotate_left(number * 24);
        traffic.poll(&world, other, &orders, Duration::from_millis(10));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let killed_at = Instant::now();
    world.replicas[0].kill();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (writes, polls) = traffic.finish().await;
    polls.times.iter().for_each(|(_, took)| world.judge.late(*took));
    if writes.good_between(killed_at + BOUND, Instant::now()) == 0 || writes.broken == 0 {
        world
            .judge
            .wrong("the other replica took no writes, or the killed one still did".into());
    }
    let told = finish_at_the_other(&world, &orders).await;
    world.judge.audit(&world.pool).await;
    let done = format!(
        "kill -9 of one of two replicas under 12 writers: {} reports acknowledged, {} polls at the other; \
         {told} of {ORDERS} orders then paid and told there",
        writes.good, polls.good,
    );
    world.judge.verdict(done, BOUND)
}

/// The merchant turns to the other replica; whoever waits there is told.
async fn finish_at_the_other(world: &World, orders: &[crate::lab::Order]) -> usize {
    let other = world.door(1);
    let mut holds = Holds::default();
    for order in orders {
        let mut payer = world.payer(order);
        let _ = payer.poll(other).await;
        holds.add(payer, other);
    }
    world.wait_for_held(1, orders.len()).await;
    let mut reported = std::collections::HashMap::new();
    for order in orders {
        reported.insert(order.id, Instant::now());
        if !world
            .merchant
            .report(other, order, "succeeded")
            .await
            .is_ok_and(|answer| answer.status == 200)
        {
            world
                .judge
                .wrong(format!("{} cannot be reported at the other replica", order.id));
        }
    }
    let mut told = 0;
    while let Some(Ok(ended)) = holds.0.join_next().await {
        if ended
            .answer
            .as_ref()
            .is_ok_and(|answer| answer.text("status") == "succeeded")
        {
            told += 1;
            world.judge.late(ended.at - reported[&ended.payer.order.id]);
        } else {
            world
                .judge
                .lost(format!("{} was not told: {:?}", ended.payer.order.id, ended.answer));
        }
    }
    told
}
