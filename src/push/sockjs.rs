//! SockJS (protocol 0.3.3) under `/ws`: for browsers and networks where a WebSocket does not come through.
//!
//! `frames` is what goes over the line, `session` what waits in between, `receiving`, `sending` and `socket` are the
//! transports, `pages` what a client asks for before it has a session. The conversation itself is STOMP's
//! (`push::stomp::session`), the same as over a WebSocket.

pub mod frames;
pub mod pages;
mod receiving;
mod sending;
mod session;
mod sessions;
mod socket;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{Error, HttpRequest, HttpResponse, HttpResponseBuilder, web};

use super::Streams;
use super::gate::Asker;
use receiving::Receiving;
pub use sessions::Sessions;

/// The longest name of a session that is taken. Clients make up eight characters.
const MAX_NAME: usize = 64;
/// How long a page may remember what it may do, and keep what never changes: the protocol wants a year. What it asks then is
/// looked at all the same, so nothing is lost when an origin is not allowed any more.
const YEAR: Duration = Duration::from_hours(365 * 24);
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const PLAIN: &str = "text/plain; charset=UTF-8";
const SCRIPT: &str = "application/javascript; charset=UTF-8";

/// The transports, by the last part of their paths.
#[derive(Debug, Clone, Copy)]
enum Transport {
    WebSocket,
    Receive(Receiving),
    XhrSend,
    JsonpSend,
}

impl Transport {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "websocket" => Self::WebSocket,
            "xhr" => Self::Receive(Receiving::Xhr),
            "xhr_streaming" => Self::Receive(Receiving::XhrStreaming),
            "eventsource" => Self::Receive(Receiving::EventSource),
            "htmlfile" => Self::Receive(Receiving::HtmlFile),
            "jsonp" => Self::Receive(Receiving::Jsonp),
            "xhr_send" => Self::XhrSend,
            "jsonp_send" => Self::JsonpSend,
            _ => return None,
        })
    }
}

/// `/ws/{server}/{session}/…`: the last part names the transport, and the table of routes its methods.
pub async fn transport(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    let asker = streams.gate.admit(&request)?;
    if request.method() == Method::OPTIONS {
        return Ok(preflight(&request, "OPTIONS, POST"));
    }
    let transport = request.path().rsplit('/').next().and_then(Transport::parse);
    let name = request.match_info().get("session").unwrap_or_default();
    let Some(transport) = transport.filter(|_| name.len() <= MAX_NAME) else {
        return Ok(plain(StatusCode::NOT_FOUND, "there is no such session"));
    };
    let streams = Arc::clone(&streams);
    let answer = match transport {
        Transport::WebSocket => return socket::open(&request, payload, &streams, asker),
        Transport::Receive(kind) => receive(&request, &streams, asker, kind).await,
        Transport::XhrSend => sending::take_xhr(&streams, name, payload).await,
        Transport::JsonpSend => sending::take_form(&streams, name, &request, payload).await,
    };
    Ok(for_page(&request, answer))
}

async fn receive(request: &HttpRequest, streams: &Arc<Streams>, asker: Asker, kind: Receiving) -> HttpResponse {
    let name = request.match_info().get("session").unwrap_or_default();
    match kind.style(request.query_string()) {
        Ok(style) => receiving::answer(streams, asker, name, style).await,
        // The protocol has this very status and text.
        Err(reason) => plain(StatusCode::INTERNAL_SERVER_ERROR, reason),
    }
}

fn plain(status: StatusCode, text: &'static str) -> HttpResponse {
    let mut answer = HttpResponse::build(status).content_type(PLAIN).body(text);
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// The header fields that every answer to a SockJS client has: nobody keeps it, and the page that asks may read it. Clients ask
/// with their cookies, so a browser wants to see its origin by name; that it is one of those that may ask is the gate's
/// business, and no cookie means anything here.
fn for_page(request: &HttpRequest, mut answer: HttpResponse) -> HttpResponse {
    let fields = answer.headers_mut();
    if !fields.contains_key(header::CACHE_CONTROL) {
        fields.insert(header::CACHE_CONTROL, NO_STORE);
    }
    if let Some(origin) = request.headers().get(header::ORIGIN) {
        fields.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        fields.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    fields.append(header::VARY, HeaderValue::from_static("Origin"));
    answer
}

fn preflight(request: &HttpRequest, methods: &'static str) -> HttpResponse {
    let mut answer = HttpResponse::NoContent();
    answer
        .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, methods))
        .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"))
        .insert_header((header::ACCESS_CONTROL_MAX_AGE, YEAR.as_secs()));
    keep_for_a_year(&mut answer);
    for_page(request, answer.finish())
}

/// The header fields of what anybody may keep.
fn keep_for_a_year(answer: &mut HttpResponseBuilder) {
    let expires = header::HttpDate::from(SystemTime::now() + YEAR);
    answer
        .insert_header((header::CACHE_CONTROL, format!("public, max-age={}", YEAR.as_secs())))
        .insert_header((header::EXPIRES, expires));
}
