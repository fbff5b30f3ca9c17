//! The same polls and wake-ups with more and more orders in memory and in the table: what grows with them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;

use crate::client::Connection;
use crate::holds::{Holder, Holds};
use crate::lab::Lab;
use crate::machine::Cores;
use crate::ours::{Launch, Order, Payquery, Shop};
use crate::report::number;
use crate::result::{Measured, Reach, Row, Spread};

/// Orders that are asked for, and as many others that change: spread evenly over all, as many whatever else lies there.
const ASKED: usize = 500;
const POLLERS: usize = 32;
const POLL_TIME: Duration = Duration::from_secs(1);

/// One size: a payquery of its own, on a database of its own.
struct Size {
    count: usize,
    /// payquery, with the orders that change.
    changing: Holder,
    asked: Vec<Order>,
    /// All that do not change.
    others: Vec<Order>,
}

/// Microseconds of the server's processor time.
#[derive(Clone, Copy)]
struct Costs {
    poll: f64,
    poll_of_any: f64,
    wake_up: f64,
}

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    let mut sizes = Vec::new();
    for count in lab.plan.sizes {
        sizes.push(fill(lab, *count).await?);
    }
    let mut rounds = Vec::new();
    for round in 0..lab.plan.rounds {
        let mut costs: Vec<Option<Costs>> = vec![None; sizes.len()];
        for turn in 0..sizes.len() {
            let which = (turn + round) % sizes.len();
            let cost = measure(&sizes[which]).await?;
            lab.say(&format!(
                "growth {}/{}: {} orders: poll {:.2} µs, poll of any {:.2} µs, report and wake-up {:.1} µs",
                round + 1,
                lab.plan.rounds,
                sizes[which].count,
                cost.poll,
                cost.poll_of_any,
                cost.wake_up
            ));
            costs[which] = Some(cost);
        }
        rounds.push(costs.into_iter().flatten().collect::<Vec<_>>());
    }
    Ok(Measured {
        rows: rows_of(lab.plan.sizes, &rounds),
        ..Measured::default()
    })
}

fn rows_of(sizes: &[usize], rounds: &[Vec<Costs>]) -> Vec<Row> {
    type Cost = fn(&Costs) -> f64;
    let kinds: [(&str, Cost, Option<Reach>); 3] = [
        ("poll", |costs| costs.poll, Some(Reach::AtMost(1.1))),
        ("report and wake-up", |costs| costs.wake_up, Some(Reach::AtMost(1.1))),
        ("poll of any order", |costs| costs.poll_of_any, None),
    ];
    let mut rows = Vec::new();
    for (kind, cost, reach) in kinds {
        for (which, size) in sizes.iter().enumerate().skip(1) {
            let what = format!("processor time for a {kind}, with {} orders", number(*size as f64));
            let mut row = Row::ratio(&what, &format!("itself with {}", number(sizes[0] as f64)), "µs", reach);
            for round in rounds {
                row.add(cost(&round[which]), cost(&round[0]));
            }
            row.note = if reach.is_some() {
                format!("{ASKED} of the orders are asked for, spread over all of them")
            } else {
                "all are asked for, in no order: the processor's caches miss, whatever holds them".into()
            };
            rows.push(row);
        }
    }
    rows
}

/// A table with so many orders, and all of them in memory.
async fn fill(lab: &Lab, count: usize) -> anyhow::Result<Size> {
    let shop = Shop::open(lab, &format!("growth_{count}")).await?;
    let room = format!("--max-hot={}", count * 2);
    let launch = Launch {
        flags: &[&room],
        ..Launch::beside_the_load(lab, &shop.database)
    };
    let begun = Instant::now();
    let payquery = Payquery::start(lab, &launch)?;
    let all = shop.stock(lab, count).await?;
    let stocked = begun.elapsed();
    payquery.warm(&all).await?;
    Cores::move_process(payquery.server.pid(), &lab.cores.server)?;
    lab.say(&format!(
        "growth: {count} orders written in {:.1} s, asked for once in {:.1} s",
        stocked.as_secs_f64(),
        begun.elapsed().saturating_sub(stocked).as_secs_f64()
    ));
    let step = count / ASKED;
    let (mut changing, mut others) = (Vec::new(), Vec::new());
    for (at, order) in all.into_iter().enumerate() {
        if at % step == 0 && changing.len() < ASKED {
            changing.push(order);
        } else {
            others.push(order);
        }
    }
    Ok(Size {
        count,
        changing: Holder::Ours {
            payquery: Arc::new(payquery),
            orders: changing,
            api_key: shop.api_key,
        },
        asked: others
            .iter()
            .step_by(others.len() / ASKED)
            .take(ASKED)
            .cloned()
            .collect(),
        others,
    })
}

async fn measure(size: &Size) -> anyhow::Result<Costs> {
    let Holder::Ours { payquery, orders, .. } = &size.changing else {
        unreachable!("it was made so")
    };
    let mut wake_ups = Vec::new();
    for _ in 0..3 {
        wake_ups.push(wake_up(&size.changing, payquery, orders.len()).await?);
    }
    Ok(Costs {
        poll: poll(payquery, &size.asked).await?,
        poll_of_any: poll(payquery, &size.others).await?,
        wake_up: Spread::of(&wake_ups).median(),
    })
}

/// Processor time for a poll of these orders, in no order.
async fn poll(payquery: &Payquery, orders: &[Order]) -> anyhow::Result<f64> {
    let mut pollers = try_join_all((0..POLLERS).map(|_| payquery.connect())).await?;
    let (before, start) = (payquery.server.processor_time(), Instant::now());
    let pollers = pollers.iter_mut().map(|poller| async move {
        let mut done = 0_u32;
        while start.elapsed() < POLL_TIME {
            let order = &orders[fastrand::usize(..orders.len())];
            poller.ask(&order.poll(1)).await?.expect(304)?;
            done += 1;
        }
        anyhow::Ok(done)
    });
    let done: u32 = try_join_all(pollers).await?.into_iter().sum();
    let used = payquery.server.processor_time().saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / f64::from(done))
}

/// Processor time for a report that wakes one held request, both over HTTP.
async fn wake_up(holder: &Holder, payquery: &Payquery, count: usize) -> anyhow::Result<f64> {
    let mut holds = Holds::open(holder, count).await?;
    holds.hold(holder).await?;
    let mut reporters = try_join_all((0..POLLERS).map(|_| Connection::open(holder.address()))).await?;
    let reports: Vec<_> = (0..count)
        .map(|number| holder.change(number, holds.seen[number].version))
        .collect();
    let before = payquery.server.processor_time();
    let waiting = holds.wait();
    let share = count.div_ceil(POLLERS);
    let reporting = reporters
        .iter_mut()
        .zip(reports.chunks(share))
        .map(|(reporter, reports)| async move {
            for report in reports {
                reporter.ask(report).await?.expect(200)?;
            }
            anyhow::Ok(())
        });
    try_join_all(reporting).await?;
    holds.gather(waiting).await?;
    let used = payquery.server.processor_time().saturating_sub(before);
    Ok(used.as_secs_f64() * 1e6 / count as f64)
}
