//! Steady traffic in the background of a fault: writers that report in turn, pollers that ask in turn.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Door, Order, Payer, Times, World, alternate};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Traffic {
    stop: CancellationToken,
    writers: JoinSet<Outcomes>,
    pollers: JoinSet<Outcomes>,
}

/// How requests of one kind fared.
#[derive(Debug, Clone, Default)]
pub struct Outcomes {
    pub good: usize,
    /// 503 with Retry-After.
    pub refused: usize,
    /// No answer, or half of one.
    pub broken: usize,
    /// When each good one began, and how long it took.
    pub times: Vec<(Instant, Duration)>,
    pub refused_times: Times,
}

impl Outcomes {
    fn add(&mut self, other: Self) {
        self.good += other.good;
        self.refused += other.refused;
        self.broken += other.broken;
        self.times.extend(other.times);
        self.refused_times.0.extend(other.refused_times.0);
    }

    /// How many good ones were under way or begun between the two moments.
    pub fn good_between(&self, from: Instant, to: Instant) -> usize {
        self.times
            .iter()
            .filter(|(start, took)| *start < to && *start + *took > from)
            .count()
    }
}

impl Traffic {
    /// One more writer, with orders that nobody else writes. What it could not bring in it reports again.
    pub fn write(&mut self, world: &World, door: Door, orders: &[Order], pause: Duration) {
        let (merchant, orders, stop) = (world.merchant.clone(), orders.to_vec(), self.stop.clone());
        self.writers.spawn(async move {
            let mut outcomes = Outcomes::default();
            let mut versions = vec![1; orders.len()];
            for turn in (0..orders.len()).cycle() {
                if stop.is_cancelled() {
                    break;
                }
                let start = Instant::now();
                match merchant.report(door, &orders[turn], alternate(versions[turn])).await {
                    Ok(answer) if answer.status == 200 => {
                        outcomes.good += 1;
                        outcomes.times.push((start, answer.took));
                        versions[turn] = answer.version.unwrap_or(0);
                    }
                    Ok(answer) if answer.status == 503 => {
                        outcomes.refused += 1;
                        outcomes.refused_times.0.push(answer.took);
                    }
                    Ok(answer) => merchant
                        .judge
                        .wrong(format!("a report: {} {}", answer.status, answer.body)),
                    Err(_) => {
                        outcomes.broken += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                tokio::time::sleep(pause).await;
            }
            outcomes
        });
    }

    /// One more poller of hot orders. It must always be answered.
    pub fn poll(&mut self, world: &World, door: Door, orders: &[Order], pause: Duration) {
        let stop = self.stop.clone();
        let mut payers: Vec<Payer> = orders.iter().map(|order| world.payer(order)).collect();
        self.pollers.spawn(async move {
            let mut outcomes = Outcomes::default();
            for turn in (0..payers.len()).cycle() {
                if stop.is_cancelled() {
                    break;
                }
                let start = Instant::now();
                let payer = &mut payers[turn];
                match payer.poll(door).await {
                    Ok(answer) if matches!(answer.status, 200 | 304) => {
                        outcomes.good += 1;
                        outcomes.times.push((start, answer.took));
                    }
                    other => {
                        outcomes.broken += 1;
                        payer.judge.wrong(format!("a poll: {other:?}"));
                    }
                }
                tokio::time::sleep(pause).await;
            }
            outcomes
        });
    }

    /// Lets everybody finish: how writers and pollers fared.
    pub async fn finish(self) -> (Outcomes, Outcomes) {
        self.stop.cancel();
        let (mut writes, mut polls) = (Outcomes::default(), Outcomes::default());
        self.writers
            .join_all()
            .await
            .into_iter()
            .for_each(|outcomes| writes.add(outcomes));
        self.pollers
            .join_all()
            .await
            .into_iter()
            .for_each(|outcomes| polls.add(outcomes));
        (writes, polls)
    }
}
