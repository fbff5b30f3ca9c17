//! What streams need of the door for requests: who may follow what, and in which words a refusal is told. The door stands
//! above this module and implements [`Gate`] (`http/gate.rs`), so streams have the polls' credentials, quotas and problems.

#[cfg(test)]
pub(super) mod shut;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_http::ws::HandshakeError;
use actix_web::{Error, HttpRequest};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;

use crate::domain::order::{MerchantId, Version};
use crate::hub::HotOrder;

/// How often a stream looks whether the API keys that opened something on it still do.
pub const KEY_TICK: Duration = Duration::from_secs(5);

/// Who asks on a stream; taken from its handshake, once.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The client's network, whose quotas are charged.
    pub client: IpAddr,
    /// The handshake's request id: problems and log lines of the stream carry it.
    pub request_id: Arc<str>,
}

/// A refusal, ready to be told.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The HTTP status code that a request would have been answered with.
    pub status: u16,
    /// The stable machine code.
    pub code: &'static str,
    /// What is wrong, for people: one line.
    pub detail: Box<str>,
    /// The whole problem document (RFC 9457), as JSON.
    pub problem: Bytes,
    /// Seconds after which it may be tried again.
    pub retry_after: Option<u64>,
}

impl Refusal {
    /// The credentials did not open: whoever sent them is to be sent away.
    pub fn is_of_credentials(&self) -> bool {
        matches!(self.status, 401 | 404)
    }
}

/// What a stream itself finds wrong with what its client sent.
#[derive(Debug, Clone)]
pub enum Fault {
    NoHandshake(HandshakeError),
    MalformedJson {
        reason: String,
    },
    /// A field of a message, or a header of a frame, is not as it must be.
    Invalid {
        field: &'static str,
        reason: String,
    },
    /// Credentials are missing; the reason says where they are due.
    Unauthenticated {
        reason: &'static str,
    },
    /// An API key stands in the address, where logs keep it.
    KeyInAddress,
    /// The API key that opened the connection was revoked.
    KeyDoesNotOpen,
    /// All places for those who wait are taken, or the process is stopping.
    NoPlace,
    /// This connection follows as many orders as it may.
    TooManySubscriptions {
        most: usize,
    },
}

/// The door for requests, as streams know it. Each call asks the same limiters as a poll; an opened order costs what a full
/// poll costs, and a failed attempt counts as a failed authentication.
pub trait Gate: fmt::Debug + Send + Sync {
    /// Who sends this handshake. An error when a web page of an origin that is not allowed sends it.
    fn admit(&self, handshake: &HttpRequest) -> Result<Asker, Error>;

    /// The answer to a request that becomes no stream.
    fn reject(&self, fault: Fault) -> Error;

    /// The token of `Authorization: Bearer` of a handshake; None without that field, or with one that cannot be read.
    fn bearer<'a>(&self, handshake: &'a HttpRequest) -> Option<&'a str>;

    /// Opens an order with its client secret or its merchant's API key, and makes sure that what is told of it is not older
    /// than `shown`, the version that the client has seen. A wrong secret, another tenant's order and no order at all are the
    /// same refusal (404).
    fn open_order<'a>(
        &'a self,
        asker: &'a Asker,
        opening: Opening<'a>,
    ) -> LocalBoxFuture<'a, Result<Arc<HotOrder>, Refusal>>;

    /// Whose API key that is.
    fn open_merchant<'a>(
        &'a self,
        asker: &'a Asker,
        api_key: &'a str,
    ) -> LocalBoxFuture<'a, Result<MerchantId, Refusal>>;

    /// Whether an API key that did open still does: false once it was revoked, within seconds. Charges nothing.
    fn still_opens<'a>(&'a self, api_key: &'a str) -> LocalBoxFuture<'a, bool>;

    /// The refusal for a fault that a stream found.
    fn refuse(&self, asker: &Asker, fault: Fault) -> Refusal;
}

/// Ends once that API key opens nothing any more.
pub async fn revoked(gate: Arc<dyn Gate>, api_key: Box<str>) {
    loop {
        tokio::time::sleep(KEY_TICK).await;
        if !gate.still_opens(&api_key).await {
            return;
        }
    }
}

/// What is to be opened, and by what.
#[derive(Clone, Copy)]
pub struct Opening<'a> {
    /// As the client wrote it.
    pub order_id: &'a str,
    /// The order's client secret, or the merchant's API key.
    pub token: &'a str,
    pub shown: Option<Version>,
}

/// Tokens are never shown.
impl fmt::Debug for Opening<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("order_id", &self.order_id)
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}
