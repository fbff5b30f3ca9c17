//! Carrying one message out: the report or the dead letter, the acknowledgement, the answer; in this order.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use metrics::Counter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::desk::{Applied, Desk, Problem, Refusal, Update};
use super::message::Message;
use super::{DEAD, dead_letter};
use crate::amqp::{self, AmqpError, short};
use crate::domain::order::MerchantId;

/// Between two tries of what passes by itself. (While the database is away nobody asks it: a try costs nothing.)
const PAUSE: Duration = Duration::from_millis(500);

/// A message that is understood.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) merchant: MerchantId,
    pub(super) update: Update,
    pub(super) message: Message,
}

/// What has become of messages.
#[derive(Debug, Clone)]
pub(super) struct Outcomes {
    pub(super) applied: Counter,
    pub(super) dead: Counter,
    pub(super) retried: Counter,
}

/// Who carries messages out, and answers them.
#[derive(Debug)]
pub(super) struct Clerk {
    pub(super) desk: Arc<dyn Desk>,
    /// For answers and dead letters; confirms them.
    pub(super) outgoing: Channel,
    pub(super) outcomes: Outcomes,
}

impl Clerk {
    /// Tries on while that cannot be told.
    pub(super) async fn identify(&self, message: &Message) -> Result<MerchantId, Problem> {
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
    pub(super) async fn carry_out(&self, work: &Work, stop: &CancellationToken) -> Result<(), AmqpError> {
        let (message, id) = (&work.message, &*work.message.letter.request_id);
        loop {
            match self.desk.apply(work.merchant, &work.update, id).await {
                Ok(applied) => {
                    acknowledge(message).await?;
                    self.outcomes.applied.increment(1);
                    tracing::info!(request.id = id, "update by message");
                    self.answer(message, Ok(&applied)).await;
                    return Ok(());
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
        self.outcomes.retried.increment(1);
        tracing::debug!(request.id = %message.letter.request_id, code, "update by message waits");
        sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
    }

    /// Dead-letters a message and answers it; acknowledges it when the broker has confirmed the dead letter.
    pub(super) async fn refuse(&self, message: &Message, problem: &Problem) -> Result<(), AmqpError> {
        let properties = dead_letter::properties(&message.properties, problem);
        let returned = self.publish(DEAD, &message.letter.body, properties, true).await?;
        if returned {
            return Err(AmqpError::QueueGone(DEAD));
        }
        acknowledge(message).await?;
        self.outcomes.dead.increment(1);
        tracing::info!(request.id = %message.letter.request_id, code = problem.code, "update by message refused");
        self.answer(message, Err(problem)).await;
        Ok(())
    }

    /// Tells whoever asked to be told, once: nobody there any more, a queue that is full, a name that the broker does not take are
    /// the asker's affair. Whoever hears nothing sends the report again, which changes nothing.
    async fn answer(&self, message: &Message, outcome: Result<&Applied, &Problem>) {
        let Some(reply_to) = message.properties.reply_to() else {
            return;
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
        if let Err(error) = self.publish(reply_to.as_str(), body, properties, false).await {
            tracing::debug!(request.id = %message.letter.request_id, %error, "an answer could not be sent");
        }
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
