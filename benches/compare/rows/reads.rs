//! A thousand first polls of one order at the same moment: how often it is read from the database.

use futures_util::future::try_join_all;
use rustix::process::Signal;

use crate::chores::Chores;
use crate::lab::Lab;
use crate::ours::{Payquery, Shop};
use crate::result::{Measured, Reach, Row};

const DATABASE: &str = "reads";
const POLLERS: usize = 1000;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    lab.cluster.count_statements(DATABASE).await?;
    let ours = Payquery::start_alone(lab, DATABASE)?;
    let chores = Chores::learn(lab, DATABASE).await?;
    let mut orders = shop.stock(lab, lab.plan.rounds).await?;
    let mut row = Row::alone(
        "reads of the database for 1,000 simultaneous first polls of one order",
        "",
        Reach::AtMost(1.0),
    );
    for round in 0..lab.plan.rounds {
        let request = orders.remove(0).poll(0);
        let mut pollers = try_join_all((0..POLLERS).map(|_| ours.connect())).await?;
        let before = lab.cluster.statements(DATABASE).await?;
        // Stopped while they are sent, it then finds all of them at once.
        ours.server.signal(Signal::STOP);
        for poller in &mut pollers {
            poller.send(&request).await?;
        }
        ours.server.signal(Signal::CONT);
        for answer in try_join_all(pollers.iter_mut().map(|poller| poller.receive())).await? {
            answer.expect(200)?;
        }
        let (reads, _) = chores.calls_since(lab, &before).await?;
        lab.say(&format!("first polls {}/{}: {reads} read", round + 1, lab.plan.rounds));
        row.ours.push(reads as f64);
    }
    row.note = "every statement counts that an idle process does not send".into();
    Ok(Measured {
        rows: vec![row],
        ..Measured::default()
    })
}
