//! Ten thousand requests held, each on an order of its own: what one weighs, and how soon each hears of its order's change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Executor as _;

use crate::bare::Answers;
use crate::client::get;
use crate::holds::{Holder, Holds, change_each};
use crate::lab::Lab;
use crate::ours::{Order, Payquery, Shop};
use crate::peers::{self, Nginx};
use crate::report::number;
use crate::result::{Curve, JudgedBy, Measured, Reach, Row, Spread, milliseconds};

const DATABASE: &str = "held";
/// Memory is looked at when nothing moves any more.
const SETTLE: Duration = Duration::from_millis(500);

/// What one turn of one server came to.
struct Turn {
    /// Kilobytes for each held request, on top of its document.
    request: f64,
    /// The same with its document in memory.
    with_document: f64,
    woken_after: Vec<Duration>,
}

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    drop(Payquery::start_alone(lab, DATABASE)?); // makes the issuing key
    let orders = shop.stock(lab, lab.plan.held).await?;
    let held = format!(
        "memory for a held request ({} held, an order each)",
        number(lab.plan.held as f64)
    );
    let mut against_nchan = Row::ratio(&held, "nchan, long-poll", "kB", Reach::AtMost(1.2));
    let mut against_bare = Row::ratio(&held, "bare actix-web", "kB", None);
    let (mut ours_times, mut nchan_times, mut commits) = (Vec::new(), Vec::new(), Vec::new());
    let mut with_order = Vec::new();
    for round in 0..lab.plan.rounds {
        let say = |name: &str, turn: &Turn| {
            let spread = Spread::of(&milliseconds(&turn.woken_after));
            let woken = format!(
                ", half woken within {:.2} ms, 99 % within {:.2} ms",
                spread.quantile(0.5),
                spread.quantile(0.99)
            );
            let woken = if turn.woken_after.is_empty() { "" } else { &woken };
            let kilobytes = turn.request;
            lab.say(&format!(
                "held {}/{}: {name}: {kilobytes:.1} kB each{woken}",
                round + 1,
                lab.plan.rounds
            ));
        };
        let ours = turn(lab, &start_ours(lab, &shop, &orders)?).await?;
        say("payquery", &ours);
        if peers::nchan_module().is_some() {
            let nchan = turn(lab, &start_nchan(lab)?).await?;
            say("nchan", &nchan);
            against_nchan.add(ours.request, nchan.request);
            nchan_times.push(nchan.woken_after);
        }
        let bare = turn(lab, &start_bare(lab).await?).await?;
        say("bare actix-web", &bare);
        against_bare.add(ours.request, bare.request);
        with_order.push(ours.with_document);
        ours_times.push(ours.woken_after);
        commits.push(commit_milliseconds(lab).await?);
    }
    let with_order = Spread::of(&with_order).median();
    against_nchan.note =
        format!("with its order in memory {with_order:.1} kB; actix-web's own share is in the next row");
    let mut rows = vec![against_nchan, against_bare];
    if !nchan_times.is_empty() {
        rows.extend(wake_rows(lab, &ours_times, &nchan_times, Spread::of(&commits).median()));
    }
    let curves = [("payquery, durable", &ours_times), ("nchan, not durable", &nchan_times)];
    let curves = curves.into_iter().filter(|(_, times)| !times.is_empty());
    Ok(Measured {
        rows,
        curves: curves
            .map(|(name, times)| Curve::of("each order reported once", name, &times.concat()))
            .collect(),
        ..Measured::default()
    })
}

fn wake_rows(lab: &Lab, ours: &[Vec<Duration>], nchan: &[Vec<Duration>], commit: f64) -> [Row; 2] {
    [("half of them", 0.5), ("99 % of them", 0.99)].map(|(name, share)| {
        let what = format!(
            "{} held, an order each, each reported once: {name} are woken within",
            number(lab.plan.held as f64)
        );
        let mut row = Row::ratio(&what, "nchan, publish (not durable)", "ms", None);
        row.judged_by = JudgedBy::Difference;
        row.note = format!(
            "{:.0} reports a second; a commit took {commit:.2} ms",
            lab.plan.report_rate
        );
        if name == "half of them" {
            row.reach = Some(Reach::AtMost(1.0 + commit));
        }
        for (ours, nchan) in ours.iter().zip(nchan) {
            row.add(
                Spread::of(&milliseconds(ours)).quantile(share),
                Spread::of(&milliseconds(nchan)).quantile(share),
            );
        }
        row
    })
}

/// One server from its start: documents, connections, holds, and one change for each.
async fn turn(lab: &Lab, holder: &Holder) -> anyhow::Result<Turn> {
    let server = holder.server();
    let empty = server.memory();
    holder.prepare().await?;
    tokio::time::sleep(SETTLE).await;
    let before = server.memory();
    let mut holds = Holds::open(holder, lab.plan.held).await?;
    holds.hold(holder).await?;
    tokio::time::sleep(SETTLE).await;
    let after = server.memory();
    let share = |bytes: u64, less: u64| bytes.saturating_sub(less) as f64 / 1e3 / lab.plan.held as f64;
    let mut turn = Turn {
        request: share(after, before),
        with_document: share(after, empty),
        woken_after: Vec::new(),
    };
    if !matches!(holder, Holder::Bare { .. }) {
        let waiting = holds.wait();
        let due = change_each(lab, holder, &holds.seen).await?;
        let woken = holds.gather(waiting).await?;
        turn.woken_after = woken
            .iter()
            .zip(due)
            .map(|(woken, due)| woken.saturating_duration_since(due))
            .collect();
    }
    Ok(turn)
}

pub fn start_ours(lab: &Lab, shop: &Shop, orders: &[Order]) -> anyhow::Result<Holder> {
    Ok(Holder::Ours {
        payquery: Arc::new(Payquery::start_alone(lab, &shop.database)?),
        orders: orders.to_vec(),
        api_key: shop.api_key.clone(),
    })
}

/// A document of the size that payquery's has.
const DOCUMENT: &str = r#"{"order_id":"0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","status":"processing","reason":null,"final":false,"late":false,"version":2,"amount":1000,"currency":"CNY","paid_at":null,"updated_at":"2026-01-01T00:00:00.000Z"}"#;

fn start_nchan(lab: &Lab) -> anyhow::Result<Holder> {
    Ok(Holder::Nchan {
        nginx: Nginx::start(lab, DOCUMENT.as_bytes())?,
        channels: lab.plan.held,
        document: DOCUMENT.into(),
    })
}

async fn start_bare(lab: &Lab) -> anyhow::Result<Holder> {
    let answers = Answers {
        unchanged_headers: Vec::new(),
        full_headers: Vec::new(),
        body: DOCUMENT.into(),
    };
    let server = peers::start_bare(lab, &answers)?;
    // The first request makes what later ones share.
    crate::client::Connection::open(server.address)
        .await?
        .ask(&get("/held", &[]))
        .await?;
    Ok(Holder::Bare { server })
}

/// The same for one channel, for those who all wait on one.
pub fn start_nchan_channel(lab: &Lab) -> anyhow::Result<Holder> {
    Ok(Holder::Nchan {
        nginx: Nginx::start(lab, DOCUMENT.as_bytes())?,
        channels: 1,
        document: DOCUMENT.into(),
    })
}

/// The median time of a lone commit that writes one row.
async fn commit_milliseconds(lab: &Lab) -> anyhow::Result<f64> {
    let mut connection = lab.cluster.connect(DATABASE).await?;
    connection
        .execute("create table if not exists commits (at timestamptz)")
        .await?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        sqlx::query("insert into commits values (now())")
            .execute(&mut connection)
            .await?;
        times.push(start.elapsed());
    }
    Ok(Spread::of(&milliseconds(&times)).median())
}
