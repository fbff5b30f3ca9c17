//! Every replica behind nginx is stopped and started again, one after the other, under load: no request fails.

use std::time::Duration;

use crate::lab::{Balancer, OwnPostgres, Traffic, Verdict, World};

const ORDERS: usize = 96;
/// The slowest poll meanwhile: it may meet a replica that is on its way out and be asked again at another.
const BOUND: Duration = Duration::from_secs(2);

pub async fn run(postgres: &OwnPostgres) -> Verdict {
    let mut world = World::of(postgres, "rolling_restart", 3).await;
    let orders = world.create_orders(ORDERS).await;
    let balancer = Balancer::start(&world).await;
    let mut traffic = Traffic::default();
    for orders in orders.chunks(ORDERS / 8) {
        traffic.write(&world, balancer.door, orders, Duration::from_millis(5));
    }
    for number in 0..4 {
        let mut orders = orders.clone();
        orders.rotate_left(number * 24);
        traffic.poll(&world, balancer.door, &orders, Duration::from_millis(5));
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    for number in 0..world.replicas.len() {
        world.restart(number).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (writes, polls) = traffic.finish().await;
    for (kind, outcomes) in [("reports", &writes), ("polls", &polls)] {
        if outcomes.broken + outcomes.refused > 0 || outcomes.good < 100 {
            world.judge.lost(format!(
                "{kind}: {} good, {} refused, {} broken",
                outcomes.good, outcomes.refused, outcomes.broken
            ));
        }
    }
    polls.times.iter().for_each(|(_, took)| world.judge.late(*took));
    world.judge.audit(&world.pool).await;
    let done = format!(
        "three replicas behind nginx restarted one by one under 8 writers and 4 pollers: {} reports and {} polls, none failed",
        writes.good, polls.good
    );
    world.judge.verdict(done, BOUND)
}
