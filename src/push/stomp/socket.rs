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
#[utoipa::path(
    get,
    path = "/ws",
    tag = "payer",
    operation_id = "openStomp",
    summary = "STOMP over a WebSocket, and SockJS",
    description = "With `Upgrade: websocket` STOMP 1.0 to 1.2 is spoken from here on: CONNECT with the header `client-secret` or \
        `authorization`, SUBSCRIBE to `/topic/orders.{id}`, and the status document comes as it stands and after each change. Below \
        `/ws/` is SockJS with the same conversation; its own protocol says what its paths are.",
    params(("Sec-WebSocket-Protocol" = Option<String>, Header, description = "`v12.stomp`, `v11.stomp`, `v10.stomp`; the best offered one is selected")),
    responses(
        (status = 101, description = "The WebSocket is open"),
        (status = 200, description = "No upgrade was asked for: a greeting, by which SockJS knows SockJS", content_type = "text/plain", body = String),
        (status = "4XX", description = "This is no handshake, or comes from a page that may not ask", content_type = "application/problem+json", body = serde_json::Value),
    )
)]
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
            Ending::Later => Closing::TRY_AGAIN,
            Ending::Refused => Closing::UNAUTHORIZED,
            Ending::Mistake => Closing::ours(1002, "the ERROR frame says what was wrong"),
        });
        self.socket.close(closing).await;
    }
}
