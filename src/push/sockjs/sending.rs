//! The transports on which a client that receives by another one sends: xhr_send, jsonp_send.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use tokio::time::timeout;

use super::frames::{PayloadError, read_form_messages, read_messages};
use super::{PLAIN, plain};
use crate::push::Streams;

/// The largest body, in bytes: what a WebSocket message may have.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take.
const BODY_LIMIT: Duration = Duration::from_secs(15);

pub(super) async fn take_xhr(streams: &Streams, name: &str, payload: web::Payload) -> HttpResponse {
    match take(streams, name, payload, read_messages).await {
        // With a type, or Firefox takes the empty body for broken XML.
        Ok(()) => HttpResponse::NoContent().content_type(PLAIN).finish(),
        Err(answer) => answer,
    }
}

pub(super) async fn take_form(
    streams: &Streams,
    name: &str,
    request: &HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let content_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|name| name.to_ascii_lowercase().starts_with(FORM));
    let read = if is_form { read_form_messages } else { read_messages };
    match take(streams, name, payload, read).await {
        Ok(()) => plain(StatusCode::OK, "ok"),
        Err(answer) => answer,
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// Hands what came to the session; the error is the answer.
async fn take(
    streams: &Streams,
    name: &str,
    payload: web::Payload,
    read: fn(&[u8]) -> Result<Vec<String>, PayloadError>,
) -> Result<(), HttpResponse> {
    let body = timeout(BODY_LIMIT, payload.to_bytes_limited(MAX_BODY)).await;
    let body = match body {
        Ok(Ok(Ok(body))) => body,
        Ok(Ok(Err(_))) => return Err(plain(StatusCode::BAD_REQUEST, "the body did not arrive whole")),
        Ok(Err(_)) => {
            return Err(plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "a body may have 65536 bytes at most",
            ));
        }
        Err(_) => return Err(plain(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    };
    let session = streams.sockjs.find(name);
    let unknown = || plain(StatusCode::NOT_FOUND, "there is no such session");
    let session = session.ok_or_else(unknown)?;
    // The protocol has this very status, and these texts.
    let messages = read(&body).map_err(|error| {
        let text = match error {
            PayloadError::Missing => "Payload expected.",
            PayloadError::NotJson => "Broken JSON encoding.",
        };
        plain(StatusCode::INTERNAL_SERVER_ERROR, text)
    })?;
    if session.push(messages) { Ok(()) } else { Err(unknown()) }
}
