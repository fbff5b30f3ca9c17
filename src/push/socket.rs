//! A WebSocket, as every protocol over it needs one: whole messages in, whole messages out, a heartbeat, limits.
//!
//! What stays true:
//! - A message has at most [`MAX_MESSAGE_BYTES`], however it is cut into frames; a frame that announces more is refused when
//!   it is announced, not when it has arrived.
//! - A message that the client does not take within [`SEND_LIMIT`] ends the socket: at most one waits to be sent.
//! - A client that leaves a ping unanswered for [`PONG_LIMIT`] is gone.
//! - An end that is ours to choose has a close code from IANA's registry ([`Closing`]), and the client gets time to hear it.

mod budget;
mod closing;
mod frames;
mod outbox;

use std::pin::Pin;
use std::time::Duration;

use actix_http::ws::{HandshakeError, Message};
use actix_web::http::Version;
use actix_web::http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use bytestring::ByteString;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::gate::Fault;
pub use budget::Budget;
pub use closing::Closing;
pub use frames::MAX_MESSAGE_BYTES;
use frames::{Arrived, Frames};
use outbox::Outbox;

/// How long a message may wait until the client takes it.
pub const SEND_LIMIT: Duration = Duration::from_secs(5);
/// How long a client may leave a ping unanswered.
pub const PONG_LIMIT: Duration = Duration::from_secs(10);
/// How long the client gets to answer our close.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// See the module's head.
#[derive(Debug)]
pub struct Socket {
    frames: Frames,
    outbox: Outbox,
    /// Silence after which the client is pinged.
    heartbeat: Duration,
    /// The next time to ping, or to give the client up.
    alarm: Pin<Box<Sleep>>,
    pinged: bool,
    /// Pings and pongs that the client may send; whole messages are for whoever reads them to count.
    control: Budget,
    /// What is to be sent before anything is read again.
    owed: Option<Message>,
}

/// What a client sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    Text(ByteString),
    Binary(Bytes),
    /// The socket is at its end: [`Socket::close`] it so.
    End(Closing),
}

/// The client does not take what it is sent, or is not there any more. Nothing can be told to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl From<Gone> for Closing {
    fn from(Gone: Gone) -> Self {
        Self::GONE
    }
}

impl Socket {
    /// Takes the handshake: the answer to it, and the socket that it opens. `protocol` is the subprotocol that was chosen
    /// ([`choose_protocol`]). What is no handshake is a fault for [`Gate::reject`](super::Gate::reject).
    pub fn accept(
        handshake: &HttpRequest,
        payload: web::Payload,
        protocol: Option<&str>,
        heartbeat: Duration,
    ) -> Result<(HttpResponse, Self), Fault> {
        // In HTTP/1.0 nobody upgrades (RFC 9110 §7.8, RFC 6455 §4.2.1).
        if handshake.version() < Version::HTTP_11 {
            return Err(Fault::NoHandshake(HandshakeError::NoWebsocketUpgrade));
        }
        let mut response = actix_http::ws::handshake(handshake.head()).map_err(Fault::NoHandshake)?;
        if let Some(protocol) = protocol {
            response.insert_header((SEC_WEBSOCKET_PROTOCOL, protocol));
        }
        let (outbox, body) = outbox::channel();
        let socket = Self {
            frames: Frames::new(payload),
            outbox,
            heartbeat,
            alarm: Box::pin(sleep_until(Instant::now() + heartbeat)),
            pinged: false,
            control: Budget::new(),
            owed: None,
        };
        let response = response
            .message_body(body)
            .expect("the fields of a handshake are valid");
        Ok((response.map_into_boxed_body().into(), socket))
    }

    /// The next message. Answers pings, pings when the client is silent, and notices when it is gone. May be dropped while it
    /// waits, and called again: nothing is lost.
    pub async fn receive(&mut self) -> Received {
        loop {
            if self.owed.is_some() {
                let Ok(Ok(place)) = timeout(SEND_LIMIT, self.outbox.place()).await else {
                    return Received::End(Closing::GONE);
                };
                place.send(self.owed.take().expect("was looked at"));
            }
            tokio::select! {
                arrived = self.frames.next() => {
                    // Whatever it is, the client lives.
                    self.pinged = false;
                    self.alarm.as_mut().reset(Instant::now() + self.heartbeat);
                    match arrived {
                        Arrived::Text(text) => return Received::Text(text),
                        Arrived::Binary(bytes) => return Received::Binary(bytes),
                        Arrived::Ping(_) | Arrived::Pong if !self.control.take() => {
                            return Received::End(Closing::TOO_MANY_MESSAGES);
                        }
                        Arrived::Ping(bytes) => self.owed = Some(Message::Pong(bytes)),
                        Arrived::Pong => {}
                        Arrived::End(closing) => return Received::End(closing),
                    }
                }
                () = self.alarm.as_mut() => {
                    if self.pinged {
                        return Received::End(Closing::GONE);
                    }
                    self.pinged = true;
                    self.alarm.as_mut().reset(Instant::now() + PONG_LIMIT);
                    self.owed = Some(Message::Ping(Bytes::new()));
                }
                () = self.outbox.gone() => return Received::End(Closing::GONE),
            }
        }
    }

    /// Sends a text, or gives the client up after [`SEND_LIMIT`].
    pub async fn send_text(&mut self, text: impl Into<ByteString>) -> Result<(), Gone> {
        self.send(Message::Text(text.into())).await
    }

    pub async fn send_binary(&mut self, bytes: Bytes) -> Result<(), Gone> {
        self.send(Message::Binary(bytes)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_LIMIT, self.outbox.place()).await {
            Ok(Ok(place)) => {
                place.send(message);
                Ok(())
            }
            _ => Err(Gone),
        }
    }

    /// Ends the socket: says why, and gives the client a moment to hear it.
    pub async fn close(mut self, closing: Closing) {
        let Some(frame) = closing.frame() else { return };
        if self.send(frame).await.is_err() {
            return;
        }
        if !closing.is_answer() {
            // What still comes is not read as messages: it may be the rest of what we refused.
            let _ = timeout(CLOSE_LIMIT, self.frames.discard()).await;
        }
    }
}

/// The first of `known` that the client offers, in the order of our liking; None when it offers none of them.
pub fn choose_protocol<'k>(handshake: &HttpRequest, known: &[&'k str]) -> Option<&'k str> {
    let offers = handshake.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
    let offered: Vec<&str> = offers
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(',').map(str::trim))
        .collect();
    known.iter().copied().find(|name| offered.contains(name))
}
