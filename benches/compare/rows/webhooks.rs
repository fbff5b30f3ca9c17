//! Webhooks at full speed: what lies in the log is queued, sent to receivers that take everything at once, and marked. Receivers,
//! payquery and database share both processors.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::AssertSqlSafe;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::client::request;
use crate::lab::Lab;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Measured, Row};

const DATABASE: &str = "webhooks";
/// As many endpoints as are measured with, and the events that each of them is sent in a round.
const ENDPOINTS: [(usize, usize); 2] = [(1, 2_000), (10, 400)];
const LIMIT: Duration = Duration::from_mins(1);

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    lab.on_both_processors(measure(lab)).await
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    let launch = Launch {
        flags: &["--webhook-allow=127.0.0.0/8"],
        ..Launch::beside_the_load(lab, DATABASE)
    };
    let ours = Payquery::start(lab, &launch)?;
    let (address, taken) = start_receiver().await?;
    let mut rows = Vec::new();
    let mut there = 0;
    for (endpoints, events) in ENDPOINTS {
        for _ in there..endpoints {
            create_endpoint(&ours, &shop, address).await?;
        }
        there = endpoints;
        let mut row = Row::alone(
            &format!("webhooks delivered a second, {endpoints} endpoints"),
            "/s",
            None,
        );
        for round in 0..lab.plan.rounds {
            let (before, expected) = (taken.load(Ordering::Relaxed), endpoints * events);
            let start = Instant::now();
            write_events(lab, &shop, events).await?;
            while taken.load(Ordering::Relaxed) - before < expected {
                ensure!(start.elapsed() < LIMIT, "not all were delivered within {LIMIT:?}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            row.ours.push(expected as f64 / start.elapsed().as_secs_f64());
            lab.say(&format!(
                "webhooks {}/{}, {endpoints} endpoints: {:.0}/s",
                round + 1,
                lab.plan.rounds,
                row.ours[round]
            ));
        }
        rows.push(row);
    }
    rows[0].note = "each event of an order of its own; from the commit of the events to the last request that was taken; signed, over plain HTTP, and marked in the database".into();
    Ok(Measured {
        rows,
        ..Measured::default()
    })
}

async fn create_endpoint(ours: &Payquery, shop: &Shop, address: SocketAddr) -> anyhow::Result<()> {
    let bearer = format!("Bearer {}", shop.api_key);
    let body = format!(r#"{{"url":"http://{address}/"}}"#);
    let create = request(
        "POST",
        "/v1/webhook-endpoints",
        &[("Authorization", &bearer)],
        Some(&body),
    );
    ours.connect().await?.ask(&create).await?.expect(201)?;
    Ok(())
}

/// Events of that many orders, with one statement.
async fn write_events(lab: &Lab, shop: &Shop, count: usize) -> anyhow::Result<()> {
    let mut connection = lab.cluster.connect(DATABASE).await?;
    let sql = format!(
        "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                   accepted, at, data)
         select gen_random_uuid(), 'order.succeeded', gen_random_uuid(), '{}', 'W' || n, 2, 'pending', 'succeeded', 'merchant',
                true, now(), '{{\"amount\": 1000, \"currency\": \"CNY\", \"late\": false, \"refunded_amount\": 0}}'
         from generate_series(1, {count}) as n",
        shop.merchant
    );
    sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(())
}

/// A receiver that takes whatever comes, and counts it.
async fn start_receiver() -> anyhow::Result<(SocketAddr, Arc<AtomicUsize>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let (address, taken) = (listener.local_addr()?, Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_all(stream, Arc::clone(&count)));
        }
    });
    Ok((address, taken))
}

async fn take_all(mut stream: TcpStream, count: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut received = Vec::new();
    loop {
        while let Some(length) = request_length(&received) {
            received.drain(..length);
            count.fetch_add(1, Ordering::Relaxed);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
        if stream.read_buf(&mut received).await? == 0 {
            return Ok(());
        }
    }
}

/// The bytes of the first request; None when it is not there whole.
fn request_length(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&received[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    let whole = head + length.parse::<usize>().ok()?;
    (received.len() >= whole).then_some(whole)
}
