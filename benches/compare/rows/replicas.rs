//! A report at one replica, a request held at another; beside a bare LISTEN and NOTIFY on the same PostgreSQL.

use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;

use crate::lab::Lab;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Curve, Measured, Reach, Row, Spread, milliseconds};

const DATABASE: &str = "replicas";
const SAMPLES: usize = 100;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    lab.on_both_processors(measure(lab)).await
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    let launch = Launch::beside_the_load(lab, DATABASE);
    let (here, there) = (Payquery::start(lab, &launch)?, Payquery::start(lab, &launch)?);
    let what = "report at one replica → answer held at another";
    let row = |share: &str, peer: &str, reach| Row::ratio(&format!("{what}, {share} within"), peer, "ms", reach);
    let (bare, durable) = ("bare LISTEN and NOTIFY", "NOTIFY in a transaction that writes a row");
    let mut rows = [
        row("half", bare, Some(Reach::AtMost(2.0))),
        row("99 %", bare, Some(Reach::AtMost(3.0))),
        row("half", durable, None),
        row("99 %", durable, None),
    ];
    let mut all = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..lab.plan.rounds {
        let order = shop.stock(lab, 1).await?.remove(0);
        let ours = relay(&here, &there, &shop.api_key, &order).await?;
        let bare = notify(lab, "select pg_notify('bare', '')").await?;
        let durable = notify(
            lab,
            "with written as (insert into notified values (now()) returning at) select pg_notify('bare', '') from written",
        )
        .await?;
        let quantiles = |times: &[Duration]| [0.5, 0.99].map(|share| Spread::of(&milliseconds(times)).quantile(share));
        let [ours_at, bare_at, durable_at] = [&ours, &bare, &durable].map(|times| quantiles(times));
        lab.say(&format!(
            "replicas {}/{}: half / 99 % within: payquery {:.2} / {:.2} ms, bare {:.2} / {:.2} ms, with a row {:.2} / {:.2} ms",
            round + 1,
            lab.plan.rounds,
            ours_at[0],
            ours_at[1],
            bare_at[0],
            bare_at[1],
            durable_at[0],
            durable_at[1]
        ));
        for (at, row) in rows.iter_mut().enumerate() {
            let theirs = if at < 2 { bare_at } else { durable_at };
            row.add(ours_at[at % 2], theirs[at % 2]);
        }
        for (all, times) in all.iter_mut().zip([ours, bare, durable]) {
            all.extend(times);
        }
    }
    rows[0].note =
        "a report is on the disk before anybody hears of it; a notification alone writes nothing there".into();
    let names = ["payquery, over HTTP", "LISTEN and NOTIFY", "NOTIFY with a row written"];
    let curves = names.iter().zip(&all);
    Ok(Measured {
        rows: rows.into(),
        curves: curves
            .map(|(name, times)| Curve::of("from replica to replica", name, times))
            .collect(),
        ..Measured::default()
    })
}

/// So that nothing falls into step with a tick.
async fn pause() {
    tokio::time::sleep(Duration::from_micros(10_000 + fastrand::u64(0..10_000))).await;
}

async fn relay(
    here: &Payquery,
    there: &Payquery,
    api_key: &str,
    order: &crate::ours::Order,
) -> anyhow::Result<Vec<Duration>> {
    let (mut reporting, mut payer) = (here.connect().await?, there.connect().await?);
    let mut version = payer.ask(&order.poll(0)).await?.expect(200)?.version().unwrap_or(1);
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        payer.send(&order.hold(version)).await?;
        pause().await;
        let start = Instant::now();
        reporting.send(&order.report(api_key, version)).await?;
        let (answer, accepted) = tokio::join!(payer.receive(), reporting.receive());
        accepted?.expect(200)?;
        let answer = answer?.expect(200)?;
        times.push(answer.at - start);
        version = answer.version().unwrap_or(version + 1);
    }
    Ok(times)
}

async fn notify(lab: &Lab, sql: &'static str) -> anyhow::Result<Vec<Duration>> {
    let mut listener = PgListener::connect(&lab.cluster.url(DATABASE)).await?;
    listener.listen("bare").await?;
    let mut sender = lab.cluster.connect(DATABASE).await?;
    sqlx::query("create table if not exists notified (at timestamptz)")
        .execute(&mut sender)
        .await?;
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        pause().await;
        let start = Instant::now();
        let send = sqlx::query(sql).execute(&mut sender);
        let heard = async {
            listener.recv().await?;
            Ok(start.elapsed())
        };
        let (_, time) = tokio::try_join!(send, heard)?;
        times.push(time);
    }
    Ok(times)
}
