//! What cannot be applied, as it goes to the dead-letter queue: the message as it came, and why.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::desk::Problem;
use crate::domain::api_key;

/// Headers that prove who somebody is. They open more than this message.
const SECRETS: [&str; 2] = ["api-key", "authorization"];
/// Headers that the broker would act upon: further routing keys.
const ORDERS_TO_THE_BROKER: [&str; 2] = ["CC", "BCC"];
/// Headers that are longer than this together are left out, or ours would not find room in a frame beside them. Where frames are
/// small, it is a quarter of a frame.
const MOST_HEADERS: usize = 32 * 1024;
/// On disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// The original's properties but for what would stop or hide it, and the problem as headers: of one frame, which has at most so
/// many bytes.
pub(super) fn properties(original: &BasicProperties, problem: &Problem, largest_frame: u32) -> BasicProperties {
    let most_headers = MOST_HEADERS.min(largest_frame as usize / 4);
    let headers = original.headers().as_ref();
    let mut headers = headers.map(|headers| keep(headers, most_headers)).unwrap_or_default();
    let json = String::from_utf8_lossy(&problem.json).into_owned();
    headers.insert("payquery-code".into(), AMQPValue::LongString(problem.code.into()));
    headers.insert("payquery-status".into(), AMQPValue::LongInt(problem.status.into()));
    headers.insert("payquery-problem".into(), AMQPValue::LongString(json.into()));
    // Not the user id, which must be the sender's own (ours), nor the expiration: a dead letter waits for somebody.
    let mut kept = BasicProperties::default()
        .with_headers(headers)
        .with_delivery_mode(PERSISTENT);
    let copy = |kept: BasicProperties,
                value: &Option<ShortString>,
                with: fn(BasicProperties, ShortString) -> BasicProperties| match value {
        Some(value) if !holds_key(value.as_str().as_bytes()) => with(kept, value.clone()),
        Some(_) | None => kept,
    };
    kept = copy(kept, original.content_type(), BasicProperties::with_content_type);
    kept = copy(
        kept,
        original.content_encoding(),
        BasicProperties::with_content_encoding,
    );
    kept = copy(kept, original.correlation_id(), BasicProperties::with_correlation_id);
    kept = copy(kept, original.message_id(), BasicProperties::with_message_id);
    kept = copy(kept, original.kind(), BasicProperties::with_type);
    kept = copy(kept, original.app_id(), BasicProperties::with_app_id);
    // (The broker takes this one for a wish of ours.)
    let reply_to = original
        .reply_to()
        .as_ref()
        .filter(|name| name.as_str() != "amq.rabbitmq.reply-to");
    kept = copy(kept, &reply_to.cloned(), BasicProperties::with_reply_to);
    if let Some(priority) = original.priority() {
        kept = kept.with_priority(*priority);
    }
    if let Some(timestamp) = original.timestamp() {
        kept = kept.with_timestamp(*timestamp);
    }
    kept
}

fn keep(headers: &FieldTable, most_headers: usize) -> FieldTable {
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner() {
        let is_secret = SECRETS.iter().any(|secret| name.as_str().eq_ignore_ascii_case(secret));
        let is_secret = is_secret || holds_key(name.as_str().as_bytes()) || has_key(value);
        if !is_secret && !ORDERS_TO_THE_BROKER.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        }
    }
    if table_size(&kept) > most_headers {
        kept = FieldTable::default();
        kept.insert("payquery-headers-left-out".into(), AMQPValue::Boolean(true));
    }
    kept
}

/// The bytes that it takes in a frame.
fn table_size(table: &FieldTable) -> usize {
    let members = table.inner().iter();
    4 + members
        .map(|(name, value)| 1 + name.as_str().len() + value_size(value))
        .sum::<usize>()
}

/// With its type. (A number takes at most eight.)
fn value_size(value: &AMQPValue) -> usize {
    1 + match value {
        AMQPValue::LongString(text) => 4 + text.len(),
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldArray(values) => 4 + values.as_slice().iter().map(value_size).sum::<usize>(),
        AMQPValue::FieldTable(table) => table_size(table),
        _ => 8,
    }
}

/// Whether an API key stands in it, wherever: a sender may have put it into the wrong place. (However deep: no message gets
/// through `amqp::sieve` whose headers are nested deeper than a call may go.)
fn has_key(value: &AMQPValue) -> bool {
    match value {
        AMQPValue::LongString(text) => holds_key(text.as_bytes()),
        AMQPValue::ShortString(text) => holds_key(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => holds_key(bytes.as_slice()),
        AMQPValue::FieldArray(values) => values.as_slice().iter().any(has_key),
        AMQPValue::FieldTable(table) => {
            let mut members = table.inner().iter();
            members.any(|(name, value)| holds_key(name.as_str().as_bytes()) || has_key(value))
        }
        _ => false,
    }
}

fn holds_key(bytes: &[u8]) -> bool {
    let prefix = api_key::PREFIX.as_bytes();
    bytes.windows(prefix.len()).any(|part| part == prefix)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn problem() -> Problem {
        Problem {
            status: 409,
            code: "illegal_transition",
            json: Bytes::from_static(b"{}"),
        }
    }

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    #[test]
    fn no_secret_no_route_and_no_end_of_its_own_go_with_a_dead_letter() {
        let mut headers = FieldTable::default();
        for name in ["api-key", "Api-Key", "AUTHORIZATION", "CC", "BCC"] {
            headers.insert(name.into(), text("pqk_secret"));
        }
        for name in ["x-api-key", "Api_Key", "pqk_name"] {
            headers.insert(name.into(), text("my key is pqk_secret"));
        }
        let mut inner = FieldTable::default();
        inner.insert("deeper".into(), AMQPValue::FieldArray(vec![text("pqk_secret")].into()));
        headers.insert("nested".into(), AMQPValue::FieldTable(inner));
        headers.insert("trace".into(), text("t"));
        let original = BasicProperties::default()
            .with_headers(headers)
            .with_user_id("shop".into())
            .with_expiration("1".into())
            .with_delivery_mode(1)
            .with_message_id("m".into())
            .with_correlation_id("pqk_secret".into())
            .with_reply_to("amq.rabbitmq.reply-to".into());
        let kept = properties(&original, &problem(), 131_072);
        assert!(!format!("{kept:?}").contains("pqk_secret"));
        let headers = kept.headers().clone().expect("there are headers");
        let names: Vec<_> = headers.inner().keys().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, ["payquery-code", "payquery-problem", "payquery-status", "trace"]);
        assert_eq!(
            (
                kept.user_id(),
                kept.expiration(),
                kept.reply_to(),
                kept.correlation_id()
            ),
            (&None, &None, &None, &None)
        );
        assert_eq!(kept.delivery_mode(), &Some(PERSISTENT));
        assert_eq!(kept.message_id(), &Some("m".into()));
    }

    #[test]
    fn headers_that_fill_a_frame_are_left_out() {
        let mut headers = FieldTable::default();
        headers.insert("long".into(), text(&"x".repeat(100_000)));
        let original = BasicProperties::default().with_headers(headers);
        let kept = properties(&original, &problem(), 131_072);
        let headers = kept.headers().clone().expect("there are headers");
        assert!(headers.contains_key("payquery-headers-left-out") && !headers.contains_key("long"));
        assert!(headers.contains_key("payquery-problem"));
        let mut headers = FieldTable::default();
        headers.insert("long".into(), text(&"x".repeat(2000)));
        let original = BasicProperties::default().with_headers(headers);
        for (largest_frame, is_kept) in [(131_072, true), (16_384, true), (4096, false)] {
            let kept = properties(&original, &problem(), largest_frame);
            let headers = kept.headers().as_ref().expect("there are headers");
            assert_eq!(headers.contains_key("long"), is_kept, "{largest_frame}");
        }
    }
}
