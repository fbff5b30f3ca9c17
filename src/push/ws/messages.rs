//! The messages of `/v1/ws`: what a client says, read; what it is told, written.

use std::fmt;

use bytestring::ByteString;
use serde_json::{Map, Value, json};

use super::super::gate::{Fault, Refusal};
use crate::domain::api_key;
use crate::domain::order::Version;
use crate::hub::Snapshot;

/// What a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request {
    Auth(Credentials),
    /// The token is the order's client secret; without one, the API key that the connection was opened with.
    Subscribe {
        order_id: Box<str>,
        token: Option<Token>,
        version: Option<Version>,
    },
    Unsubscribe {
        order_id: Box<str>,
    },
    HeartBeat,
}

/// What opens an order, or a merchant's orders.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) token: Token,
    pub(super) order_id: Option<Box<str>>,
    /// The version that the client has.
    pub(super) version: Option<Version>,
}

/// A client secret or an API key; never shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token(Box<str>);

impl Token {
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn is_api_key(&self) -> bool {
        self.0.starts_with(api_key::PREFIX)
    }
}

impl From<&str> for Token {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Request {
    /// Reads a message. Members that mean nothing here are passed over.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let value: Value = serde_json::from_str(text).map_err(|error| Fault::MalformedJson {
            reason: format!("the message is not JSON: {error}"),
        })?;
        let Value::Object(members) = value else {
            return Err(Fault::MalformedJson {
                reason: "a message must be a JSON object".into(),
            });
        };
        let kind = text_of(&members, "type")?.ok_or_else(|| invalid("type", "is missing"))?;
        match kind {
            "auth" => Ok(Self::Auth(Credentials {
                token: token_of(&members)?.ok_or(NO_TOKEN)?,
                order_id: text_of(&members, "order_id")?.map(Into::into),
                version: version_of(&members)?,
            })),
            "subscribe" => Ok(Self::Subscribe {
                order_id: order_of(&members)?,
                token: token_of(&members)?,
                version: version_of(&members)?,
            }),
            "unsubscribe" => Ok(Self::Unsubscribe {
                order_id: order_of(&members)?,
            }),
            "heartBeat" | "heartbeat" => Ok(Self::HeartBeat),
            _ => Err(invalid("type", "takes auth, subscribe, unsubscribe, heartBeat")),
        }
    }
}

const NO_TOKEN: Fault = Fault::Unauthenticated {
    reason: "send the order's client_secret with auth, or the merchant's api_key",
};

fn invalid(field: &'static str, reason: &str) -> Fault {
    Fault::Invalid {
        field,
        reason: reason.into(),
    }
}

pub(super) fn not_a_version() -> Fault {
    invalid("version", "must be a number: the version of a status document")
}

/// A member that must be a string; null is the same as none.
fn text_of<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, Fault> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(invalid(name, "must be a string")),
    }
}

fn order_of(members: &Map<String, Value>) -> Result<Box<str>, Fault> {
    let id = text_of(members, "order_id")?;
    Ok(id.ok_or_else(|| invalid("order_id", "is missing"))?.into())
}

fn token_of(members: &Map<String, Value>) -> Result<Option<Token>, Fault> {
    let secret = text_of(members, "client_secret")?;
    Ok(secret.or(text_of(members, "api_key")?).map(Into::into))
}

fn version_of(members: &Map<String, Value>) -> Result<Option<Version>, Fault> {
    match members.get("version") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let version = value.as_i64().filter(|version| *version >= 0);
            let version = version.ok_or_else(not_a_version)?;
            Ok(Some(Version(version)))
        }
    }
}

/// What was done: `auth_ack`, `subscribe_ack`, `unsubscribe_ack`.
pub(super) fn ack(kind: &str, order: Option<&str>) -> ByteString {
    let mut message = json!({ "code": "200", "success": true, "msgType": kind });
    if let Some(order) = order {
        message["order_id"] = order.into();
    }
    message.to_string().into()
}

pub(super) const HEART_BEAT_ACK: ByteString = ByteString::from_static(r#"{"msgType":"heartBeat_ack"}"#);

/// The status document, byte for byte.
pub(super) fn order_status(snapshot: &Snapshot) -> ByteString {
    let document = std::str::from_utf8(&snapshot.body).expect("JSON is text");
    format!(r#"{{"msgType":"order_status","data":{document}}}"#).into()
}

/// What is longer than this is no order's id, and is not repeated.
const MAX_ORDER_ID: usize = 64;

/// A refusal; `order` is what it is about, as the client wrote it.
pub(super) fn error(refusal: &Refusal, order: Option<&str>) -> ByteString {
    let order = order.filter(|order| order.len() <= MAX_ORDER_ID);
    let problem: Value = serde_json::from_slice(&refusal.problem).expect("was serialised a moment ago");
    let mut message =
        json!({ "code": refusal.status.to_string(), "success": false, "msgType": "error", "data": problem });
    if let Some(order) = order {
        message["order_id"] = order.into();
    }
    if let Some(seconds) = refusal.retry_after {
        message["retry_after"] = seconds.into();
    }
    message.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_read_and_what_is_wrong_with_one_is_said() {
        let token = || Token::from("pqs_x");
        let read = |text: &str| {
            Request::read(text).map_err(|fault| match fault {
                Fault::Invalid { field, .. } => field,
                Fault::MalformedJson { .. } => "json",
                _ => "credentials",
            })
        };
        let auth = Request::Auth(Credentials {
            token: token(),
            order_id: Some("o".into()),
            version: None,
        });
        assert_eq!(
            read(r#"{"type":"auth","order_id":"o","client_secret":"pqs_x","version":null,"more":[1]}"#),
            Ok(auth)
        );
        let subscribe = Request::Subscribe {
            order_id: "o".into(),
            token: None,
            version: Some(Version(3)),
        };
        assert_eq!(
            read(r#"{"type":"subscribe","order_id":"o","version":3}"#),
            Ok(subscribe)
        );
        assert_eq!(read(r#"{"type":"heartBeat","msg":"ping"}"#), Ok(Request::HeartBeat));
        for (text, fault) in [
            ("", "json"),
            ("PING", "json"),
            ("[]", "json"),
            ("\"auth\"", "json"),
            ("{}", "type"),
            (r#"{"type":5}"#, "type"),
            (r#"{"type":"AUTH"}"#, "type"),
            (r#"{"type":"auth","order_id":"o"}"#, "credentials"),
            (r#"{"type":"auth","client_secret":5}"#, "client_secret"),
            (r#"{"type":"auth","api_key":{}}"#, "api_key"),
            (r#"{"type":"auth","api_key":"k","order_id":1}"#, "order_id"),
            (r#"{"type":"subscribe"}"#, "order_id"),
            (r#"{"type":"unsubscribe"}"#, "order_id"),
            (r#"{"type":"subscribe","order_id":"o","version":"3"}"#, "version"),
            (r#"{"type":"subscribe","order_id":"o","version":-1}"#, "version"),
        ] {
            assert_eq!(read(text), Err(fault), "{text}");
        }
    }

    #[test]
    fn tokens_are_not_shown() {
        let request = Request::read(r#"{"type":"auth","order_id":"o","client_secret":"pqs_x"}"#);
        assert!(!format!("{request:?}").contains("pqs_x"));
    }

    proptest! {
        #[test]
        fn junk_never_panics(text in ".{0,200}") {
            let _ = Request::read(&text);
        }

        #[test]
        fn json_of_any_shape_never_panics(kind in "auth|subscribe|unsubscribe|heartBeat|x", value in "[0-9]{1,30}|null|\"x\"|\\[\\]|\\{\\}|-1|1e99") {
            for member in ["order_id", "client_secret", "api_key", "version", "type"] {
                let _ = Request::read(&format!(r#"{{"type":"{kind}","{member}":{value}}}"#));
            }
        }
    }
}
