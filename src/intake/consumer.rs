//! Taking messages from the queue, one connection's life after the other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::answers::{self, Answers};
use super::clerk::{Clerk, Outcomes, Work};
use super::desk::{Desk, Problem, Update};
use super::hold::Hold;
use super::lanes::{Lane, Lanes};
use super::message::Message;
use super::outgoing::Outgoing;
use super::{DEAD, UPDATES};
use crate::amqp::{self, AmqpError, Backoff, Broker, Lifeline, Outage, until_stopped};
use crate::domain::order::MerchantId;

/// Messages in memory at once. Enough for whole batches (`service::update`), few enough that the largest are bearable.
const PREFETCH: u16 = 128;
/// A connection that lasts so long was a good one.
const LASTING: Duration = Duration::from_secs(10);

/// A connection, and whether the broker still counts on it.
type Watched = (Connection, Lifeline);

/// See `intake`.
#[derive(Debug)]
pub struct Consumer {
    broker: Broker,
    desk: Arc<dyn Desk>,
    outcomes: Outcomes,
    connected: Gauge,
    failures: Counter,
}

impl Consumer {
    pub fn new(broker: Broker, desk: Arc<dyn Desk>) -> Self {
        let updates = |outcome: &'static str| counter!("payquery_rabbitmq_updates_total", "outcome" => outcome);
        Self {
            broker,
            desk,
            outcomes: Outcomes {
                applied: updates("applied"),
                dead: updates("dead"),
                retried: updates("retried"),
            },
            connected: gauge!("payquery_rabbitmq_connected", "for" => "updates"),
            failures: counter!("payquery_rabbitmq_intake_failures_total"),
        }
    }

    /// Takes messages until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let (answers, post) = answers::open(self.broker.clone());
        tokio::join!(self.take_messages(answers, &stop), until_stopped(&stop, post.run()));
    }

    /// (With the last of `answers` the sending of answers ends.)
    async fn take_messages(&self, answers: Answers, stop: &CancellationToken) {
        let (mut outage, mut backoff) = (Outage::of("updates from rabbitmq"), Backoff::default());
        while !stop.is_cancelled() {
            let Some(lines) = stop.run_until_cancelled(self.connect()).await else {
                return;
            };
            let outcome = match lines {
                Ok(lines) => self.sit(lines, &answers, stop, (&mut outage, &mut backoff)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = outcome {
                self.failures.increment(1);
                outage.failed(&error);
                let _ = stop.run_until_cancelled(sleep(backoff.pause())).await;
            }
        }
    }

    /// The line that messages come over, and the one that dead letters go out over.
    async fn connect(&self) -> Result<(Watched, Connection), AmqpError> {
        let taking = self.broker.connect_watched("payquery: updates").await?;
        Ok((taking, self.broker.connect("payquery: dead letters").await?))
    }

    /// One connection's life. Ends well only when it is to stop.
    async fn sit(
        &self,
        ((taking, lifeline), outgoing): (Watched, Connection),
        answers: &Answers,
        stop: &CancellationToken,
        (outage, backoff): (&mut Outage, &mut Backoff),
    ) -> Result<(), AmqpError> {
        let hold = Hold::on(lifeline);
        let mut sitting = self.sit_down((&taking, &outgoing), &hold, answers).await;
        let outcome = match &mut sitting {
            Ok(sitting) => {
                outage.works();
                self.connected.set(1.0);
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
        self.connected.set(0.0);
        // Before anybody else is handed these messages: what is still on its way to being decided on is not decided any more.
        hold.release();
        // (While channels and consumer are still held.)
        tokio::join!(amqp::close(&taking), amqp::close(&outgoing));
        outcome
    }

    async fn sit_down(
        &self,
        (taking, outgoing): (&Connection, &Connection),
        hold: &Hold,
        answers: &Answers,
    ) -> Result<Sitting, AmqpError> {
        amqp::ensure_queue(taking, DEAD, of_type_quorum()).await?;
        amqp::ensure_queue(taking, UPDATES, one_consumer_at_a_time()).await?;
        let outgoing = Outgoing::open(outgoing).await?;
        let channel = amqp::within("opening a channel", taking.create_channel()).await?;
        amqp::within("limiting", channel.basic_qos(PREFETCH, BasicQosOptions::default())).await?;
        let (options, nothing) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = channel.basic_consume(UPDATES.into(), "".into(), options, nothing);
        let deliveries = amqp::within("consuming", consuming).await?;
        Ok(Sitting {
            deliveries,
            hold: hold.clone(),
            _channel: channel,
            clerk: Arc::new(Clerk {
                desk: Arc::clone(&self.desk),
                outgoing,
                answers: answers.clone(),
                outcomes: self.outcomes.clone(),
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
    hold: Hold,
    /// (Open for as long as it is held.)
    _channel: Channel,
    clerk: Arc<Clerk>,
}

/// What has become of a message: of one that had a lane, the lane is free again.
type Done = Result<Option<Lane>, AmqpError>;

/// A message whose merchant is being looked up, and then what it says.
type Reading = BoxFuture<'static, (Message, Result<(MerchantId, Update), Problem>)>;

impl Sitting {
    /// Until `stop`, or until the connection or the queue is gone. In the end what is under way is done with, as long as the
    /// limit allows; nothing new is begun, and nothing is given back before: or another replica would begin with what comes
    /// after it.
    async fn take_messages(&mut self, stop: &CancellationToken) -> Result<(), AmqpError> {
        let (mut lanes, mut under_way) = (Lanes::default(), JoinSet::<Done>::new());
        // Read many at a time, and sorted into their lanes in the order of the queue.
        let mut arriving = FuturesOrdered::<Reading>::new();
        let hold = self.hold.clone();
        let mut lost = pin!(hold.lost());
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                () = &mut lost => return Err(AmqpError::Closed),
                Some(done) = under_way.join_next() => {
                    let Ok(done) = done else { return Err(AmqpError::Closed) };
                    let next = done?.map(|lane| lanes.done(&lane)).unwrap_or_default();
                    for (lane, work) in next {
                        self.begin(&mut under_way, lane, work, stop);
                    }
                }
                Some((message, read)) = arriving.next() => self.sort_in(message, read, &mut lanes, &mut under_way, stop),
                delivery = self.deliveries.next() => {
                    let delivery = delivery.ok_or(AmqpError::QueueGone(UPDATES))?;
                    arriving.push_back(self.read(delivery?));
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

    /// Finds out whose a message is and what it says.
    fn read(&self, delivery: Delivery) -> Reading {
        let (clerk, hold) = (Arc::clone(&self.clerk), self.hold.clone());
        Box::pin(async move {
            let message = Message::of(delivery, &*clerk.desk);
            let merchant = clerk.identify(&message).await;
            let read = merchant.and_then(|merchant| Ok((merchant, hold.over(clerk.desk.read(&message.letter)?))));
            (message, read)
        })
    }

    /// Sends a message on its way or into its lane.
    fn sort_in(
        &self,
        message: Message,
        read: Result<(MerchantId, Update), Problem>,
        lanes: &mut Lanes<Arc<Work>>,
        under_way: &mut JoinSet<Done>,
        stop: &CancellationToken,
    ) {
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
                let clerk = Arc::clone(&self.clerk);
                under_way.spawn(async move { clerk.refuse(&message, &problem).await.map(|()| None) });
            }
        }
    }

    fn begin(&self, under_way: &mut JoinSet<Done>, lane: Lane, work: Arc<Work>, stop: &CancellationToken) {
        let (clerk, stop) = (Arc::clone(&self.clerk), stop.clone());
        under_way.spawn(async move { clerk.carry_out(&work, &stop).await.map(|()| Some(lane)) });
    }
}
