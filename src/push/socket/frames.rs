//! Messages out of what a client sends: actix-http's codec reads the frames; this holds it to our limits.

use std::future::poll_fn;
use std::pin::Pin;

use actix_http::ws::{Codec, Frame, Item, ProtocolError};
use actix_web::web;
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::Stream as _;
use tokio_util::codec::Decoder as _;

use super::Closing;

/// The largest message, in bytes, be it one frame or many.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Fragments of one message: more are no message, but a way to keep us busy.
const MAX_FRAGMENTS: usize = 1024;

/// See the module's head.
pub(super) struct Frames {
    payload: web::Payload,
    /// What has arrived and was not yet read.
    ahead: BytesMut,
    codec: Codec,
    message: Option<Message>,
    ended: bool,
}

/// A message of which fragments are still to come.
struct Message {
    is_text: bool,
    bytes: BytesMut,
    fragments: usize,
}

/// What has arrived.
#[derive(Debug)]
pub(super) enum Arrived {
    Text(ByteString),
    Binary(Bytes),
    Ping(Bytes),
    Pong,
    End(Closing),
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").finish_non_exhaustive()
    }
}

impl Frames {
    pub(super) fn new(payload: web::Payload) -> Self {
        Self {
            payload,
            ahead: BytesMut::new(),
            codec: Codec::new().max_size(MAX_MESSAGE_BYTES),
            message: None,
            ended: false,
        }
    }

    /// The next message or control frame. May be dropped while it waits, and called again.
    pub(super) async fn next(&mut self) -> Arrived {
        loop {
            if self.ended {
                return Arrived::End(Closing::GONE);
            }
            match self.take_frame() {
                Ok(Some(frame)) => match self.take_in(frame) {
                    Ok(Some(arrived)) => return arrived,
                    Ok(None) => {}
                    Err(closing) => return Arrived::End(closing),
                },
                Ok(None) => self.read().await,
                Err(closing) => return Arrived::End(closing),
            }
        }
    }

    /// Reads on and keeps nothing, until the client ends the connection.
    pub(super) async fn discard(&mut self) {
        while !self.ended {
            self.ahead.clear();
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let payload = &mut self.payload;
        match poll_fn(|context| Pin::new(&mut *payload).poll_next(context)).await {
            Some(Ok(bytes)) if self.ahead.is_empty() => self.ahead = BytesMut::from(bytes),
            Some(Ok(bytes)) => self.ahead.extend_from_slice(&bytes),
            Some(Err(_)) | None => self.ended = true,
        }
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, Closing> {
        let frame = self.codec.decode(&mut self.ahead).map_err(|error| match error {
            ProtocolError::Overflow => Closing::TOO_BIG,
            _ => Closing::PROTOCOL_ERROR,
        })?;
        // The codec would let all of a long frame arrive first. It is asked before: of a head with several faults the first counts, however it was split.
        if frame.is_none() && announced_length(&self.ahead).is_some_and(|length| length > MAX_MESSAGE_BYTES as u64) {
            return Err(Closing::TOO_BIG);
        }
        Ok(frame)
    }

    /// What a frame completes; None when there is more to come.
    fn take_in(&mut self, frame: Frame) -> Result<Option<Arrived>, Closing> {
        Ok(match frame {
            Frame::Text(bytes) => Some(Arrived::Text(text(bytes)?)),
            Frame::Binary(bytes) => Some(Arrived::Binary(bytes)),
            Frame::Ping(bytes) => Some(Arrived::Ping(bytes)),
            Frame::Pong(_) => Some(Arrived::Pong),
            Frame::Close(reason) => Some(Arrived::End(Closing::answer(reason.map(|reason| reason.code)))),
            Frame::Continuation(item) => self.take_fragment(item)?,
        })
    }

    fn take_fragment(&mut self, item: Item) -> Result<Option<Arrived>, Closing> {
        // The codec sees to it that a message begins before it goes on.
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if self.message.is_some() => {
                drop(bytes);
                return Err(Closing::PROTOCOL_ERROR);
            }
            Item::FirstText(bytes) => {
                self.message = Some(Message::new(true));
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.message = Some(Message::new(false));
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let message = self.message.as_mut().ok_or(Closing::PROTOCOL_ERROR)?;
        message.fragments += 1;
        if message.fragments > MAX_FRAGMENTS {
            return Err(Closing::TOO_MANY_FRAGMENTS);
        }
        if message.bytes.len() + bytes.len() > MAX_MESSAGE_BYTES {
            return Err(Closing::TOO_BIG);
        }
        message.bytes.extend_from_slice(&bytes);
        if !is_last {
            return Ok(None);
        }
        let Some(Message { is_text, bytes, .. }) = self.message.take() else {
            return Ok(None);
        };
        Ok(Some(if is_text {
            Arrived::Text(text(bytes.freeze())?)
        } else {
            Arrived::Binary(bytes.freeze())
        }))
    }
}

impl Message {
    fn new(is_text: bool) -> Self {
        Self {
            is_text,
            bytes: BytesMut::new(),
            fragments: 0,
        }
    }
}

fn text(bytes: Bytes) -> Result<ByteString, Closing> {
    ByteString::try_from(bytes).map_err(|_| Closing::NOT_UTF8)
}

/// How long the payload of the frame is that begins here (RFC 6455 §5.2); None while its head has not wholly arrived.
fn announced_length(bytes: &[u8]) -> Option<u64> {
    let short = *bytes.get(1)? & 0x7f;
    match short {
        126 => Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into()),
        127 => Some(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)),
        _ => Some(short.into()),
    }
}

#[cfg(test)]
mod tests;
