//! What talks to RabbitMQ as the merchant's other systems do.

use std::time::Duration;

use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer, ExchangeKind};
use serde_json::Value;

/// A system beside payquery, with a connection to the broker of its own.
#[derive(Debug)]
pub struct Rabbit {
    pub channel: Channel,
    _connection: Connection,
}

/// A queue that is read.
#[derive(Debug)]
pub struct Inbox {
    consumer: Consumer,
}

/// A message that arrived; acknowledged.
#[derive(Debug)]
pub struct Received {
    pub key: String,
    pub body: Vec<u8>,
    pub properties: BasicProperties,
}

const EXCHANGE: &str = "payquery.events";
pub const UPDATES: &str = "payquery.updates";
pub const DEAD: &str = "payquery.updates.dead";

impl Rabbit {
    pub async fn connect(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self {
            channel,
            _connection: connection,
        }
    }

    /// A durable queue that the keys are bound to, whether payquery has been there already or not.
    pub async fn bind(&self, queue: &str, keys: &[&str]) {
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declaring =
            self.channel
                .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default());
        declaring.await.unwrap();
        self.declare(queue).await;
        self.bind_declared(queue, keys).await;
    }

    /// A queue that is there, and so is the exchange.
    pub async fn bind_declared(&self, queue: &str, keys: &[&str]) {
        for key in keys {
            let (options, nothing) = (QueueBindOptions::default(), FieldTable::default());
            let binding = self
                .channel
                .queue_bind(queue.into(), EXCHANGE.into(), (*key).into(), options, nothing);
            binding.await.unwrap();
        }
    }

    /// A queue that takes nothing at all.
    pub async fn declare_full(&self, queue: &str) {
        self.declare_short(queue, 0).await;
    }

    /// A queue that has room for so many messages, and refuses more.
    pub async fn declare_short(&self, queue: &str, length: i32) {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(length));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        let declared = self
            .channel
            .queue_declare(queue.into(), QueueDeclareOptions::default(), arguments);
        declared.await.unwrap();
    }

    pub async fn delete(&self, queue: &str) {
        let deleting = self.channel.queue_delete(queue.into(), QueueDeleteOptions::default());
        deleting.await.unwrap();
    }

    pub async fn declare(&self, queue: &str) {
        let durable = QueueDeclareOptions {
            durable: true,
            ..Default::default()
        };
        let declaring = self.channel.queue_declare(queue.into(), durable, FieldTable::default());
        declaring.await.unwrap();
    }

    /// Messages that are ready in a queue, which must be there.
    pub async fn count(&self, queue: &str) -> u32 {
        let looking = QueueDeclareOptions {
            passive: true,
            ..Default::default()
        };
        let declaring = self.channel.queue_declare(queue.into(), looking, FieldTable::default());
        declaring.await.unwrap().message_count()
    }

    pub async fn read(&self, queue: &str) -> Inbox {
        let (options, nothing) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = self.channel.basic_consume(queue.into(), "".into(), options, nothing);
        Inbox {
            consumer: consuming.await.unwrap(),
        }
    }

    /// Sends to a queue; the broker has it when this ends.
    pub async fn send(&self, queue: &str, properties: BasicProperties, body: &[u8]) {
        let options = BasicPublishOptions::default();
        let sent = self
            .channel
            .basic_publish("".into(), queue.into(), options, body, properties);
        assert!(sent.await.unwrap().await.unwrap().is_ack());
    }

    /// Reports a status by message, with that API key.
    pub async fn report(&self, api_key: &str, body: &Value) {
        self.send(UPDATES, with_key(api_key), body.to_string().as_bytes()).await;
    }
}

/// The properties of a report.
pub fn with_key(api_key: &str) -> BasicProperties {
    with_headers(&[("api-key", api_key)])
}

pub fn with_headers(headers: &[(&str, &str)]) -> BasicProperties {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_headers(table)
}

impl Inbox {
    pub async fn next(&mut self) -> Received {
        self.try_next().await.expect("the queue is there")
    }

    /// None when the connection is gone.
    pub async fn try_next(&mut self) -> Option<Received> {
        let delivery = tokio::time::timeout(Duration::from_mins(1), self.consumer.next()).await;
        let delivery: Delivery = delivery.expect("a message comes within a minute")?.ok()?;
        delivery.acker.ack(BasicAckOptions::default()).await.ok()?;
        Some(Received {
            key: delivery.routing_key.to_string(),
            body: delivery.data,
            properties: delivery.properties,
        })
    }
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header as text; empty when there is none.
    pub fn header(&self, name: &str) -> String {
        let headers = self.properties.headers().as_ref().map(FieldTable::inner);
        match headers.and_then(|headers| headers.get(name)) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            Some(AMQPValue::LongLongInt(number)) => number.to_string(),
            Some(AMQPValue::LongInt(number)) => number.to_string(),
            _ => String::new(),
        }
    }
}
