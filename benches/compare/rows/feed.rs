//! A merchant's whole event feed, read as fast as it comes: by pages and by lines, beside what PostgreSQL itself does with the same
//! rows. One reader; client, server and database share both processors.

use std::time::Instant;

use anyhow::ensure;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgPoolCopyExt as _;
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool, Row as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::get;
use crate::lab::Lab;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Measured, Row};

const DATABASE: &str = "feed";
/// Written by so many transactions.
const EVENTS: usize = 100_000;
const TRANSACTIONS: usize = 2_000;
const PAGE: usize = 200;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    lab.on_both_processors(Box::pin(measure(lab))).await
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let shop = Shop::open(lab, DATABASE).await?;
    let launch = Launch::beside_the_load(lab, DATABASE);
    let ours = Payquery::start(lab, &launch)?;
    shop.stock(lab, EVENTS / TRANSACTIONS).await?;
    let mut database = lab.cluster.connect(DATABASE).await?;
    write_events(&mut database).await?;
    let pool = PgPool::connect(&lab.cluster.url(DATABASE)).await?;
    let mut pages = Row::ratio(
        "events a second, the feed by pages of 200",
        "SQL by the same index, pages of 200",
        "/s",
        None,
    );
    let mut lines = Row::ratio(
        "events a second, the feed as lines",
        "SQL, COPY of row_to_json",
        "/s",
        None,
    );
    for round in 0..lab.plan.rounds {
        pages.add(
            rate(read_pages(&ours, &shop)).await?,
            rate(select_pages(&mut database)).await?,
        );
        lines.add(rate(read_lines(&ours, &shop)).await?, rate(copy_rows(&pool)).await?);
        for row in [&pages, &lines] {
            lab.say(&format!(
                "feed {}/{}: {}: {:.0}, beside it {:.0}",
                round + 1,
                lab.plan.rounds,
                row.what,
                row.ours[round],
                row.theirs[round]
            ));
        }
    }
    pages.note =
        format!("{EVENTS} events of one merchant by {TRANSACTIONS} transactions, all read each time by one reader");
    pool.close().await;
    Ok(Measured {
        rows: vec![pages, lines],
        ..Measured::default()
    })
}

/// Each of the orders once in each transaction.
async fn write_events(database: &mut PgConnection) -> anyhow::Result<()> {
    for version in 1..=TRANSACTIONS {
        let sql = format!(
            "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                       accepted, at, data)
             select gen_random_uuid(), 'order.processing', id, merchant_id, out_trade_no, {version}, 'pending', 'processing',
                    'merchant', true, now(), json_build_object('amount', amount, 'currency', currency, 'late', false,
                    'paid_at', null, 'refunded_amount', 0, 'transaction_id', null)::jsonb
             from orders"
        );
        database.execute(AssertSqlSafe(sql)).await?;
    }
    database.execute("analyze order_events").await?;
    Ok(())
}

/// Events a second.
async fn rate(reading: impl Future<Output = anyhow::Result<usize>>) -> anyhow::Result<f64> {
    let start = Instant::now();
    let read = reading.await?;
    ensure!(read == EVENTS, "{read} events were read, {EVENTS} are there");
    Ok(read as f64 / start.elapsed().as_secs_f64())
}

async fn read_pages(ours: &Payquery, shop: &Shop) -> anyhow::Result<usize> {
    let bearer = format!("Bearer {}", shop.api_key);
    let mut connection = ours.connect().await?;
    let (mut read, mut after) = (0, String::new());
    loop {
        let request = get(
            &format!("/v1/events?limit={PAGE}{after}"),
            &[("Authorization", &bearer)],
        );
        let answer = connection.ask(&request).await?.expect(200)?;
        let page: Page<'_> = serde_json::from_slice(&answer.body)?;
        read += page.data.len();
        if !page.has_more {
            return Ok(read);
        }
        after = format!("&after={}", page.next_cursor);
    }
}

#[derive(serde::Deserialize)]
struct Page<'a> {
    data: Vec<serde::de::IgnoredAny>,
    next_cursor: &'a str,
    has_more: bool,
}

async fn read_lines(ours: &Payquery, shop: &Shop) -> anyhow::Result<usize> {
    let bearer = format!("Bearer {}", shop.api_key);
    let fields = [("Authorization", &*bearer), ("Accept", "application/x-ndjson")];
    let mut connection = TcpStream::connect(ours.server.address).await?;
    connection.write_all(&get("/v1/events", &fields)).await?;
    let (mut lines, mut previous) = (0, 0);
    let (mut chunk, mut tail) = (vec![0; 64 * 1024], Vec::new());
    // The end of the body (RFC 9112 §7.1).
    while !tail.ends_with(b"\r\n0\r\n\r\n") {
        let count = connection.read(&mut chunk).await?;
        ensure!(count > 0, "the lines broke off");
        for byte in &chunk[..count] {
            lines += usize::from((previous, *byte) == (b'}', b'\n'));
            previous = *byte;
        }
        tail.extend_from_slice(&chunk[..count]);
        tail.drain(..tail.len().saturating_sub(8));
    }
    // The last line is no event.
    Ok(lines - 1)
}

async fn select_pages(database: &mut PgConnection) -> anyhow::Result<usize> {
    let sql = "select seq, xid::text as written_by, id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status,
                      source, accepted, reason, at, data
               from order_events
               where merchant_id = (select id from merchants) and (xid, seq) > ($1::text::xid8, $2)
               order by xid, seq limit $3";
    let (mut read, mut xid, mut seq) = (0, "0".to_owned(), 0_i64);
    loop {
        let query = sqlx::query(sql).bind(&xid).bind(seq).bind(PAGE as i64);
        let rows = query.fetch_all(&mut *database).await?;
        let Some(last) = rows.last() else { return Ok(read) };
        (xid, seq) = (last.try_get("written_by")?, last.try_get("seq")?);
        read += rows.len();
    }
}

async fn copy_rows(pool: &PgPool) -> anyhow::Result<usize> {
    let sql = "copy (select row_to_json(event)
                     from (select id, kind as type, order_id, out_trade_no, version, from_status as from, to_status as to, source,
                                  accepted, reason, at, data
                           from order_events where merchant_id = (select id from merchants) order by xid, seq) as event)
               to stdout";
    let mut rows = pool.copy_out_raw(sql).await?;
    let mut read = 0;
    // A message has a row.
    while let Some(row) = rows.try_next().await? {
        read += usize::from(!row.is_empty());
    }
    Ok(read)
}
