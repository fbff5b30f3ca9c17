//! SockJS frames over a WebSocket: a session as long as the socket, which no other request can come to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{Error, HttpRequest, HttpResponse, web};
use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use super::frames::{Close, Frame, read_socket_messages};
use crate::push::gate::Asker;
use crate::push::socket::{Budget, Closing, Gone, Received, Socket};
use crate::push::stomp::session::converse;
use crate::push::wire::{Ending, Wire};
use crate::push::{Streams, Transport};

pub(super) fn open(
    request: &HttpRequest,
    payload: web::Payload,
    streams: &Arc<Streams>,
    asker: Asker,
) -> Result<HttpResponse, Error> {
    let heart_beat = streams.settings.heartbeat;
    let (answer, mut socket) =
        Socket::accept(request, payload, None, heart_beat).map_err(|error| streams.gate.reject(error))?;
    let streams = Arc::clone(streams);
    actix_web::rt::spawn(async move {
        if socket.send_text(Frame::Open.text()).await.is_err() {
            return;
        }
        let wire = Framed {
            socket,
            waiting: VecDeque::new(),
            empty: Budget::new(),
            heart_beat,
            beat_at: Instant::now() + heart_beat,
            closing: None,
        };
        converse(wire, &streams, asker, Transport::SockJs).await;
    });
    Ok(answer)
}

/// A socket that speaks SockJS frames.
struct Framed {
    socket: Socket,
    /// Messages that arrived together with one that was given out.
    waiting: VecDeque<String>,
    /// Messages that the client may send with nothing in them; what is in others counts in the conversation.
    empty: Budget,
    heart_beat: Duration,
    /// When a heart-beat is due, unless something else is sent before.
    beat_at: Instant,
    /// How the socket is to be closed, when that is settled.
    closing: Option<Closing>,
}

impl Wire for Framed {
    async fn receive(&mut self) -> Option<Bytes> {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Some(message.into());
            }
            let received = tokio::select! {
                received = self.socket.receive() => received,
                () = sleep_until(self.beat_at) => {
                    self.beat().await.ok()?;
                    continue;
                }
            };
            let closing = match received {
                Received::Text(text) => match read_socket_messages(&text) {
                    Ok(messages) if messages.is_empty() && !self.empty.take() => Closing::TOO_MANY_MESSAGES,
                    Ok(messages) => {
                        self.waiting.extend(messages);
                        continue;
                    }
                    Err(_) => Closing::ours(1002, "a message must be a list of strings, in JSON"),
                },
                Received::Binary(_) => Closing::TEXT_IS_DUE,
                Received::End(closing) => closing,
            };
            self.closing = Some(closing);
            return None;
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        self.beat_at = Instant::now() + self.heart_beat;
        self.socket.send_text(Frame::Messages(vec![text]).text()).await
    }

    async fn end(mut self, ending: Ending) {
        let closing = match (self.closing, ending) {
            (Some(closing), _) => closing,
            (None, Ending::Gone) => Closing::GONE,
            (None, _) => {
                if self.socket.send_text(Frame::Close(Close::GoAway).text()).await.is_err() {
                    return;
                }
                Closing::NORMAL
            }
        };
        self.socket.close(closing).await;
    }
}

impl Framed {
    /// Sends a heart-beat. Dropped while it waits, it is due still.
    async fn beat(&mut self) -> Result<(), Gone> {
        self.socket.send_text(Frame::HeartBeat.text()).await?;
        self.beat_at = Instant::now() + self.heart_beat;
        Ok(())
    }
}
