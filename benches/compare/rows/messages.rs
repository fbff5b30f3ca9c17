//! Events out by RabbitMQ at full speed: a backlog is let go, beside a bare publisher that sends the same bodies in the same way to
//! the same queue. Client, server, broker and database share both processors.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use futures_util::future::join_all;
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use rustix::process::Signal;
use sqlx::{AssertSqlSafe, Executor as _};

use crate::lab::Lab;
use crate::ours::{Launch, Payquery, Shop};
use crate::result::{Measured, Row};

const DATABASE: &str = "messages";
const EXCHANGE: &str = "payquery.events";
const QUEUE: &str = "bench";
/// Events of a backlog, and how many of them were committed together: as batches of reports are.
const EVENTS: usize = 20_000;
const TOGETHER: usize = 50;
/// Messages that are under way at once, there and here.
const PAGE: usize = 500;

pub async fn run(lab: &Lab) -> anyhow::Result<Measured> {
    lab.on_both_processors(measure(lab)).await
}

async fn measure(lab: &Lab) -> anyhow::Result<Measured> {
    let broker = Broker::start()?;
    let connection = Connection::connect(&broker.url, ConnectionProperties::default()).await?;
    let channel = bind(&connection).await?;
    let shop = Shop::open(lab, DATABASE).await?;
    let amqp_url = format!("--amqp-url={}", broker.url);
    let launch = Launch {
        flags: &[&amqp_url, "--amqp-updates=false"],
        ..Launch::beside_the_load(lab, DATABASE)
    };
    let ours = Payquery::start(lab, &launch)?;
    shop.stock(lab, TOGETHER).await?;
    let mut row = Row::ratio(
        "events a second to RabbitMQ, each confirmed",
        "bare publisher, the same messages",
        "/s",
        None,
    );
    for round in 0..lab.plan.rounds {
        let sent = send_backlog(lab, &ours, &channel).await?;
        let bare = publish_bare(&channel).await?;
        let (round, rounds) = (round + 1, lab.plan.rounds);
        lab.say(&format!(
            "messages {round}/{rounds}: payquery {sent:.0}/s, bare {bare:.0}/s"
        ));
        row.add(sent, bare);
    }
    row.note = format!(
        "a backlog of {EVENTS} events, read from the log, sent and marked {PAGE} at a time; all were found in the queue afterwards"
    );
    Ok(Measured {
        rows: vec![row],
        ..Measured::default()
    })
}

/// Events a second, from the moment in which payquery may begin until the last is confirmed and marked in the log, by its own count.
/// (That is asked for once the queue has them all, so what asking costs falls into the last page.)
async fn send_backlog(lab: &Lab, ours: &Payquery, channel: &Channel) -> anyhow::Result<f64> {
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    let before = confirmed(ours).await?;
    ours.server.signal(Signal::STOP);
    let written = write_events(lab).await;
    ours.server.signal(Signal::CONT);
    let start = Instant::now();
    written?;
    while count(channel).await? < EVENTS {
        ensure!(start.elapsed() < Duration::from_mins(1), "the events do not arrive");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    while confirmed(ours).await? - before < EVENTS as f64 {
        ensure!(start.elapsed() < Duration::from_mins(1), "the events are not confirmed");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(EVENTS as f64 / start.elapsed().as_secs_f64())
}

async fn confirmed(ours: &Payquery) -> anyhow::Result<f64> {
    ours.metric("payquery_rabbitmq_events_total{outcome=\"confirmed\"}")
        .await
}

/// As changes of orders would have left them in the log.
async fn write_events(lab: &Lab) -> anyhow::Result<()> {
    let mut connection = lab.cluster.connect(DATABASE).await?;
    let sql = "insert into order_events (id, kind, order_id, merchant_id, out_trade_no, version, from_status, to_status, source,
                                         accepted, reason, at, data)
               select gen_random_uuid(), 'order.processing', id, merchant_id, out_trade_no, 2, 'pending', 'processing', 'merchant',
                      true, null, now(), '{\"amount\": 1000, \"currency\": \"CNY\", \"refunded_amount\": 0,
                                          \"transaction_id\": null, \"paid_at\": null, \"late\": false}'
               from orders";
    for _ in 0..EVENTS / TOGETHER {
        connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    }
    Ok(())
}

async fn publish_bare(channel: &Channel) -> anyhow::Result<f64> {
    channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await?;
    let body = br#"{"id":"019c1f7d-0b3e-4b3c-9a41-0c1d2e3f4a5b","type":"order.processing","order_id":"0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","out_trade_no":"0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b","version":2,"from":"pending","to":"processing","source":"merchant","accepted":true,"reason":null,"at":"2026-11-20T09:37:37.042Z","data":{"amount":1000,"currency":"CNY","late":false,"paid_at":null,"refunded_amount":0,"transaction_id":null}}"#;
    let options = BasicPublishOptions {
        mandatory: true,
        immediate: false,
    };
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id("019c1f7d-0b3e-4b3c-9a41-0c1d2e3f4a5b".into());
    let start = Instant::now();
    for _ in 0..EVENTS / PAGE {
        let page = (0..PAGE).map(|_| async {
            let key = "order.processing".into();
            let sent = channel.basic_publish(EXCHANGE.into(), key, options, body, properties.clone());
            sent.await?.await
        });
        for confirmation in join_all(page).await {
            ensure!(confirmation?.is_ack(), "the broker refused a message");
        }
    }
    Ok(EVENTS as f64 / start.elapsed().as_secs_f64())
}

/// A channel that confirms, and a durable queue that all events go to.
async fn bind(connection: &Connection) -> anyhow::Result<Channel> {
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    let nothing = FieldTable::default;
    channel
        .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, nothing())
        .await?;
    let durable = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    channel.queue_declare(QUEUE.into(), durable, nothing()).await?;
    let options = QueueBindOptions::default();
    channel
        .queue_bind(QUEUE.into(), EXCHANGE.into(), "#".into(), options, nothing())
        .await?;
    Ok(channel)
}

async fn count(channel: &Channel) -> anyhow::Result<usize> {
    let looking = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let queue = channel
        .queue_declare(QUEUE.into(), looking, FieldTable::default())
        .await?;
    Ok(queue.message_count() as usize)
}

/// A broker of this family's own; it ends with this value.
struct Broker {
    url: String,
    child: Child,
}

impl Broker {
    fn start() -> anyhow::Result<Self> {
        let mut child = Command::new("scripts/scratch-rabbitmq.sh")
            .args(["sh", "-c", "echo \"$SCRATCH_AMQP_URL\"; cat >/dev/null"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().context("its output is piped")?;
        let url = BufReader::new(output).lines().next();
        let url = url.context("RabbitMQ is not installed, or does not start")??;
        Ok(Self { url, child })
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.child.stdin.take()); // which is what it waits for
        let _ = self.child.wait();
    }
}
