//! What cannot be applied, as it goes to the dead-letter queue: the message as it came, and why.

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::desk::Problem;

/// Headers that prove who somebody is. They open more than this message.
const SECRETS: [&str; 2] = ["api-key", "authorization"];
/// Headers that the broker would act upon: further routing keys.
const ORDERS_TO_THE_BROKER: [&str; 2] = ["CC", "BCC"];
/// Headers that are longer than this together are left out, or ours would not find room in a frame beside them.
const MOST_HEADERS: usize = 32 * 1024;
/// On disk before it is confirmed.
const PERSISTENT: u8 = 2;

/// The original's properties but for what would stop or hide it, and the problem as headers.
pub(super) fn properties(original: &BasicProperties, problem: &Problem) -> BasicProperties {
    let mut headers = original.headers().as_ref().map(keep).unwrap_or_default();
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
        Some(value) => with(kept, value.clone()),
        None => kept,
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

fn keep(headers: &FieldTable) -> FieldTable {
    let mut kept = FieldTable::default();
    for (name, value) in headers.inner() {
        let is_secret = SECRETS.iter().any(|secret| name.as_str().eq_ignore_ascii_case(secret));
        if !is_secret && !ORDERS_TO_THE_BROKER.contains(&name.as_str()) {
            kept.insert(name.clone(), value.clone());
        }
    }
    // (As text they are longer than as bytes.)
    if format!("{kept:?}").len() > MOST_HEADERS {
        kept = FieldTable::default();
        kept.insert("payquery-headers-left-out".into(), AMQPValue::Boolean(true));
    }
    kept
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
        headers.insert("trace".into(), text("t"));
        let original = BasicProperties::default()
            .with_headers(headers)
            .with_user_id("shop".into())
            .with_expiration("1".into())
            .with_delivery_mode(1)
            .with_message_id("m".into())
            .with_reply_to("amq.rabbitmq.reply-to".into());
        let kept = properties(&original, &problem());
        assert!(!format!("{kept:?}").contains("pqk_secret"));
        let headers = kept.headers().clone().expect("there are headers");
        let names: Vec<_> = headers.inner().keys().map(|name| name.as_str().to_owned()).collect();
        assert_eq!(names, ["payquery-code", "payquery-problem", "payquery-status", "trace"]);
        assert_eq!(
            (kept.user_id(), kept.expiration(), kept.reply_to()),
            (&None, &None, &None)
        );
        assert_eq!(kept.delivery_mode(), &Some(PERSISTENT));
        assert_eq!(kept.message_id(), &Some("m".into()));
    }

    #[test]
    fn headers_that_fill_a_frame_are_left_out() {
        let mut headers = FieldTable::default();
        headers.insert("long".into(), text(&"x".repeat(100_000)));
        let kept = properties(&BasicProperties::default().with_headers(headers), &problem());
        let headers = kept.headers().clone().expect("there are headers");
        assert!(headers.contains_key("payquery-headers-left-out") && !headers.contains_key("long"));
        assert!(headers.contains_key("payquery-problem"));
    }
}
