//! What is sent to a client: one message at a time stands here until the connection has room for it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_http::ws::{Codec, Message};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::mpsc::{self, Permit};
use tokio_util::codec::Encoder as _;

/// The socket's end.
#[derive(Debug)]
pub(super) struct Outbox(mpsc::Sender<Message>);

/// The connection's end: the body of the handshake's answer. It lasts as long as the socket.
#[derive(Debug)]
pub(super) struct SocketBody {
    messages: mpsc::Receiver<Message>,
    codec: Codec,
}

pub(super) fn channel() -> (Outbox, SocketBody) {
    let (sender, messages) = mpsc::channel(1);
    let codec = Codec::new();
    (Outbox(sender), SocketBody { messages, codec })
}

impl Outbox {
    /// A place for the next message, when the one before was taken.
    pub(super) async fn place(&self) -> Result<Permit<'_, Message>, SendError<()>> {
        self.0.reserve().await
    }

    /// Ends when the connection is gone.
    pub(super) async fn gone(&self) {
        self.0.closed().await;
    }
}

impl MessageBody for SocketBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let this = &mut *self;
        this.messages.poll_recv(context).map(|message| {
            let mut bytes = BytesMut::new();
            // Only fragments can be refused, and we send none.
            this.codec.encode(message?, &mut bytes).ok()?;
            Some(Ok(bytes.freeze()))
        })
    }
}
