//! STOMP over a WebSocket: `/ws`, and `/ws/websocket`, which SockJS knows as its raw one.

use std::sync::Arc;

use actix_web::http::header::UPGRADE;
use actix_web::{Error, HttpRequest, HttpResponse, web};
use bytes::Bytes;

use super::Version;
use super::session::converse;
use crate::push::socket::{Closing, Gone, Received, Socket, choose_protocol};
use crate::push::wire::{Ending, Wire};
use crate::push::{Streams, Transport, sockjs};

/// `/ws`: opens a socket, or greets who asks for a page.
pub async fn connect_or_greet(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    if !request.headers().contains_key(UPGRADE) {
        return Ok(sockjs::pages::greet().await);
    }
    connect(request, payload, streams).await
}

/// `/ws/websocket`.
pub async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    let asker = streams.gate.admit(&request)?;
    let versions = Version::ALL.map(Version::subprotocol);
    let best_first: Vec<&str> = versions.into_iter().rev().collect();
    let protocol = choose_protocol(&request, &best_first);
    let heartbeat = streams.settings.heartbeat;
    let (answer, socket) =
        Socket::accept(&request, payload, protocol, heartbeat).map_err(|error| streams.gate.reject(error))?;
    let streams = Arc::clone(&streams);
    actix_web::rt::spawn(async move {
        let wire = Raw { socket, closing: None };
        converse(wire, &streams, asker, Transport::Stomp).await;
    });
    Ok(answer)
}

/// A socket whose messages are the bytes of STOMP frames, cut anywhere.
struct Raw {
    socket: Socket,
    /// How the socket is to be closed, when that is settled.
    closing: Option<Closing>,
}

impl Wire for Raw {
    async fn receive(&mut self) -> Option<Bytes> {
        match self.socket.receive().await {
            Received::Text(text) => Some(text.into_bytes()),
            Received::Binary(bytes) => Some(bytes),
            Received::End(closing) => {
                self.closing = Some(closing);
                None
            }
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        self.socket.send_text(text).await
    }

    async fn end(self, ending: Ending) {
        let closing = self.closing.unwrap_or(match ending {
            Ending::Gone => Closing::GONE,
            Ending::Done => Closing::NORMAL,
            Ending::Stopping => Closing::GOING_AWAY,
            Ending::Idle => Closing::NOTHING_FOLLOWED,
            Ending::Later => Closing::TRY_AGAIN,
            Ending::Refused | Ending::Unproven => Closing::UNAUTHORIZED,
            Ending::Mistake => Closing::ours(1002, "the ERROR frame says what was wrong"),
        });
        self.socket.close(closing).await;
    }
}
