//! Taking messages from the queue, one connection's life after the other.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::desk::{Applied, Desk, Problem, Refusal, Update};
use super::lanes::{Lane, Lanes};
use super::message::Message;
use super::{DEAD, UPDATES, dead_letter};
use crate::amqp::{self, AmqpError, Backoff, Broker, Outage, short, until_stopped};
use crate::domain::order::MerchantId;

/// Messages in memory at once. Enough for whole batches (`service::update`), few enough that the largest are bearable.
const PREFETCH: u16 = 128;
/// Between two tries of what passes by itself. (While the database is away nobody asks it: a try costs nothing.)
const PAUSE: Duration = Duration::from_millis(500);

/// See `intake`.
#[derive(Debug)]
pub struct Consumer {
    broker: Broker,
    desk: Arc<dyn Desk>,
    counters: Counters,
}

#[derive(Debug, Clone)]
struct Counters {
    connected: Gauge,
    applied: Counter,
    dead: Counter,
    retried: Counter,
    failures: Counter,
}
/// A connection that lasts so long was a good one.
const LASTING: Duration = Duration::from_secs(10);

impl Consumer {
    pub fn new(broker: Broker, desk: Arc<dyn Desk>) -> Self {
        let updates = |outcome: &'static str| counter!("payquery_rabbitmq_updates_total", "outcome" => outcome);
        Self {
            broker,
            desk,
            counters: Counters {
                connected: gauge!("payquery_rabbitmq_connected", "for" => "updates"),
                applied: updates("applied"),
                dead: updates("dead"),
                retried: updates("retried"),
                failures: counter!("payquery_rabbitmq_intake_failures_total"),
            },
        }
    }

    /// Takes messages until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (mut outage, mut backoff) = (Outage::of("updates from rabbitmq"), Backoff::default());
        while !stop.is_cancelled() {
            if let Err(error) = self.sit(&stop, &mut outage, &mut backoff).await {
                self.counters.failures.increment(1);
                outage.failed(&error);
                let _ = stop.run_until_cancelled(sleep(backoff.pause())).await;
            }
        }
    }

    /// One connection's life. Ends well only when it is to stop.
    async fn sit(&self, stop: &CancellationToken, outage: &mut Outage, backoff: &mut Backoff) -> Result<(), AmqpError> {
        let Some(connection) = stop.run_until_cancelled(self.broker.connect("payquery: updates")).await else {
            return Ok(());
        };
        let connection = connection?;
        let mut sitting = self.sit_down(&connection).await;
        let outcome = match &mut sitting {
            Ok(sitting) => {
                outage.works();
                self.counters.connected.set(1.0);
                let since = Instant::now();
                let outcome = sitting.take_messages(stop).await;
                // (One that ends at its first message, each time, is not begun anew as fast as that.)
                if since.elapsed() > LASTING {
                    backoff.reset();
                }
                outcome
            }
            Err(error) => Err(error.clone()),
        };
        self.counters.connected.set(0.0);
        // (While channels and consumer are still held.)
        amqp::close(&connection).await;
        outcome
    }

    async fn sit_down(&self, connection: &Connection) -> Result<Sitting, AmqpError> {
        amqp::ensure_queue(connection, DEAD, of_type_quorum()).await?;
        amqp::ensure_queue(connection, UPDATES, one_consumer_at_a_time()).await?;
        let channel = amqp::within("opening a channel", connection.create_channel()).await?;
        amqp::within("limiting", channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let (options, nothing) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(UPDATES.into(), "".into(), options, nothing);
        let deliveries = amqp::within("consuming", consuming).await?;
        let outgoing = amqp::within("opening a channel", connection.create_channel()).await?;
        amqp::within("confirms", outgoing.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Sitting {
            deliveries,
            _channel: channel,
            clerk: Arc::new(Clerk {
                desk: Arc::clone(&self.desk),
                outgoing,
                counters: self.counters.clone(),
            }),
        })
    }
}

/// Replicated, and on disk before it is confirmed, on a broker of one node too.
fn of_type_quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments
}

/// One consumer at a time, or replicas would overtake each other. And a message may come back as often as it likes: from
/// version 4 on a broker drops what came back twenty times (where no limit is named), and through an outage of ours it may.
/// (-1 stands for "no limit" there. Version 3 takes it, too, and then drops whatever comes back.)
fn one_consumer_at_a_time() -> FieldTable {
    let mut arguments = of_type_quorum();
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(1_000_000_000));
    arguments
}

/// What is done over one connection.
struct Sitting {
    deliveries: lapin::Consumer,
    /// (Open for as long as it is held.)
    _channel: Channel,
    clerk: Arc<Clerk>,
}

/// A message that waits for its turn.
#[derive(Debug)]
struct Work {
    merchant: MerchantId,
    update: Update,
    message: Message,
}

/// What has become of a message: of one that had a lane, the lane is free again.
type Done = Result<Option<Lane>, AmqpError>;

impl Sitting {
    /// Until `stop`, or until the connection or the queue is gone. In the end what is under way is done with, as long as the
    /// limit allows; nothing new is begun, and nothing is given back before: or another replica would begin with what comes
    /// after it.
    async fn take_messages(&mut self, stop: &CancellationToken) -> Result<(), AmqpError> {
        let (mut lanes, mut under_way) = (Lanes::default(), JoinSet::<Done>::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = under_way.join_next() => {
                    let Ok(done) = done else { return Err(AmqpError::Closed) };
                    let next = done?.map(|lane| lanes.done(&lane)).unwrap_or_default();
                    for (lane, work) in next {
                        self.begin(&mut under_way, lane, work, stop);
                    }
                }
                delivery = self.deliveries.next() => {
                    let delivery = delivery.ok_or(AmqpError::QueueGone(UPDATES))?;
                    self.take_in(delivery?, &mut lanes, &mut under_way, stop).await;
                }
            }
        }
        let finishing = async {
            while let Some(done) = under_way.join_next().await {
                done.map_err(|_| AmqpError::Closed)??;
            }
            Ok(())
        };
        until_stopped(stop, finishing).await.unwrap_or(Ok(()))
    }

    /// Finds out whose a message is and what it says; sends it on its way or into its lane.
    async fn take_in(
        &self,
        delivery: Delivery,
        lanes: &mut Lanes<Arc<Work>>,
        under_way: &mut JoinSet<Done>,
        stop: &CancellationToken,
    ) {
        let clerk = Arc::clone(&self.clerk);
        let message = Message::of(delivery, &*clerk.desk);
        let identified = stop.run_until_cancelled(clerk.identify(&message)).await;
        let Some(identified) = identified else { return };
        let read = identified.and_then(|merchant| Ok((merchant, clerk.desk.read(&message.letter)?)));
        match read {
            Ok((merchant, update)) => {
                let lane = (merchant, update.name.clone());
                let work = Arc::new(Work {
                    merchant,
                    update,
                    message,
                });
                if let Some(work) = lanes.add(lane.clone(), work) {
                    self.begin(under_way, lane, work, stop);
                }
            }
            Err(problem) => {
                under_way.spawn(async move { clerk.refuse(&message, &problem).await.map(|()| None) });
            }
        }
    }

    fn begin(&self, under_way: &mut JoinSet<Done>, lane: Lane, work: Arc<Work>, stop: &CancellationToken) {
        let (clerk, stop) = (Arc::clone(&self.clerk), stop.clone());
        under_way.spawn(async move { clerk.carry_out(&work, &stop).await.map(|()| Some(lane)) });
    }
}

/// Who carries messages out, and answers them.
#[derive(Debug)]
struct Clerk {
    desk: Arc<dyn Desk>,
    /// For answers and dead letters; confirms them.
    outgoing: Channel,
    counters: Counters,
}

impl Clerk {
    /// Tries on while that cannot be told.
    async fn identify(&self, message: &Message) -> Result<MerchantId, Problem> {
        loop {
            match self.desk.identify(&message.letter).await {
                Ok(merchant) => return Ok(merchant),
                Err(Refusal::ForGood(problem)) => return Err(problem),
                Err(Refusal::ForNow { code }) => self.pause(message, code).await,
            }
        }
    }

    /// Carries a report out, tells what came of it, and acknowledges the message. A stop ends only the waiting between tries;
    /// the message then stays unacknowledged.
    async fn carry_out(&self, work: &Work, stop: &CancellationToken) -> Result<(), AmqpError> {
        let (message, id) = (&work.message, &*work.message.letter.request_id);
        loop {
            match self.desk.apply(work.merchant, &work.update, id).await {
                Ok(applied) => {
                    self.answer(message, Ok(&applied)).await?;
                    self.counters.applied.increment(1);
                    tracing::info!(request.id = id, "update by message");
                    return acknowledge(message).await;
                }
                Err(Refusal::ForGood(problem)) => return self.refuse(message, &problem).await,
                Err(Refusal::ForNow { code }) => {
                    if stop.run_until_cancelled(self.pause(message, code)).await.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn pause(&self, message: &Message, code: &'static str) {
        self.counters.retried.increment(1);
        tracing::debug!(request.id = %message.letter.request_id, code, "update by message waits");
        sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
    }

    /// Dead-letters a message and answers it; acknowledges it when the broker has confirmed the dead letter.
    async fn refuse(&self, message: &Message, problem: &Problem) -> Result<(), AmqpError> {
        let properties = dead_letter::properties(&message.properties, problem);
        let returned = self.publish(DEAD, &message.letter.body, properties, true).await?;
        if returned {
            return Err(AmqpError::QueueGone(DEAD));
        }
        self.answer(message, Err(problem)).await?;
        self.counters.dead.increment(1);
        tracing::info!(request.id = %message.letter.request_id, code = problem.code, "update by message refused");
        acknowledge(message).await
    }

    /// Tells whoever asked to be told. That nobody is there any more is no failure.
    async fn answer(&self, message: &Message, outcome: Result<&Applied, &Problem>) -> Result<(), AmqpError> {
        let Some(reply_to) = message.properties.reply_to() else {
            return Ok(());
        };
        let mut headers = FieldTable::default();
        let (status, content_type, body) = match outcome {
            Ok(applied) => {
                headers.insert("etag".into(), AMQPValue::LongString(applied.etag.as_str().into()));
                (200, "application/json", &applied.order)
            }
            Err(problem) => (problem.status, "application/problem+json", &problem.json),
        };
        headers.insert("payquery-status".into(), AMQPValue::LongInt(status.into()));
        let mut properties = BasicProperties::default()
            .with_content_type(content_type.into())
            .with_app_id("payquery".into())
            .with_headers(headers);
        if let Some(correlation_id) = message.properties.correlation_id() {
            properties = properties.with_correlation_id(correlation_id.clone());
        }
        self.publish(reply_to.as_str(), body, properties, false).await.map(drop)
    }

    /// To the queue of that name; says whether it came back because there is none.
    async fn publish(
        &self,
        queue: &str,
        body: &[u8],
        properties: BasicProperties,
        mandatory: bool,
    ) -> Result<bool, AmqpError> {
        let options = BasicPublishOptions {
            mandatory,
            immediate: false,
        };
        let publishing = async {
            let sent = self
                .outgoing
                .basic_publish("".into(), short(queue), options, body, properties);
            sent.await?.await
        };
        match amqp::within("publishing", publishing).await? {
            Confirmation::Ack(returned) => Ok(returned.is_some()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err(AmqpError::Refused { refused: 1, sent: 1 }),
        }
    }
}

async fn acknowledge(message: &Message) -> Result<(), AmqpError> {
    let acked = amqp::within("acknowledging", message.acker.ack(BasicAckOptions::default())).await?;
    if acked { Ok(()) } else { Err(AmqpError::Closed) }
}
