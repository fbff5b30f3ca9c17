//! A process that nobody asks anything.

use std::time::{Duration, Instant};

use crate::lab::Lab;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Measured, Reach, Row};

const DATABASE: &str = "idle";
/// It has started, and each chore has had its turn.
const SETTLE: Duration = Duration::from_secs(3);

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    Shop::open(lab, DATABASE).await?;
    let launch = Launch {
        workers: 2,
        ..Launch::beside_the_load(lab, DATABASE)
    };
    let ours = Payquery::start(lab, &launch)?;
    tokio::time::sleep(SETTLE).await;
    let mut processor = Row::alone("idle: processor time", "% of a processor", Reach::AtMost(0.5));
    let mut memory = Row::alone("idle: memory", "MB", Reach::AtMost(40.0));
    for _ in 0..lab.plan.rounds {
        let (before, start) = (ours.server.processor_time(), Instant::now());
        tokio::time::sleep(Duration::from_secs(lab.plan.idle_seconds.into()) / lab.plan.rounds as u32).await;
        let used = ours.server.processor_time().saturating_sub(before);
        processor
            .ours
            .push(100.0 * used.as_secs_f64() / start.elapsed().as_secs_f64());
        memory.ours.push(ours.server.memory() as f64 / 1e6);
    }
    let (percent, megabytes) = (processor.ours[0], memory.ours[0]);
    lab.say(&format!("idle: {percent:.2} % of a processor, {megabytes:.1} MB"));
    Ok(Measured {
        rows: vec![processor, memory],
        ..Measured::default()
    })
}
