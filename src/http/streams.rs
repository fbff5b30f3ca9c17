//! The handshakes of the sockets: described here, served in `push`.

use actix_web::{Error, HttpRequest, HttpResponse, web};

use crate::push::{Streams, echo, stomp, ws};

#[utoipa::path(
    get,
    path = "/v1/ws",
    tag = "payer",
    operation_id = "openSocket",
    summary = "The same documents over a WebSocket, the moment they change",
    description = "A WebSocket handshake. The messages are JSON; docs/api.md has them all. The client authenticates by its first \
        message, `{\"type\":\"auth\",\"order_id\":…,\"client_secret\":…}` (or `api_key`, for all orders of the merchant), or by \
        the handshake: `Authorization: Bearer` or `client_secret`, with `order_id` and `version` in the query. Wrong credentials \
        are answered on the socket, which is then closed with code 3000.",
    security((), ("client_secret" = []), ("client_secret_in_query" = []), ("api_key" = [])),
    params(
        ("order_id" = Option<String>, Query, description = "The order to follow, when the handshake has credentials", format = Uuid),
        ("version" = Option<i64>, Query, description = "The version last seen: only what differs is told", minimum = 0),
        ("Sec-WebSocket-Protocol" = Option<String>, Header, description = "`payquery.v1` is selected when it is offered"),
    ),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 403, response = super::openapi::OriginRefused),
        (status = 426, response = super::openapi::HandshakeDue),
    )
)]
pub async fn open_socket(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    ws::connect(&streams, &request, payload)
}

#[utoipa::path(
    get,
    path = "/v1/echo",
    tag = "payer",
    operation_id = "openEcho",
    summary = "A WebSocket that sends back what it is sent",
    description = "To check that a domain, its certificate and its proxies take WebSockets. Text comes back as text, binary as \
        binary. Open to anybody, a hundred at once, for ten minutes at most.",
    security(()),
    params(
        ("Sec-WebSocket-Protocol" = Option<String>, Header, description = "`echo-protocol` is selected when it is offered"),
    ),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 403, response = super::openapi::OriginRefused),
        (status = 426, response = super::openapi::HandshakeDue),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn open_echo(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    echo::connect(&streams, &request, payload)
}

#[utoipa::path(
    get,
    path = "/ws",
    tag = "payer",
    operation_id = "openStomp",
    summary = "STOMP over a WebSocket, and SockJS",
    description = "With a WebSocket handshake STOMP 1.0 to 1.2 is spoken from here on: CONNECT with the header `client-secret` or \
        `authorization`, SUBSCRIBE to `/topic/orders.{id}`, and the status document comes as it stands and after each change. Below \
        `/ws/` is SockJS with the same conversation; its own protocol says what its paths are. docs/api.md has the details.",
    security(()),
    params(
        ("Sec-WebSocket-Protocol" = Option<String>, Header, description = "`v12.stomp`, `v11.stomp`, `v10.stomp`; the best offered one is selected"),
    ),
    responses(
        (status = 101, description = "The socket is open"),
        (status = 200, description = "No upgrade was asked for: the greeting by which SockJS is known", content_type = "text/plain", body = String),
        (status = 400, response = super::openapi::BadRequest),
        (status = 403, response = super::openapi::OriginRefused),
        (status = 426, response = super::openapi::HandshakeDue),
    )
)]
pub async fn open_stomp(
    request: HttpRequest,
    payload: web::Payload,
    streams: web::Data<Streams>,
) -> Result<HttpResponse, Error> {
    stomp::socket::connect_or_greet(request, payload, streams).await
}
