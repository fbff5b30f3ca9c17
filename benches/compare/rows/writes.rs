//! Reports and creations at full speed over 64 connections, beside `pgbench` with 64 clients on the same PostgreSQL. Client,
//! server and database share both processors.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use crate::client::request;
use crate::lab::Lab;
use crate::ours::{Launch, Order, Payquery, Shop};
use crate::result::{Measured, Reach, Row};

const OURS: &str = "writes";
const PEER: &str = "pgbench";
/// Orders that reports go round, there and here.
pub const ORDERS: usize = 10_000;
const CONNECTIONS: usize = 64;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    lab.on_both_processors(measure(lab)).await
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, OURS).await?;
    stock_peer(lab).await?;
    let launch = Launch::beside_the_load(lab, OURS);
    let ours = Payquery::start(lab, &launch)?;
    let orders = shop.stock(lab, ORDERS).await?;
    let mut versions = vec![1; ORDERS];
    let reports = "durable reports of a status a second, 64 connections";
    let creations = "creations of an order a second, 64 connections";
    let mut rows = [
        (
            Row::ratio(reports, "pgbench, the same statement", "/s", Reach::AtLeast(1.5)),
            "report.sql",
        ),
        (
            Row::ratio(reports, "pgbench, with pg_notify in each", "/s", Reach::AtLeast(6.0)),
            "report-notify.sql",
        ),
        (
            Row::ratio(creations, "pgbench, one insert (no event)", "/s", Reach::AtLeast(1.0)),
            "create.sql",
        ),
        (
            Row::ratio(creations, "pgbench, with the event", "/s", None),
            "create-event.sql",
        ),
    ];
    let time = Duration::from_secs(lab.plan.write_seconds.into());
    for round in 0..lab.plan.rounds {
        let say = |name: &str, rate: f64| {
            lab.say(&format!(
                "writes {}/{}: {name}: {rate:.0}/s",
                round + 1,
                lab.plan.rounds
            ));
        };
        let reported = report_all(&ours, &shop, &orders, &mut versions, time).await?;
        say("payquery, reports", reported);
        let created = create_all(&ours, &shop, time).await?;
        say("payquery, creations", created);
        for (row, script) in &mut rows {
            let rate = lab.cluster.pgbench(PEER, script, lab.plan.write_seconds)?;
            say(&row.peer, rate);
            tokio::task::yield_now().await; // a Ctrl-C is heard between two loads
            row.add(if row.what == reports { reported } else { created }, rate);
        }
    }
    check_versions(lab, &orders, &versions).await?;
    rows[0].0.note = "client, server and database on both processors; each report is a real change, and was found in the table afterwards".into();
    Ok(Measured {
        rows: rows.map(|(row, _)| row).into(),
        ..Measured::default()
    })
}

/// Changes a second. Each connection has orders of its own, and goes round them.
async fn report_all(
    ours: &Payquery,
    shop: &Shop,
    orders: &[Order],
    versions: &mut [i64],
    time: Duration,
) -> anyhow::Result<f64> {
    let start = Instant::now();
    let share = orders.len().div_ceil(CONNECTIONS);
    let reporters = orders
        .chunks(share)
        .zip(versions.chunks_mut(share))
        .map(|(orders, versions)| async move {
            let mut connection = ours.connect().await?;
            let mut done = 0;
            while start.elapsed() < time {
                let at = done % orders.len();
                let answer = connection
                    .ask(&orders[at].report(&shop.api_key, versions[at]))
                    .await?
                    .expect(200)?;
                versions[at] += 1;
                ensure!(
                    answer.version() == Some(versions[at]),
                    "a report was no change: {}",
                    answer.head
                );
                done += 1;
            }
            anyhow::Ok(done)
        });
    let done: usize = try_join_all(reporters).await?.into_iter().sum();
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

async fn create_all(ours: &Payquery, shop: &Shop, time: Duration) -> anyhow::Result<f64> {
    let start = Instant::now();
    let bearer = format!("Bearer {}", shop.api_key);
    let creators = (0..CONNECTIONS).map(|_| async {
        let mut connection = ours.connect().await?;
        let mut done = 0;
        while start.elapsed() < time {
            let body = format!(
                r#"{{"out_trade_no":"B{}","amount":1000,"currency":"CNY"}}"#,
                fastrand::u64(..)
            );
            let create = request("POST", "/v1/orders", &[("Authorization", &bearer)], Some(&body));
            connection.ask(&create).await?.expect(201)?;
            done += 1;
        }
        anyhow::Ok(done)
    });
    let done: usize = try_join_all(creators).await?.into_iter().sum();
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// What was acknowledged is in the table.
async fn check_versions(lab: &Lab, orders: &[Order], versions: &[i64]) -> anyhow::Result<()> {
    let mut connection = lab.cluster.connect(OURS).await?;
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    let sql = "select sum(version)::bigint as versions from orders where id = any($1)";
    let row = sqlx::query(sql).bind(ids).fetch_one(&mut connection).await?;
    let stored: i64 = row.try_get("versions")?;
    let acknowledged: i64 = versions.iter().sum();
    ensure!(
        stored == acknowledged,
        "the table stands at {stored} versions, {acknowledged} were acknowledged"
    );
    Ok(())
}

/// The same tables, with numbered orders.
async fn stock_peer(lab: &Lab) -> anyhow::Result<()> {
    Shop::open(lab, PEER).await?;
    let mut connection = lab.cluster.connect(PEER).await?;
    let sql = format!(
        "insert into orders (id, merchant_id, out_trade_no, amount, currency, client_secret, fingerprint, status, late,
                             version, refunded_amount, created_at, updated_at, expires_at)
         select ('00000000-0000-7000-8000-' || lpad(number::text, 12, '0'))::uuid, '00000000-0000-7000-8000-000000000000',
                'S' || number, 1000, 'CNY', 'pqs_0123456789012345678901234567890123456789012',
                decode(repeat('00', 32), 'hex'), 'pending', false, 1, 0, now(), now(), now() + interval '1 day'
         from generate_series(1, {ORDERS}) as number"
    );
    connection.execute(AssertSqlSafe(sql)).await?;
    connection.execute("analyze orders").await?;
    Ok(())
}
