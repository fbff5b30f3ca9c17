//! Ten thousand requests held on one order: from the report to the last answer.

use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::holds::{Holder, Holds};
use crate::lab::Lab;
use crate::ours::{Payquery, Shop};
use crate::peers;
use crate::report::number;
use crate::result::{Curve, Measured, Reach, Row, Spread, milliseconds};

use super::held::{start_nchan_channel, start_ours};

const DATABASE: &str = "fan_out";
/// Changes in a row in one turn; the median of them is the turn's value.
const CHANGES: usize = 3;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    drop(Payquery::start_alone(lab, DATABASE)?);
    let orders = shop.stock(lab, 1).await?;
    if peers::nchan_module().is_none() {
        lab.say("nchan is not installed (Debian: libnginx-mod-nchan): nothing to compare with");
        return Ok(Measured::default());
    }
    let holders = [start_ours(lab, &shop, &orders)?, start_nchan_channel(lab)?];
    for holder in &holders {
        holder.prepare().await?;
    }
    let name = format!("{} held on one order: from the report to", number(lab.plan.held as f64));
    let mut p99 = Row::ratio(
        &format!("{name} 99 % of the answers"),
        "nchan, publish",
        "ms",
        Reach::AtMost(1.0),
    );
    let mut last = Row::ratio(&format!("{name} the last answer"), "nchan, publish", "ms", None);
    let mut times = [Vec::new(), Vec::new()];
    for round in 0..lab.plan.rounds {
        let mut values = [(0.0, 0.0); 2];
        for turn in 0..2 {
            let which = (turn + round) % 2;
            let changes = wake_all(lab, &holders[which]).await?;
            let of = |share: f64| {
                let quantile = |times: &Vec<Duration>| Spread::of(&milliseconds(times)).quantile(share);
                Spread::of(&changes.iter().map(quantile).collect::<Vec<_>>()).median()
            };
            values[which] = (of(0.99), of(1.0));
            lab.say(&format!(
                "fan-out {}/{}: {}: 99 % within {:.1} ms, all within {:.1} ms",
                round + 1,
                lab.plan.rounds,
                holders[which].name(),
                values[which].0,
                values[which].1
            ));
            times[which].extend(changes.concat());
        }
        p99.add(values[0].0, values[1].0);
        last.add(values[0].1, values[1].1);
    }
    let curve = |name, times: &[Duration]| Curve::of("all on one order", name, times);
    Ok(Measured {
        rows: vec![p99, last],
        curves: vec![
            curve("payquery, durable", &times[0]),
            curve("nchan, not durable", &times[1]),
        ],
        ..Measured::default()
    })
}

/// The times from each change to each answer.
async fn wake_all(lab: &Lab, holder: &Holder) -> anyhow::Result<Vec<Vec<Duration>>> {
    let mut holds = Holds::open(holder, lab.plan.held).await?;
    let mut reporter = Connection::open(holder.address()).await?;
    let mut changes = Vec::new();
    for _ in 0..CHANGES {
        holds.hold(holder).await?;
        let request = holder.change(0, holds.seen[0].version);
        let waiting = holds.wait();
        // All who wait are in their places before the clock runs.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        reporter.send(&request).await?;
        let woken = holds.gather(waiting).await?;
        changes.push(woken.into_iter().map(|at| at - start).collect());
        reporter.receive().await?;
    }
    Ok(changes)
}
