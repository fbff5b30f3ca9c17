//! A delivery, read.

use bytes::Bytes;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ShortString};
use lapin::{Acker, BasicProperties};

use super::desk::{Desk, Letter};

/// A message in hand: what it says, and what is needed to give it back, pass it on or answer it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) letter: Letter,
    pub(super) properties: BasicProperties,
    pub(super) acker: Acker,
}

impl Message {
    pub(super) fn of(delivery: Delivery, desk: &dyn Desk) -> Self {
        let properties = delivery.properties;
        let owned = |text: &Option<ShortString>| text.as_ref().map(|text| text.as_str().into());
        let message_id = properties.message_id().as_ref().map(ShortString::as_str);
        let letter = Letter {
            request_id: desk.request_id(message_id),
            api_key: header(&properties, "api-key").and_then(|key| std::str::from_utf8(key).ok().map(Into::into)),
            if_match: header(&properties, "if-match").map(Into::into),
            content_type: owned(properties.content_type()),
            content_encoding: owned(properties.content_encoding()),
            body: Bytes::from(delivery.data),
        };
        Self {
            letter,
            properties,
            acker: delivery.acker,
        }
    }
}

/// A header, however its name is written. What is no text is not passed over as if it were not there: it is something that
/// nobody takes for a key or a version.
fn header<'a>(properties: &'a BasicProperties, name: &str) -> Option<&'a [u8]> {
    let headers = properties.headers().as_ref()?.inner();
    let (_, value) = headers
        .iter()
        .find(|(key, _)| key.as_str().eq_ignore_ascii_case(name))?;
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        _ => Some(b"?"),
    }
}
