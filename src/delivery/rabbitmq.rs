//! Out to RabbitMQ: every event of every merchant, to one topic exchange, in the order of the log.
//!
//! What stays true in it:
//! - A page is marked as sent when the broker has confirmed all of it, never before. Whatever goes wrong until then, the whole
//!   page is sent again: at least once, and never never. Consumers tell repetitions by the message id.
//! - One replica sends at a time, whichever has the reader's place, and the pages go one after the other over one channel. So
//!   the events of an order are in their order, repetitions of a page apart.
//! - First the broker, then the log: while the broker is away nothing here holds a transaction or a connection to the database.
//! - What this costs the reports' way: nothing. The log is read behind their commits.

mod backlog;
mod merchants;
mod message;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{MaybeDone, maybe_done};
use lapin::options::ConfirmSelectOptions;
use lapin::{Channel, Confirmation, Connection};
use metrics::{Counter, Gauge, counter, gauge};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use super::{Gaps, Turn};
use crate::amqp::{self, ANSWER_LIMIT, AmqpError, Backoff, Broker, Outage, until_stopped};
use crate::db::event_log::LogError;
use crate::db::order_events::LoggedEvent;
use crate::db::{DbError, Pool};
use crate::hub::News;
pub use backlog::Backlog;
use merchants::Names;
use message::Message;

/// The topic exchange that events go to.
pub const EXCHANGE: &str = "payquery.events";
/// The name of the place in the log.
pub const READER: &str = "rabbitmq";

/// Events that are sent, confirmed and marked together.
const PAGE: u16 = 500;
/// Without news the log is looked at this often: for the place of a replica that died, and for a connection that broke.
const TICK: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Debug)]
pub struct Publisher {
    broker: Broker,
    pool: Pool,
    news: Arc<News>,
    names: Names,
    connected: Gauge,
    failures: Counter,
    confirmed: Counter,
    returned: Counter,
    nacked: Counter,
    gaps: Gaps,
}

/// Why a step did not go through.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error(transparent)]
    Broker(#[from] AmqpError),
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<DbError> for StepError {
    fn from(error: DbError) -> Self {
        Self::Log(error.into())
    }
}

/// What a step found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more.
    Sent,
    /// Nothing is waiting, or another replica is sending it.
    Idle,
}

/// What became of a page; all of it was confirmed.
#[derive(Debug, Default)]
struct Receipt {
    confirmed: u64,
    /// Of those, the ones that no queue was bound for.
    returned: u64,
}

impl Publisher {
    pub fn new(broker: Broker, pool: Pool, news: Arc<News>) -> Self {
        let events = |outcome: &'static str| counter!("payquery_rabbitmq_events_total", "outcome" => outcome);
        Self {
            broker,
            pool,
            news,
            names: Names::default(),
            connected: gauge!("payquery_rabbitmq_connected", "for" => "events"),
            failures: counter!("payquery_delivery_failures_total", "channel" => READER),
            confirmed: events("confirmed"),
            returned: events("returned"),
            nacked: events("nacked"),
            gaps: Gaps::of(READER),
        }
    }

    /// Makes sure that there is a place in the log: what is committed from here on goes out, also if the broker is away for
    /// the rest of the day.
    pub async fn take_place(&self) -> Result<(), DbError> {
        Turn::take(&self.pool, READER).await.map(drop)
    }

    /// Sends whatever is committed, until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut outage, mut backoff) = (Outage::of("events to rabbitmq"), Backoff::default());
        let mut has_place = false;
        while !stop.is_cancelled() {
            let outcome = async {
                if !has_place {
                    self.take_place().await?;
                    has_place = true;
                }
                self.send_while_connected(&stop, &mut outage, &mut backoff).await
            };
            let outcome = outcome.await;
            if let Err(error) = outcome {
                self.failed(&error, &mut outage);
                let _ = stop.run_until_cancelled(sleep(backoff.pause())).await;
            }
        }
    }

    fn failed(&self, error: &StepError, outage: &mut Outage) {
        self.failures.increment(1);
        outage.failed(error);
    }

    /// One connection's life. Ends well only when it is to stop.
    async fn send_while_connected(
        &mut self,
        stop: &CancellationToken,
        outage: &mut Outage,
        backoff: &mut Backoff,
    ) -> Result<(), StepError> {
        let Some(connection) = stop.run_until_cancelled(self.broker.connect("payquery: events")).await else {
            return Ok(());
        };
        let connection = connection?;
        let outcome = match open(&connection).await {
            Ok(channel) => {
                self.connected.set(1.0);
                let outcome = self.send(&connection, &channel, stop, (outage, backoff)).await;
                // (While the channel is still held.)
                amqp::close(&connection).await;
                outcome
            }
            Err(error) => {
                amqp::close(&connection).await;
                Err(error.into())
            }
        };
        self.connected.set(0.0);
        outcome
    }

    async fn send(
        &mut self,
        connection: &Connection,
        channel: &Channel,
        stop: &CancellationToken,
        (outage, backoff): (&mut Outage, &mut Backoff),
    ) -> Result<(), StepError> {
        // From before the first look at the log: what is committed later is heard of.
        let mut news = self.news.listen();
        while !stop.is_cancelled() {
            let outcome = if amqp::is_blocked(connection.status()) {
                // What is not sent yet stays in the log, and the database is left alone.
                Some(Err(AmqpError::Blocked.into()))
            } else {
                until_stopped(stop, self.step(channel)).await
            };
            let Some(outcome) = outcome else { break };
            match outcome {
                Ok(_) => {
                    outage.works();
                    backoff.reset();
                }
                Err(StepError::Broker(error)) if !amqp::is_blocked(connection.status()) => return Err(error.into()),
                Err(error) => {
                    self.failed(&error, outage);
                    let _ = stop.run_until_cancelled(sleep(backoff.pause())).await;
                    continue;
                }
            }
            if !connection.status().connected() {
                return Err(AmqpError::Closed.into());
            }
            if outcome.is_ok_and(|step| step == Step::Idle) {
                tokio::select! {
                    () = news.heard() => {}
                    () = sleep(TICK) => {}
                    () = stop.cancelled() => {}
                }
            }
        }
        Ok(())
    }

    /// Sends one page, if there is one and nobody else does.
    async fn step(&mut self, channel: &Channel) -> Result<Step, StepError> {
        let Some(mut turn) = Turn::take(&self.pool, READER).await? else {
            return Ok(Step::Idle);
        };
        let page = turn.read(PAGE, &self.gaps).await?;
        if page.events.is_empty() {
            // (Not even the place is moved: nobody writes while nothing happens.)
            if page.has_gap {
                turn.finish(&page.cursor).await?;
            }
            return Ok(Step::Idle);
        }
        self.names.learn(turn.connection(), &page.events).await?;
        let receipt = self.publish(channel, &page.events).await?;
        turn.finish(&page.cursor).await?;
        self.confirmed.increment(receipt.confirmed);
        self.returned.increment(receipt.returned);
        Ok(Step::Sent)
    }

    /// Sends all of them, one behind the other, and waits until the broker has confirmed each.
    async fn publish(&self, channel: &Channel, events: &[LoggedEvent]) -> Result<Receipt, AmqpError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        let messages: Vec<_> = events
            .iter()
            .map(|logged| Message::of(&logged.event, self.names.of(logged.event.merchant_id())))
            .collect();
        let mut sending: Vec<_> = messages
            .iter()
            .map(|message| Box::pin(maybe_done(message.publish(channel))))
            .collect();
        // Whatever is asked first puts its frames first into the connection's queue: this is the order in which they leave.
        poll_fn(|context| {
            for send in &mut sending {
                let _ = send.as_mut().poll(context);
            }
            Poll::Ready(())
        })
        .await;
        let (mut receipt, mut refused) = (Receipt::default(), 0);
        for send in sending {
            let confirming = async { sent(send).await?.await };
            let confirmation = timeout_at(deadline, confirming).await;
            match confirmation.map_err(|_| AmqpError::NoAnswer("publishing"))?? {
                Confirmation::Ack(returned) => {
                    receipt.confirmed += 1;
                    receipt.returned += u64::from(returned.is_some());
                }
                Confirmation::Nack(_) | Confirmation::NotRequested => refused += 1,
            }
        }
        if refused > 0 {
            self.nacked.increment(refused as u64);
            let sent = events.len();
            return Err(AmqpError::Refused { refused, sent });
        }
        Ok(receipt)
    }
}

/// What a future came to that was begun before.
async fn sent<F: Future>(mut begun: std::pin::Pin<Box<MaybeDone<F>>>) -> F::Output {
    begun.as_mut().await;
    begun.as_mut().take_output().expect("is awaited and taken once")
}

/// A channel that confirms what is published on it, when the exchange is there.
async fn open(connection: &Connection) -> Result<Channel, AmqpError> {
    amqp::ensure_topic_exchange(connection, EXCHANGE).await?;
    let channel = amqp::within("opening a channel", connection.create_channel()).await?;
    amqp::within("confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}
