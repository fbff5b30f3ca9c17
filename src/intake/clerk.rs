//! Carrying one message out: the report or the dead letter, the acknowledgement, the answer; in this order.

use std::sync::Arc;
use std::time::Duration;

use lapin::options::BasicAckOptions;
use metrics::Counter;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::dead_letter;
use super::desk::{Desk, Problem, Refusal, Update};
use super::message::Message;
use super::outgoing::Outgoing;
use crate::amqp::{self, AmqpError};
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

/// Who carries messages out, and has them answered.
#[derive(Debug)]
pub(super) struct Clerk {
    pub(super) desk: Arc<dyn Desk>,
    pub(super) outgoing: Outgoing,
    pub(super) answers: Answers,
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
                    self.answers.send(&message.properties, Ok(&applied));
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

    /// Dead-letters a message and answers it; acknowledges it when the broker has confirmed the dead letter. After a stop it
    /// may be unacknowledged still.
    pub(super) async fn refuse(&self, message: &Message, problem: &Problem) -> Result<(), AmqpError> {
        let properties = dead_letter::properties(&message.properties, problem, self.outgoing.largest_frame);
        self.outgoing.put_away(&message.letter.body, properties).await?;
        acknowledge(message).await?;
        self.outcomes.dead.increment(1);
        tracing::info!(request.id = %message.letter.request_id, code = problem.code, "update by message refused");
        self.answers.send(&message.properties, Err(problem));
        Ok(())
    }
}

async fn acknowledge(message: &Message) -> Result<(), AmqpError> {
    let acked = amqp::within("acknowledging", message.acker.ack(BasicAckOptions::default())).await?;
    if acked { Ok(()) } else { Err(AmqpError::Closed) }
}
