//! Postgres goes away under 2,000 held requests, steady polls and writes, and comes back: what its three ways have in common.

use std::time::{Duration, Instant};

use crate::lab::{Holds, Order, OwnPostgres, Traffic, Verdict, World, wait_until};

/// One way of going away.
#[derive(Debug, Clone, Copy)]
pub struct Outage {
    pub name: &'static str,
    pub go_away: fn(&OwnPostgres),
    pub come_back: fn(&OwnPostgres),
    pub lasts: Duration,
    /// In words.
    pub what: &'static str,
}

const HELD_ORDERS: usize = 40;
const HOLDS_PER_ORDER: usize = 50;
const WRITTEN_ORDERS: usize = 16;
/// A poll of a hot order, and the way from a report to a held request, however Postgres is.
const BOUND: Duration = Duration::from_secs(2);
/// Once Postgres takes connections again, a write must succeed within this time, by itself.
const RECOVERY: Duration = Duration::from_secs(10);
/// The pools of two replicas (for requests, for chores), and their listeners.
const CONNECTIONS: usize = 2 * (8 + 3 + 1);
/// No storm: however long the outage was, each place in a pool is filled anew, and was asked for in vain once at most before
/// the replica knew that the database is away. (What is asked of a frozen server, it accepts when it thaws.)
const MOST_CONNECTIONS: usize = 2 * CONNECTIONS;

pub async fn run(postgres: &OwnPostgres, outage: Outage) -> Verdict {
    let world = World::of(postgres, outage.name, 2).await;
    let held = world.create_orders(HELD_ORDERS).await;
    let written = world.create_orders(WRITTEN_ORDERS).await;
    let mut holds = hold_all(&world, &held).await;
    let traffic = start_traffic(&world, &held, &written);
    tokio::time::sleep(Duration::from_millis(1500)).await;

    let away_at = Instant::now();
    tokio::task::block_in_place(|| (outage.go_away)(postgres));
    tokio::time::sleep(outage.lasts).await;
    let ended = holds.ended_so_far();
    if ended > 0 {
        world
            .judge
            .wrong(format!("{ended} held requests ended while nothing changed"));
    }
    let before = postgres.sessions_so_far(outage.name);
    let back_at = Instant::now();
    tokio::task::block_in_place(|| (outage.come_back)(postgres));
    let recovery = wait_for_writes(&world).await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let after = postgres.sessions_so_far(outage.name);
    let (sessions, turned_away) = (after.0 - before.0, after.1 - before.1);
    if sessions > MOST_CONNECTIONS {
        world
            .judge
            .wrong(format!("{sessions} connections were opened when it came back"));
    }

    let (writes, polls) = traffic.finish().await;
    polls.times.iter().for_each(|(_, took)| world.judge.late(*took));
    let polled = polls.good_between(away_at, back_at);
    if polled == 0 || writes.refused == 0 {
        world.judge.wrong(format!(
            "no pressure: {polled} polls and {} refused writes meanwhile",
            writes.refused
        ));
    }
    if writes.broken > 0 {
        world.judge.wrong(format!("{} writes without an answer", writes.broken));
    }
    let woken = wake_all(&world, &held, holds).await;
    world.judge.audit(&world.pool).await;
    let (slowest, slowest_refusal) = (
        polls.times.iter().map(|(_, took)| *took).max(),
        writes.refused_times.max(),
    );
    let done = format!(
        "{}; {woken} of {} held requests kept and then told; {polled} polls of hot orders answered meanwhile (slowest {} ms); \
         {} writes acknowledged, {} refused with 503 (slowest {:.1} s); well again {} ms after its return, {sessions} connections \
         opened, {turned_away} turned away while it started",
        outage.what,
        HELD_ORDERS * HOLDS_PER_ORDER,
        slowest.unwrap_or_default().as_millis(),
        writes.good,
        writes.refused,
        slowest_refusal.as_secs_f64(),
        recovery.as_millis(),
    );
    world.judge.verdict(done, BOUND)
}

/// Half of each order's waiters at each replica.
async fn hold_all(world: &World, orders: &[Order]) -> Holds {
    let mut holds = Holds::default();
    for (number, order) in orders
        .iter()
        .flat_map(|order| (0..HOLDS_PER_ORDER).map(move |number| (number, order)))
    {
        holds.add(world.payer(order), world.door(number % 2));
    }
    for replica in 0..2 {
        world.wait_for_held(replica, HELD_ORDERS * HOLDS_PER_ORDER / 2).await;
    }
    holds
}

/// At each replica four writers, and ten pollers of all that is hot there.
fn start_traffic(world: &World, held: &[Order], written: &[Order]) -> Traffic {
    let mut traffic = Traffic::default();
    for replica in 0..2 {
        let door = world.door(replica);
        for orders in written.chunks(WRITTEN_ORDERS / 8).skip(replica * 4).take(4) {
            traffic.write(world, door, orders, Duration::from_millis(30));
        }
        for poller in 0..10 {
            let mut orders = held.to_vec();
            orders.rotate_left(poller * 4);
            traffic.poll(world, door, &orders, Duration::from_millis(80));
        }
    }
    traffic
}

/// Until both replicas take a write again; how long that took.
async fn wait_for_writes(world: &World) -> Duration {
    let mut recovery = Duration::ZERO;
    for replica in 0..2 {
        let door = world.door(replica);
        let created = wait_until(RECOVERY, async || {
            world.merchant.create(door, serde_json::json!({})).await.is_ok()
        });
        match created.await {
            Some(took) => recovery = recovery.max(took),
            None => world.judge.wrong(format!(
                "replica {replica} takes no writes {RECOVERY:?} after its return"
            )),
        }
    }
    recovery
}

/// Reports that each order is paid; every held request must be told so. How many were.
async fn wake_all(world: &World, orders: &[Order], mut holds: Holds) -> usize {
    let mut reported = std::collections::HashMap::new();
    for order in orders {
        let report = world.merchant.report(world.door(0), order, "succeeded").await;
        if !report.as_ref().is_ok_and(|answer| answer.status == 200) {
            world.judge.wrong(format!("a report after its return: {report:?}"));
        }
        reported.insert(order.id, Instant::now());
    }
    let mut woken = 0;
    while let Some(Ok(ended)) = holds.0.join_next().await {
        match &ended.answer {
            Ok(answer) if answer.status == 200 && answer.text("status") == "succeeded" => {
                woken += 1;
                world
                    .judge
                    .late(ended.at.saturating_duration_since(reported[&ended.payer.order.id]));
            }
            other => world
                .judge
                .lost(format!("a held request of {}: {other:?}", ended.payer.order.id)),
        }
    }
    if woken < HELD_ORDERS * HOLDS_PER_ORDER {
        world.judge.lost(format!("only {woken} held requests were told"));
    }
    woken
}
