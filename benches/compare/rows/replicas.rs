//! A report at one replica, a request held at another; beside a bare LISTEN and NOTIFY on the same PostgreSQL.

use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;

use crate::lab::Lab;
use crate::machine::Cores;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Curve, Measured, Reach, Row, Spread, milliseconds};

const DATABASE: &str = "replicas";
const SAMPLES: usize = 150;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    Cores::move_self(&lab.cores.both)?;
    let measured = measure(lab).await;
    Cores::move_self(&lab.cores.load)?;
    measured
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    let launch = Launch {
        database: DATABASE,
        cores: &lab.cores.both,
        workers: 1,
        flags: &[],
        under: &[],
    };
    let (here, there) = (Payquery::start(lab, &launch)?, Payquery::start(lab, &launch)?);
    let what = "report at one replica → answer held at another";
    let peer = "bare LISTEN and NOTIFY";
    let mut half = Row::ratio(&format!("{what}, half within"), peer, "ms", Reach::AtMost(2.0));
    let mut most = Row::ratio(&format!("{what}, 99 % within"), peer, "ms", Reach::AtMost(3.0));
    let (mut all_ours, mut all_bare) = (Vec::new(), Vec::new());
    for round in 0..lab.plan.rounds {
        let order = shop.stock(lab, 1).await?.remove(0);
        let ours = relay(&here, &there, &shop.api_key, &order).await?;
        let bare = notify(lab).await?;
        let quantiles = |times: &[Duration]| {
            let spread = Spread::of(&milliseconds(times));
            (spread.quantile(0.5), spread.quantile(0.99))
        };
        let (ours_at, bare_at) = (quantiles(&ours), quantiles(&bare));
        lab.say(&format!(
            "replicas {}/{}: payquery {:.2} / {:.2} ms, bare {:.2} / {:.2} ms",
            round + 1,
            lab.plan.rounds,
            ours_at.0,
            ours_at.1,
            bare_at.0,
            bare_at.1
        ));
        half.add(ours_at.0, bare_at.0);
        most.add(ours_at.1, bare_at.1);
        all_ours.extend(ours);
        all_bare.extend(bare);
    }
    half.note = "the report is committed first; the bare notification is a commit too".into();
    let curve = |name, times: &[Duration]| Curve::of("from replica to replica", name, times);
    Ok(Measured {
        rows: vec![half, most],
        curves: vec![
            curve("payquery, over HTTP", &all_ours),
            curve("LISTEN and NOTIFY", &all_bare),
        ],
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
    let (mut reporter, mut payer) = (here.connect().await?, there.connect().await?);
    let mut version = payer.ask(&order.poll(0)).await?.expect(200)?.version().unwrap_or(1);
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        payer.send(&order.hold(version)).await?;
        pause().await;
        let start = Instant::now();
        reporter.send(&order.report(api_key, version)).await?;
        let (answer, reported) = tokio::join!(payer.receive(), reporter.receive());
        reported?.expect(200)?;
        let answer = answer?.expect(200)?;
        times.push(answer.at - start);
        version = answer.version().unwrap_or(version + 1);
    }
    Ok(times)
}

async fn notify(lab: &Lab) -> anyhow::Result<Vec<Duration>> {
    let mut listener = PgListener::connect(&lab.cluster.url(DATABASE)).await?;
    listener.listen("bare").await?;
    let mut sender = lab.cluster.connect(DATABASE).await?;
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        pause().await;
        let start = Instant::now();
        let send = sqlx::query("select pg_notify('bare', '')").execute(&mut sender);
        let heard = async {
            listener.recv().await?;
            Ok(start.elapsed())
        };
        let (_, time) = tokio::try_join!(send, heard)?;
        times.push(time);
    }
    Ok(times)
}
