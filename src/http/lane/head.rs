//! Reading the head of a request: is it a poll that the lane answers, and where do its parts stand?

use std::net::SocketAddr;

use httparse::{Header, Request, Status};

use super::super::status::Head;

/// What has arrived on a connection.
#[derive(Debug)]
pub(super) enum Arrival<'f, 'b> {
    /// So far it may become a poll.
    Incomplete,
    /// Something that actix-web shall read.
    Foreign,
    Poll(Poll<'f, 'b>),
}

/// A poll's head.
#[derive(Debug)]
pub(super) struct Poll<'f, 'b> {
    /// Bytes of the head; what stands behind them is the next request.
    pub(super) length: usize,
    /// The client wants no further answer on this connection.
    pub(super) close: bool,
    pub(super) fields: &'f [Header<'b>],
    id: &'b str,
    query: &'b str,
}

/// More fields than any proxy chain adds to a poll. A head with more is not refused, only read elsewhere.
pub(super) const MAX_FIELDS: usize = 32;
/// A head that is longer goes to actix-web, which knows how to refuse it.
pub(super) const MAX_HEAD_BYTES: usize = 16 * 1024;

const BEGINNING: &[u8] = b"GET /v1/orders/";
const ID_LENGTH: usize = 36;
const END: &str = "/status";

/// Looks at what has arrived; `room` is for the fields.
pub(super) fn read<'f, 'b>(bytes: &'b [u8], room: &'f mut [Header<'b>]) -> Arrival<'f, 'b> {
    let compared = bytes.len().min(BEGINNING.len());
    if bytes[..compared] != BEGINNING[..compared] {
        return Arrival::Foreign;
    }
    let mut request = Request::new(room);
    let length = match request.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if bytes.len() < MAX_HEAD_BYTES => return Arrival::Incomplete,
        Ok(Status::Partial) | Err(_) => return Arrival::Foreign,
    };
    let target = request.path.filter(|_| request.version == Some(1)).and_then(split);
    let fields: &'f [Header<'b>] = request.headers;
    match (target, manner(fields)) {
        (Some((id, query)), Some(close)) => Arrival::Poll(Poll {
            length,
            close,
            fields,
            id,
            query,
        }),
        _ => Arrival::Foreign,
    }
}

/// The order's id and the query of a target that is a status's, spelled as everybody spells it: nothing escaped, no character
/// that a stricter reader would refuse.
fn split(target: &str) -> Option<(&str, &str)> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let id = path.get(BEGINNING.len() - b"GET ".len()..)?.strip_suffix(END)?;
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%&=+,:;@!$'()*/?".contains(&byte);
    (is_id && query.bytes().all(is_plain)).then_some((id, query))
}

/// Whether the connection is to be closed after the answer; None when the fields say that this is no plain request without a
/// body: each of these fields at most once, and one host (RFC 9112 §3.2).
fn manner(fields: &[Header<'_>]) -> Option<bool> {
    let (mut hosts, mut lengths, mut connection) = (0, 0, None);
    for Header { name, value } in fields {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        match name.len() {
            4 if is("host") => hosts += 1,
            6 if is("accept") && mentions_event_stream(value) => return None,
            6 if is("expect") => return None,
            7 if is("upgrade") => return None,
            10 if is("connection") && connection.replace(*value).is_some() => return None,
            14 if is("content-length") && (*value != b"0" || lengths > 0) => return None,
            14 if is("content-length") => lengths += 1,
            17 if is("transfer-encoding") => return None,
            _ => {}
        }
    }
    match connection {
        _ if hosts != 1 => None,
        None => Some(false),
        Some(option) if option.eq_ignore_ascii_case(b"keep-alive") => Some(false),
        Some(option) if option.eq_ignore_ascii_case(b"close") => Some(true),
        Some(_) => None,
    }
}

/// A stream is another way of being told.
fn mentions_event_stream(accept: &[u8]) -> bool {
    const STREAM: &[u8] = b"text/event-stream";
    accept
        .windows(STREAM.len())
        .any(|part| part.eq_ignore_ascii_case(STREAM))
}

impl<'b> Poll<'_, 'b> {
    /// The head as the door reads it.
    pub(super) fn head(&self, peer: Option<SocketAddr>) -> Head<'_, [Header<'b>]> {
        Head {
            id: self.id,
            query: self.query,
            fields: self.fields,
            peer,
        }
    }
}

#[cfg(test)]
mod tests;
