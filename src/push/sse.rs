//! Server-sent events on the status resource: the snapshot first, then each change, until the order is final.
//!
//! A stream of events is a body that is asked for its next piece whenever the connection has room for it: no task, no queue.
//! A reader that is slow is asked for later, and then told the latest state. One that is gone is noticed by the connection
//! (the heartbeat makes it write), which drops the body, and with it the place.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use bytes::Bytes;
use futures_util::future::{LocalBoxFuture, OptionFuture};
use futures_util::stream::unfold;
use tokio::time::{Instant, Sleep, sleep_until};

use super::gate::revoked;
use super::{OpenStream, Streams, Transport};
use crate::domain::order::Version;
use crate::hub::{HotOrder, Snapshot};
use crate::service::follow::Following;

pub const CONTENT_TYPE: &str = "text/event-stream";
/// nginx, and whoever else knows this field, keeps no event back.
static X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// After how many milliseconds a client that lost its stream comes back.
const RETRY_MS: u64 = 2000;
/// The same when there was no place to wait in: the stream has become a poll.
const DEGRADED_RETRY_MS: u64 = 10_000;
/// The least part of a stream's lifetime; the rest is drawn, so that streams that began together do not end together.
const LEAST_LIFETIME: f64 = 0.8;

/// Answers with a stream of that order. `shown` is the version that the client has; `Door::catch_up` was asked about it. `api_key`
/// is what the order was opened with, where it was no client secret: the stream ends when that opens nothing any more.
///
/// A client that has the final version gets 204, which tells an EventSource to stop coming back (WHATWG HTML §9.2.3).
pub fn answer(
    streams: &Arc<Streams>,
    hot: &Arc<HotOrder>,
    shown: Option<Version>,
    api_key: Option<&str>,
) -> HttpResponse {
    let snapshot = hot.snapshot();
    if snapshot.is_final && shown == Some(snapshot.version) {
        return HttpResponse::NoContent().finish();
    }
    let open = streams.open(Transport::Sse);
    let mut response = HttpResponse::Ok();
    response
        .content_type(CONTENT_TYPE)
        .insert_header((X_ACCEL_BUFFERING.clone(), HeaderValue::from_static("no")));
    let following = if snapshot.is_final {
        None
    } else {
        streams.holds.follow(hot, shown)
    };
    if let Some(following) = following {
        let stream = EventStream::new(streams, following, open, api_key);
        return response.streaming(unfold(stream, |mut stream| async move {
            let piece = stream.next().await?;
            Some((Ok::<_, Infallible>(piece), stream))
        }));
    }
    // Nothing to wait for, or nowhere to wait: the stream is a poll.
    let mut text = retry(if snapshot.is_final { RETRY_MS } else { DEGRADED_RETRY_MS });
    if shown != Some(snapshot.version) {
        open.count_told(&snapshot);
        write_event(&mut text, &snapshot);
    }
    response.body(text)
}

/// The fields of every answer to a client that wants events: kept by nobody, transformed by nobody.
pub fn cache_control() -> (HeaderName, HeaderValue) {
    (
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-store, no-transform"),
    )
}

/// A stream on its way.
struct EventStream {
    following: Following,
    open: OpenStream,
    heartbeat: Duration,
    end: Pin<Box<Sleep>>,
    drained: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// None where no API key opened it.
    revoked: OptionFuture<LocalBoxFuture<'static, ()>>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was sent yet.
    Begins,
    Goes,
    /// The last piece was sent.
    Over,
}

/// Why the stream goes on, or doesn't.
enum Turn {
    Change(Arc<Snapshot>),
    Silence,
    LifetimeOver,
    Stopping,
    Revoked,
}

impl EventStream {
    fn new(streams: &Streams, following: Following, open: OpenStream, api_key: Option<&str>) -> Self {
        let revoked =
            |key: &str| Box::pin(revoked(Arc::clone(&streams.gate), key.into())) as LocalBoxFuture<'static, ()>;
        let share = LEAST_LIFETIME + (1.0 - LEAST_LIFETIME) * fastrand::f64();
        Self {
            following,
            open,
            heartbeat: streams.settings.heartbeat,
            end: Box::pin(sleep_until(Instant::now() + streams.settings.lifetime.mul_f64(share))),
            drained: Box::pin(Arc::clone(&streams.holds).drained()),
            revoked: api_key.map(revoked).into(),
            state: State::Begins,
        }
    }

    /// The next piece; None at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.state {
            State::Over => return None,
            // At once, whatever there is to tell, so that the answer's head leaves.
            State::Begins => {
                self.state = State::Goes;
                return Some(retry(RETRY_MS).into());
            }
            State::Goes => {}
        }
        Some(match self.wait().await {
            Turn::Change(snapshot) => {
                let mut text = String::new();
                write_event(&mut text, &snapshot);
                self.open.count_told(&snapshot);
                if snapshot.is_final {
                    self.state = State::Over;
                }
                text.into()
            }
            Turn::Silence => Bytes::from_static(b":\n\n"),
            // Whoever comes back with a key that was revoked is told so then.
            Turn::LifetimeOver | Turn::Stopping | Turn::Revoked => {
                self.state = State::Over;
                retry(spread(RETRY_MS)).into()
            }
        })
    }

    async fn wait(&mut self) -> Turn {
        tokio::select! {
            biased;
            snapshot = self.following.next() => Turn::Change(snapshot),
            () = &mut self.end => Turn::LifetimeOver,
            () = &mut self.drained => Turn::Stopping,
            Some(()) = &mut self.revoked => Turn::Revoked,
            () = tokio::time::sleep(self.heartbeat) => Turn::Silence,
        }
    }
}

fn retry(milliseconds: u64) -> String {
    format!("retry: {milliseconds}\n\n")
}

/// Up to half as long again: clients whose streams ended together do not come back together.
fn spread(milliseconds: u64) -> u64 {
    milliseconds + fastrand::u64(..=milliseconds / 2)
}

/// The document is JSON on one line, so it is one `data` field.
fn write_event(text: &mut String, snapshot: &Snapshot) {
    let body = std::str::from_utf8(&snapshot.body).expect("JSON is text");
    for part in ["id: ", &snapshot.version.to_string(), "\ndata: ", body, "\n\n"] {
        text.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::order::Order;
    use crate::domain::text::Reason;
    use crate::push::gate::shut::{hot_order, streams};

    #[tokio::test]
    async fn streams_that_begin_together_do_not_end_together() {
        let streams = streams();
        let (hot, lifetime) = (hot_order(&streams).await, streams.settings.lifetime);
        let begun = Instant::now();
        let ends = (0..30).map(|_| {
            let following = streams.holds.follow(&hot, None).expect("there is a place");
            let stream = EventStream::new(&streams, following, streams.open(Transport::Sse), None);
            stream.end.deadline()
        });
        let mut ends: Vec<Instant> = ends.collect();
        ends.sort_unstable();
        let (first, last) = (ends[0], ends[ends.len() - 1]);
        assert!(first >= begun + lifetime.mul_f64(LEAST_LIFETIME), "{ends:?}");
        assert!(last <= Instant::now() + lifetime, "{ends:?}");
        // Thirty draws from a fifth of the lifetime, all within a sixth of that: less likely than one in 10^20.
        assert!(last - first > lifetime / 30, "{ends:?}");
    }

    /// What a browser makes of a stream's lines (HTML, "Interpreting an event stream"): ids and data of its events.
    fn interpret(text: &str) -> Vec<(String, String)> {
        let (mut events, mut id, mut data) = (Vec::new(), String::new(), String::new());
        for line in text.replace("\r\n", "\n").split(['\n', '\r']) {
            match line
                .split_once(':')
                .map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value)))
            {
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => data = data + value + "\n",
                _ if line.is_empty() && !data.is_empty() => {
                    events.push((id.clone(), std::mem::take(&mut data).trim_end_matches('\n').to_owned()));
                }
                _ => {}
            }
        }
        events
    }

    proptest! {
        #[test]
        fn each_version_is_one_event_whatever_words_stand_in_the_document(
            words in proptest::collection::vec(any::<String>(), 0..4),
        ) {
            let mut order = Order::sample();
            let (mut text, mut told) = (retry(RETRY_MS), Vec::new());
            for reason in words.into_iter().filter_map(|word| Reason::parse(word).ok()) {
                order.version = order.version.next();
                order.reason = Some(reason);
                let snapshot = Snapshot::stored(&order);
                write_event(&mut text, &snapshot);
                text.push_str(":\n\n");
                told.push((order.version.to_string(), String::from_utf8(snapshot.body.to_vec()).expect("is JSON")));
            }
            prop_assert_eq!(interpret(&text), told);
        }
    }
}
