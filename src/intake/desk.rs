//! What messages need of the door for requests: whose they are, what they say, and what comes of it. The door stands above
//! this module and implements [`Desk`] (`http/desk.rs`), so messages have the rules, the limits and the problems of requests.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::domain::order::MerchantId;
use crate::domain::report::Report;
use crate::service::read::OrderName;
use crate::service::update::Precondition;

/// A message, as far as it matters here.
#[derive(Clone)]
pub struct Letter {
    /// Problems and log lines carry it.
    pub request_id: Box<str>,
    /// As it was sent; never shown.
    pub api_key: Option<Box<str>>,
    pub if_match: Option<Box<[u8]>>,
    pub content_type: Option<Box<str>>,
    pub content_encoding: Option<Box<str>>,
    pub body: Bytes,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

/// What a message reports, of which order.
#[derive(Clone)]
pub struct Update {
    pub name: OrderName,
    pub report: Report,
    pub precondition: Arc<dyn Precondition>,
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("name", &self.name)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// The report is applied: the order as it then stands.
#[derive(Debug, Clone)]
pub struct Applied {
    /// As JSON.
    pub order: Bytes,
    pub etag: String,
}

/// A problem, ready to be told.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The HTTP status code that a request would have been answered with.
    pub status: u16,
    /// The stable machine code.
    pub code: &'static str,
    /// The whole problem document (RFC 9457), as JSON.
    pub json: Bytes,
}

/// Why a message was not carried out.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// It passes by itself: the same message may go through in a moment.
    ForNow {
        code: &'static str,
    },
    ForGood(Problem),
}

/// The door for requests, as messages know it.
pub trait Desk: fmt::Debug + Send + Sync {
    /// The id that stands in logs and problems: the message's own, if it is fit for that, else a new one.
    fn request_id(&self, message_id: Option<&str>) -> Box<str>;

    /// Whose message it is, by its API key. A failed attempt counts as a failed authentication.
    fn identify<'a>(&'a self, letter: &'a Letter) -> BoxFuture<'a, Result<MerchantId, Refusal>>;

    /// What it says.
    fn read(&self, letter: &Letter) -> Result<Update, Problem>;

    /// Carries it out.
    fn apply<'a>(
        &'a self,
        merchant: MerchantId,
        update: &'a Update,
        request_id: &'a str,
    ) -> BoxFuture<'a, Result<Applied, Refusal>>;
}
