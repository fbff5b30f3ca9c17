//! The transports on which a client is told something: one frame at a time (xhr, jsonp), or one after the other on an answer
//! that goes on (xhr_streaming, eventsource, htmlfile).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use bytes::Bytes;
use futures_util::stream::unfold;

use super::frames::{Callback, Frame, Wrapping};
use super::session::{Conversation, DISCONNECT_DELAY, Receiver};
use super::sessions::Found;
use super::{SCRIPT, X_ACCEL_BUFFERING, plain};
use crate::push::gate::Asker;
use crate::push::stomp::session::converse;
use crate::push::{Streams, Transport};

/// After so many bytes an answer ends, and its client asks anew: what a browser keeps of one grows with it.
const MAX_STREAMED: usize = 128 * 1024;
/// Old browsers show a page to its scripts only when so much of it is there.
const MIN_PAGE: usize = 1024;
/// The same for answers to scripts.
const PADDING: usize = 2048;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiving {
    Xhr,
    XhrStreaming,
    EventSource,
    HtmlFile,
    Jsonp,
}

/// How a transport's answer looks.
#[derive(Debug)]
pub(super) struct Style {
    wrapping: Wrapping,
    content_type: &'static str,
    /// What an answer that goes on begins with; None where it ends with its first frame.
    prelude: Option<String>,
}

impl Receiving {
    /// The error is for the client's programmer.
    pub(super) fn style(self, query: &str) -> Result<Style, &'static str> {
        let (wrapping, content_type, prelude) = match self {
            Self::Xhr => (Wrapping::Line, SCRIPT, None),
            Self::XhrStreaming => (Wrapping::Line, SCRIPT, Some("h".repeat(PADDING) + "\n")),
            Self::EventSource => (Wrapping::Event, "text/event-stream; charset=UTF-8", Some("\r\n".into())),
            Self::HtmlFile => {
                let page = begin_page(&read_callback(query)?);
                (Wrapping::Script, "text/html; charset=UTF-8", Some(page))
            }
            Self::Jsonp => (Wrapping::Jsonp(read_callback(query)?), SCRIPT, None),
        };
        Ok(Style {
            wrapping,
            content_type,
            prelude,
        })
    }
}

fn read_callback(query: &str) -> Result<Callback, &'static str> {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let parameter = parameters.find(|(name, _)| name == "c" || name == "callback");
    let (_, name) = parameter.ok_or("\"callback\" parameter required")?;
    Callback::parse(&name).ok_or("invalid \"callback\" parameter")
}

/// A page that hands each frame to the page that holds it, and says so when it has been loaded to its end.
fn begin_page(callback: &Callback) -> String {
    let page = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n<script>\nvar c = parent.{};\nc.start();\n\
         function p(frame) {{ c.message(frame); }}\nwindow.onload = c.stop;\n</script>\n",
        callback.as_str()
    );
    format!("{page:<MIN_PAGE$}\r\n\r\n")
}

/// Receives in the session of that name, which begins with this if there is none.
pub(super) async fn answer(streams: &Arc<Streams>, asker: Asker, name: &str, style: Style) -> HttpResponse {
    let session = match streams.sockjs.find_or_open(name) {
        Found::Known(session) => session,
        Found::New(session, place) => {
            let (streams, conversation) = (Arc::clone(streams), Conversation::new(Arc::clone(&session), place));
            actix_web::rt::spawn(async move {
                converse(conversation, &streams, asker, Transport::SockJs).await;
            });
            session
        }
        Found::Full => {
            let text = "there are too many sessions; try again later";
            let mut answer = plain(StatusCode::SERVICE_UNAVAILABLE, text);
            let seconds = HeaderValue::from(DISCONNECT_DELAY.as_secs());
            answer.headers_mut().insert(RETRY_AFTER, seconds);
            return answer;
        }
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(style.content_type)
        // What is a script to one who asked for a script shall be nothing else to others.
        .insert_header((HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff")));
    let heart_beat = streams.settings.heartbeat;
    match (session.attach(), style.prelude) {
        (Err(close), prelude) => {
            let frame = Frame::Close(close).wrap(&style.wrapping);
            response.body(prelude.unwrap_or_default() + &frame)
        }
        (Ok(mut receiver), None) => {
            let frame = receiver.next(heart_beat).await;
            receiver.finish();
            response.body(frame.wrap(&style.wrapping))
        }
        (Ok(receiver), Some(prelude)) => {
            response.insert_header((X_ACCEL_BUFFERING, HeaderValue::from_static("no")));
            let streaming = Streaming {
                receiver: Some(receiver),
                prelude: Some(prelude),
                wrapping: style.wrapping,
                heart_beat,
                room: MAX_STREAMED,
            };
            response.streaming(unfold(streaming, |mut streaming| async move {
                let piece = streaming.next().await?;
                Some((Ok::<_, Infallible>(piece), streaming))
            }))
        }
    }
}

/// An answer that goes on. Dropped before its end, it takes the session along.
struct Streaming {
    /// None when the last frame was told.
    receiver: Option<Receiver>,
    prelude: Option<String>,
    wrapping: Wrapping,
    heart_beat: Duration,
    /// The bytes that may still be told.
    room: usize,
}

impl Streaming {
    /// The next piece; None at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(prelude) = self.prelude.take() {
            return Some(prelude.into());
        }
        let frame = self.receiver.as_mut()?.next(self.heart_beat).await;
        let text = frame.wrap(&self.wrapping);
        self.room = self.room.saturating_sub(text.len());
        let is_last = self.room == 0 || matches!(frame, Frame::Close(_));
        if let Some(receiver) = self.receiver.take_if(|_| is_last) {
            receiver.finish();
        }
        Some(text.into())
    }
}
