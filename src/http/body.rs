//! Request bodies: JSON of bounded size, and errors that name the field.

use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::{Either, LocalBoxFuture, select};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::auth::Merchant;
use super::error::ApiError;
use crate::domain::order::MerchantId;

/// A body of 64 KiB at most takes no longer on any line that a backend has.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// A merchant's request with a JSON body. The credentials are looked at first: a stranger hears 401, whatever it sent.
#[derive(Debug)]
pub struct MerchantJson<T> {
    pub merchant: MerchantId,
    pub body: T,
}

impl<T: DeserializeOwned> FromRequest for MerchantJson<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_json = has_json_type(request);
        let merchant = Merchant::from_request(request, payload);
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            // Together, since a body may break off while the key is being looked up; the key's answer counts first.
            let (Merchant(merchant), bytes) = match select(merchant, Box::pin(timeout(BODY_TIMEOUT, bytes))).await {
                Either::Left((merchant, bytes)) => (merchant?, bytes.await),
                // A transfer that broke takes the connection with it: what is not answered now is never answered.
                Either::Right((Ok(Err(error)), _)) => return Err(explain_payload(&error).into()),
                Either::Right((bytes, merchant)) => (merchant.await?, bytes),
            };
            if !is_json {
                return Err(ApiError::UnsupportedMediaType.into());
            }
            let bytes = bytes.map_err(|_| ApiError::BodyTooSlow)?;
            let bytes = bytes.map_err(|error| explain_payload(&error))?;
            Ok(Self {
                merchant,
                body: read(&bytes)?,
            })
        })
    }
}

/// `application/json` and its kin (`…+json`), with any parameters.
fn has_json_type(request: &HttpRequest) -> bool {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    is_json(value)
}

/// Whether that type is JSON's, or of its kin.
pub(super) fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn explain_payload(error: &actix_web::Error) -> ApiError {
    match error.as_error::<PayloadError>() {
        Some(PayloadError::Overflow) => ApiError::BodyTooLarge,
        _ => ApiError::BrokenBody {
            reason: "the body ended before it was complete, or is not encoded as announced".into(),
        },
    }
}

/// Every body is an object. (serde would also take an array of a struct's fields.)
pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Ok(_) => ApiError::invalid("body", "must be a JSON object"),
            Err(error) => ApiError::MalformedJson {
                reason: format!("the body is not valid JSON: {error}"),
            },
        });
    }
    // What is well-formed is not followed field by field.
    if let Ok(value) = serde_json::from_slice(bytes) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| explain(&error))?;
    reader.end().map_err(|error| ApiError::MalformedJson {
        reason: format!("the body goes on after the JSON value: {error}"),
    })?;
    Ok(value)
}

/// Turns serde's error into the name of a field and a reason. Where serde names a field in its message only (missing,
/// unknown, twice), it is taken from there.
fn explain(error: &serde_path_to_error::Error<serde_json::Error>) -> ApiError {
    let inner = error.inner();
    if !inner.is_data() {
        return ApiError::MalformedJson {
            reason: format!("the body is not valid JSON: {inner}"),
        };
    }
    let text = inner.to_string();
    // serde_json ends its messages with the place; the field says that better.
    let message = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(message, _)| message);
    let path = error.path().to_string();
    for (prefix, reason) in [
        ("missing field `", "is missing"),
        ("duplicate field `", "is given twice"),
    ] {
        if let Some(name) = message.strip_prefix(prefix).and_then(|rest| rest.split('`').next()) {
            return ApiError::invalid(name, reason);
        }
    }
    if let Some((name, expected)) = message
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.split_once("`, "))
    {
        return ApiError::invalid(shortened(name), format!("is not known; {}", expected.replace('`', "")));
    }
    let field = if path == "." { "body" } else { &path };
    // serde names Rust's types; these are JSON's.
    let message = message
        .replace("expected i64", "expected a whole number")
        .replace("expected a map", "expected an object");
    ApiError::invalid(shortened(field), format!("is not valid: {}", shortened(&message)))
}

/// What a stranger sent is repeated in part only.
pub(super) fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 200;
    if text.chars().count() <= MAX_CHARS {
        text.to_owned()
    } else {
        text.chars().take(MAX_CHARS).chain(['…']).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::wire::NewOrderBody;

    fn problem(body: &str) -> (String, String) {
        match read::<NewOrderBody>(body.as_bytes()) {
            Err(ApiError::Invalid { field, reason }) => (field, reason),
            Err(ApiError::MalformedJson { reason }) => ("(json)".into(), reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn errors_name_the_field_and_the_reason() {
        let good = r#""out_trade_no":"a","amount":1,"currency":"CNY""#;
        let cases = [
            (String::new(), "(json)", "not valid JSON"),
            ("{".into(), "(json)", "not valid JSON"),
            ("nonsense".into(), "(json)", "not valid JSON"),
            (format!("{{{good}}} more"), "(json)", "goes on after"),
            (
                "[\"a\",1,\"CNY\",null,null,null,null]".into(),
                "body",
                "must be a JSON object",
            ),
            ("3".into(), "body", "must be a JSON object"),
            ("null".into(), "body", "must be a JSON object"),
            (
                r#"{"out_trade_no":"a","currency":"CNY"}"#.into(),
                "amount",
                "is missing",
            ),
            (format!("{{{good},\"amount\":2}}"), "amount", "is given twice"),
            (
                format!("{{{good},\"colour\":2}}"),
                "colour",
                "is not known; expected one of out_trade_no",
            ),
            (
                r#"{"out_trade_no":"a","amount":"1","currency":"CNY"}"#.into(),
                "amount",
                "invalid type: string",
            ),
            (
                r#"{"out_trade_no":"a","amount":1.5,"currency":"CNY"}"#.into(),
                "amount",
                "invalid type: floating point",
            ),
            (
                r#"{"out_trade_no":"a","amount":9e99,"currency":"CNY"}"#.into(),
                "amount",
                "invalid type: floating point",
            ),
            (
                r#"{"out_trade_no":"a","amount":99999999999999999999,"currency":"CNY"}"#.into(),
                "amount",
                "not valid",
            ),
            (
                r#"{"out_trade_no":7,"amount":1,"currency":"CNY"}"#.into(),
                "out_trade_no",
                "invalid type: integer",
            ),
            (
                format!("{{{good},\"metadata\":[]}}"),
                "metadata",
                "invalid type: sequence",
            ),
        ];
        for (body, field, reason) in cases {
            let (got_field, got_reason) = problem(&body);
            assert_eq!(got_field, field, "{body}: {got_reason}");
            assert!(got_reason.contains(reason), "{body}: {got_reason}");
        }
    }

    #[test]
    fn a_long_name_from_a_stranger_is_repeated_in_part_only() {
        let (field, _) = problem(&format!("{{\"{}\":1}}", "x".repeat(60_000)));
        assert_eq!(field.chars().count(), 201);
    }
}
