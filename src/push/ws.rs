//! `/v1/ws`: JSON messages over a WebSocket, in the words that mini-program code already uses.

mod messages;
mod opening;
mod session;

use std::sync::Arc;

use actix_web::{Error, HttpRequest, HttpResponse, web};

use super::Streams;
use super::gate::Fault;
use super::socket::{Socket, choose_protocol};
use crate::domain::api_key;
use crate::domain::order::Version;
use messages::Credentials;
use session::Session;

/// Orders that one connection may follow.
pub const MAX_SUBSCRIPTIONS: usize = 100;
/// The subprotocols that are selected when they are offered, the first first: ours, and those that sample code for
/// mini-programs offers. A browser drops a socket whose offer is not answered.
const PROTOCOLS: [&str; 3] = ["payquery.v1", "echo-protocol", "protocol1"];

/// Answers the handshake. Credentials in it count as the first message, and are answered as that is: a page hears nothing
/// of a handshake that fails.
pub fn connect(streams: &Arc<Streams>, request: &HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = &streams.gate;
    let asker = gate.admit(request)?;
    let credentials = credentials_of(request, gate.bearer(request));
    let protocol = choose_protocol(request, &PROTOCOLS);
    let (response, socket) =
        Socket::accept(request, payload, protocol, streams.settings.heartbeat).map_err(|fault| gate.reject(fault))?;
    let session = Session::new(Arc::clone(streams), asker, socket);
    actix_web::rt::spawn(session.run(credentials));
    Ok(response)
}

/// `Authorization: Bearer`, or `client_secret` in the query; there `order_id` and `version`, too. None when there are none.
fn credentials_of(request: &HttpRequest, bearer: Option<&str>) -> Option<Result<Credentials, Fault>> {
    let (mut order_id, mut client_secret, mut version) = (None, None, None);
    for (name, value) in form_urlencoded::parse(request.query_string().as_bytes()) {
        match &*name {
            "order_id" => order_id = Some(value),
            "client_secret" => client_secret = Some(value),
            "version" => version = Some(value.parse().ok().filter(|version| *version >= 0)),
            _ => {}
        }
    }
    if bearer.is_none() && client_secret.as_deref()?.starts_with(api_key::PREFIX) {
        return Some(Err(Fault::KeyInAddress));
    }
    let token = bearer.or(client_secret.as_deref())?.into();
    Some(match version {
        Some(None) => Err(messages::not_a_version()),
        Some(Some(_)) | None => Ok(Credentials {
            token,
            order_id: order_id.as_deref().map(Into::into),
            version: version.flatten().map(Version),
        }),
    })
}
