//! An event as a message.

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, PublisherConfirm};

use super::EXCHANGE;
use crate::amqp::short;
use crate::domain::event::{Event, EventDocument};

/// On disk before it is confirmed, where it goes to a durable queue (AMQP 0-9-1 §4.6).
const PERSISTENT: u8 = 2;

/// What is published of one event.
pub(super) struct Message {
    key: ShortString,
    properties: BasicProperties,
    body: Vec<u8>,
}

impl Message {
    pub(super) fn of(event: &Event, merchant: &str) -> Self {
        let mut headers = FieldTable::default();
        headers.insert("merchant".into(), text(merchant.to_owned()));
        if let Event::Order(event) = event {
            headers.insert("order_id".into(), text(event.order_id.to_string()));
            headers.insert("version".into(), AMQPValue::LongLongInt(event.version.0));
        }
        let properties = BasicProperties::default()
            .with_message_id(short(&event.id().to_string()))
            .with_type(short(event.kind()))
            .with_content_type("application/json".into())
            .with_delivery_mode(PERSISTENT)
            .with_timestamp(u64::try_from(event.at().unix_ms() / 1000).unwrap_or_default())
            .with_app_id("payquery".into())
            .with_headers(headers);
        Self {
            key: short(&routing_key(event)),
            properties,
            body: EventDocument::of(event).render(),
        }
    }

    /// Hands it to the connection; what comes back ends when the broker has confirmed. Mandatory: the broker sends back what no
    /// queue is bound for. That is no failure, but somebody may want to know.
    pub(super) async fn publish(&self, channel: &Channel) -> lapin::Result<PublisherConfirm> {
        let options = BasicPublishOptions {
            mandatory: true,
            immediate: false,
        };
        let (key, properties) = (self.key.clone(), self.properties.clone());
        channel
            .basic_publish(EXCHANGE.into(), key, options, &self.body, properties)
            .await
    }
}

/// By the status that the order came into, whatever it is called how it came there: who waits for money binds one key, and
/// hears of it once. Everything else goes by its type.
fn routing_key(event: &Event) -> String {
    match event {
        Event::Order(event) if event.came_into_its_status() => format!("order.{}", event.to),
        _ => event.kind().to_owned(),
    }
}

fn text(text: String) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
