//! Many held requests, and when each was answered.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{Answer, Door, Payer, World, alternate};

/// An ended hold.
#[derive(Debug)]
pub struct Ended {
    pub payer: Payer,
    pub at: Instant,
    pub answer: Result<Answer, String>,
}

/// Requests that are held, or about to be.
#[derive(Debug, Default)]
pub struct Holds(pub JoinSet<Ended>);

impl Holds {
    /// Asks to be held until the version moves on.
    pub fn add(&mut self, mut payer: Payer, door: Door) {
        self.0.spawn(async move {
            let answer = payer.hold(door, 55).await;
            Ended {
                payer,
                at: Instant::now(),
                answer,
            }
        });
    }

    /// Those that have ended so far, without waiting.
    pub fn ended_so_far(&mut self) -> usize {
        let mut ended = 0;
        while self.0.try_join_next().is_some() {
            ended += 1;
        }
        ended
    }
}

/// Reports at `from` until the time is up, to payers held at `to`. Each change must reach its payer; the time from sending
/// the report to the payer's answer goes to the judge. Gives the times of the last round.
pub async fn relay(world: &World, from: Door, to: Door, payers: &mut Vec<Payer>, until: Instant) -> Vec<Duration> {
    loop {
        let times = relay_once(world, from, to, payers).await;
        for time in &times {
            world.judge.late(*time);
        }
        if Instant::now() > until {
            return times;
        }
    }
}

/// One round of the same, of which the judge hears nothing but losses.
pub async fn relay_once(world: &World, from: Door, to: Door, payers: &mut Vec<Payer>) -> Vec<Duration> {
    let mut holds = Holds::default();
    let orders: Vec<_> = payers.iter().map(|payer| (payer.order.clone(), payer.seen)).collect();
    for payer in payers.drain(..) {
        holds.add(payer, to);
    }
    world.wait_for_held(to.number, orders.len()).await;
    let mut reported = std::collections::HashMap::new();
    for (order, seen) in &orders {
        reported.insert(order.id, Instant::now());
        match world.merchant.report(from, order, alternate(*seen)).await {
            Ok(answer) if answer.status == 200 => {}
            other => world.judge.wrong(format!("a report: {other:?}")),
        }
    }
    let mut times = Vec::new();
    while let Some(Ok(ended)) = holds.0.join_next().await {
        match &ended.answer {
            Ok(answer) if answer.status == 200 && answer.version > Some(1) => {}
            other => world
                .judge
                .lost(format!("{} was not told: {other:?}", ended.payer.order.id)),
        }
        times.push(ended.at - reported[&ended.payer.order.id]);
        payers.push(ended.payer);
    }
    times
}
