//! Answers to those who asked for them: a courtesy, which nothing waits for.
//!
//! They go out over a connection of their own, which is there only once somebody has asked: there are names of queues that the
//! broker answers with the end of the connection, and no report may suffer from that. What cannot be sent is lost; whoever
//! hears nothing sends the report again, which changes nothing.

use bytes::Bytes;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection};
use tokio::sync::mpsc;

use super::desk::{Applied, Problem};
use crate::amqp::{self, AmqpError, Broker};

/// Answers that wait; beyond these they are not sent.
const WAITING: usize = 256;

/// Where answers may go: to queues that brokers name for those who ask (with "direct reply-to", or for queues declared without a
/// name; nobody can declare such a name), and to those that are named for this. Anything else could be a queue of somebody who
/// did not ask and takes what comes from payquery for payquery's.
const ANSWERABLE: [&str; 3] = ["amq.rabbitmq.reply-to.", "amq.gen-", "payquery.replies."];

/// Takes answers to be sent.
#[derive(Debug, Clone)]
pub(super) struct Answers(mpsc::Sender<Answer>);

#[derive(Debug)]
struct Answer {
    queue: ShortString,
    body: Bytes,
    properties: BasicProperties,
}

/// Sends them.
#[derive(Debug)]
pub(super) struct Post {
    broker: Broker,
    waiting: mpsc::Receiver<Answer>,
    line: Option<(Connection, Channel)>,
}

pub(super) fn open(broker: Broker) -> (Answers, Post) {
    let (answers, waiting) = mpsc::channel(WAITING);
    let post = Post {
        broker,
        waiting,
        line: None,
    };
    (Answers(answers), post)
}

impl Answers {
    /// Tells whoever asked to be told what came of a message with these properties.
    pub(super) fn send(&self, asking: &BasicProperties, outcome: Result<&Applied, &Problem>) {
        let Some(queue) = asking.reply_to().clone().filter(is_answerable) else {
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
        if let Some(correlation_id) = asking.correlation_id() {
            properties = properties.with_correlation_id(correlation_id.clone());
        }
        let body = body.clone();
        if self
            .0
            .try_send(Answer {
                queue,
                body,
                properties,
            })
            .is_err()
        {
            tracing::debug!("too many answers wait, one is not sent");
        }
    }
}

fn is_answerable(queue: &ShortString) -> bool {
    let is_answerable = ANSWERABLE.iter().any(|prefix| queue.as_str().starts_with(prefix));
    if !is_answerable {
        tracing::debug!("an answer was asked for at a queue that is not for answers");
    }
    is_answerable
}

impl Post {
    /// Until nobody is left who could send one, and those are sent.
    pub(super) async fn run(mut self) {
        while let Some(answer) = self.waiting.recv().await {
            if let Err(error) = self.send(answer).await {
                tracing::debug!(%error, "an answer could not be sent");
                self.line = None;
            }
        }
        if let Some((connection, _)) = &self.line {
            amqp::close(connection).await;
        }
    }

    async fn send(&mut self, answer: Answer) -> Result<(), AmqpError> {
        let Answer {
            queue,
            body,
            properties,
        } = answer;
        let (connection, channel) = self.line().await?;
        if amqp::is_blocked(connection.status()) {
            return Ok(());
        }
        let publishing = channel.basic_publish("".into(), queue, BasicPublishOptions::default(), &body, properties);
        // (Not confirmed: nobody would send it again.)
        amqp::within("publishing", publishing).await.map(drop)
    }

    async fn line(&mut self) -> Result<&(Connection, Channel), AmqpError> {
        let works = |(connection, channel): &(Connection, Channel)| {
            connection.status().connected() && channel.status().connected()
        };
        if !self.line.as_ref().is_some_and(works) {
            let connection = self.broker.connect("payquery: answers").await?;
            let channel = amqp::within("opening a channel", connection.create_channel()).await?;
            self.line = Some((connection, channel));
        }
        self.line.as_ref().ok_or(AmqpError::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_queues_for_answers_only() {
        for queue in [
            "amq.gen-JzTY20BRgKO-HjmUJj0wLg",
            "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA.abc==",
            "payquery.replies.shop-7",
        ] {
            assert!(is_answerable(&queue.into()), "{queue}");
        }
        for queue in [
            "",
            "warehouse",
            "payquery.updates",
            "payquery.updates.dead",
            "payquery.replies",
            "amq.rabbitmq.reply-to",
            "amq.topic",
            "AMQ.GEN-x",
        ] {
            assert!(!is_answerable(&queue.into()), "{queue}");
        }
    }
}
