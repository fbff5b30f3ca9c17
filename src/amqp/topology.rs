//! What must be there: an exchange, queues.
//!
//! Whatever is there already is taken as it is, whatever its arguments: an operator who made it knows why, and an account
//! that may not make anything can still use it. So it is looked for first, and made only if it is missing.

use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ReplyCode, ShortString};
use lapin::{Connection, ErrorKind, ExchangeKind};

use super::{AmqpError, within};

const NOT_FOUND: ReplyCode = 404;

/// Whether that is what the broker said (AMQP 0-9-1, "reply codes").
fn has_code(error: &AmqpError, code: ReplyCode) -> bool {
    matches!(error, AmqpError::Broker(error) if matches!(error.kind(), ErrorKind::ProtocolError(said) if said.get_id() == code))
}

/// A durable topic exchange.
pub async fn ensure_topic_exchange(connection: &Connection, name: &'static str) -> Result<(), AmqpError> {
    let looking = ExchangeDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let making = ExchangeDeclareOptions {
        durable: true,
        ..Default::default()
    };
    match declare_exchange(connection, name, looking).await {
        Err(error) if has_code(&error, NOT_FOUND) => declare_exchange(connection, name, making).await,
        outcome => outcome,
    }
}

/// A refusal ends the channel, so each try has one of its own.
async fn declare_exchange(
    connection: &Connection,
    name: &'static str,
    options: ExchangeDeclareOptions,
) -> Result<(), AmqpError> {
    let channel = within("opening a channel", connection.create_channel()).await?;
    let declaring = channel.exchange_declare(name.into(), ExchangeKind::Topic, options, FieldTable::default());
    within("declaring an exchange", declaring).await?;
    let _ = within("closing a channel", channel.close(200, ShortString::default())).await;
    Ok(())
}

/// A durable queue, with these arguments if it has to be made.
pub async fn ensure_queue(connection: &Connection, name: &'static str, arguments: FieldTable) -> Result<(), AmqpError> {
    let looking = QueueDeclareOptions {
        passive: true,
        ..Default::default()
    };
    let making = QueueDeclareOptions {
        durable: true,
        ..Default::default()
    };
    match declare_queue(connection, name, looking, FieldTable::default()).await {
        Err(error) if has_code(&error, NOT_FOUND) => declare_queue(connection, name, making, arguments).await,
        outcome => outcome,
    }
}

async fn declare_queue(
    connection: &Connection,
    name: &'static str,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<(), AmqpError> {
    let channel = within("opening a channel", connection.create_channel()).await?;
    within(
        "declaring a queue",
        channel.queue_declare(name.into(), options, arguments),
    )
    .await?;
    let _ = within("closing a channel", channel.close(200, ShortString::default())).await;
    Ok(())
}
