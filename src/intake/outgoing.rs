//! Dead letters on their way out, over a connection of their own: a broker that is short of memory or disk reads no more from
//! connections that publish, and acknowledgements would be stuck behind them.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionStatus};
use tokio::time::{sleep, timeout};

use super::DEAD;
use crate::amqp::{self, ANSWER_LIMIT, AmqpError};

/// Between two tries of what the queue did not take.
const PAUSE: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// It confirms what is published.
    channel: Channel,
    status: ConnectionStatus,
    /// Bytes; as was agreed with the broker.
    pub(super) largest_frame: u32,
    /// The queue refuses messages, and that was told.
    refuses: AtomicBool,
}

impl Outgoing {
    pub(super) async fn open(connection: &Connection) -> Result<Self, AmqpError> {
        let channel = amqp::within("opening a channel", connection.create_channel()).await?;
        amqp::within("confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self {
            channel,
            status: connection.status().clone(),
            largest_frame: connection.configuration().frame_max(),
            refuses: AtomicBool::new(false),
        })
    }

    /// Puts a message into the dead-letter queue. Where the broker takes nothing for now, or the queue is full, this takes as
    /// long as that lasts: the message is not done with before, and others may go on. An error when the connection, or the
    /// queue, is gone.
    pub(super) async fn put_away(&self, body: &[u8], properties: BasicProperties) -> Result<(), AmqpError> {
        loop {
            match self.publish(body, properties.clone()).await? {
                Confirmation::Ack(None) => {
                    if self.refuses.swap(false, Ordering::Relaxed) {
                        tracing::info!("the queue {DEAD} takes messages again");
                    }
                    return Ok(());
                }
                Confirmation::Ack(Some(_)) => return Err(AmqpError::QueueGone(DEAD)),
                Confirmation::Nack(_) | Confirmation::NotRequested => {
                    if !self.refuses.swap(true, Ordering::Relaxed) {
                        tracing::warn!("the queue {DEAD} refuses messages, trying on; is it full?");
                    }
                    sleep(PAUSE.mul_f64(0.5 + fastrand::f64())).await;
                }
            }
        }
    }

    /// What the broker says to it. The limit counts only while the broker takes anything.
    async fn publish(&self, body: &[u8], properties: BasicProperties) -> Result<Confirmation, AmqpError> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let mut publishing = pin!(async {
            let sent = self
                .channel
                .basic_publish("".into(), DEAD.into(), options, body, properties);
            sent.await?.await
        });
        loop {
            match timeout(ANSWER_LIMIT, &mut publishing).await {
                Ok(confirmed) => return Ok(confirmed?),
                Err(_) if amqp::is_blocked(&self.status) => {}
                Err(_) => return Err(AmqpError::NoAnswer("publishing")),
            }
        }
    }
}
