//! The one API error: what went wrong, as RFC 9457 problem details. The only place that knows which status code a failure has.

mod causes;
mod texts;
mod webhooks;

use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::limits::Refusal;
use crate::db::DbError;
use crate::domain::decision::Rejection;
use crate::domain::order::OrderId;
pub use webhooks::WebhookRefusal;

/// Everything that can be answered other than with success.
#[derive(Debug)]
pub enum ApiError {
    /// A field of the body, a query parameter, a header or a part of the path is not as it must be.
    Invalid {
        field: String,
        reason: String,
    },
    MalformedJson {
        reason: String,
    },
    UnsupportedMediaType,
    BodyTooLarge,
    BodyTooSlow,
    /// The body did not arrive as it was announced.
    BrokenBody {
        reason: String,
    },
    /// No credentials, or an API key that does not open.
    Unauthorized {
        reason: &'static str,
    },
    OrderNotFound,
    Webhook(WebhookRefusal),
    RouteNotFound,
    MethodNotAllowed {
        allow: &'static str,
    },
    Rejected(Rejection),
    OutTradeNoTaken {
        id: OrderId,
    },
    KeyReused,
    PreconditionFailed {
        reason: String,
    },
    Contended,
    /// The feed's cursor has seen what this database has not.
    CursorAhead,
    /// The feed's cursor lies before events that are not kept any more.
    CursorExpired,
    /// None of the media types that there are is taken.
    NotAcceptable {
        served: &'static str,
    },
    QuotaExceeded(Box<Refusal>),
    /// A page's preflight asked for what pages may not do.
    PreflightRefused {
        reason: String,
    },
    /// A WebSocket handshake (RFC 6455 §4.2) is due, and this is none.
    HandshakeDue,
    /// A page asks for what pages of its origin may not do.
    OriginRefused {
        reason: &'static str,
    },
    /// A stream found no place to wait in.
    NoPlace,
    /// A connection follows as many orders as it may.
    TooManySubscriptions {
        most: usize,
    },
    Database(Arc<DbError>),
    Stopping,
    /// The feed has not kept up: this replica knows less than others.
    Behind,
}

/// RFC 9457 problem details, with a stable machine `code` and the `request_id` that the logs have too.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// What kind of problem it is: a URI that stays the same.
    #[serde(rename = "type")]
    #[schema(example = "urn:payquery:problem:invalid_field")]
    pub type_uri: String,
    /// The kind in a few words.
    #[schema(example = "A field is not valid")]
    pub title: &'static str,
    /// The HTTP status code.
    #[schema(example = 400)]
    pub status: u16,
    /// What is wrong in this case, and what to do about it.
    #[schema(example = "amount must be a whole number of minor units from 1 to 9007199254740991")]
    pub detail: String,
    /// The kind, for machines.
    #[schema(example = "invalid_field")]
    pub code: &'static str,
    /// The field, parameter or header that is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "amount")]
    pub field: Option<String>,
    /// Names of the exceeded quotas, as in the RateLimit-Policy header.
    #[serde(rename = "violated-policies", skip_serializing_if = "Option::is_none")]
    pub violated_policies: Option<[&'static str; 1]>,
    /// Stands in the logs, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "5f0c1d3a9b7e4c21")]
    pub request_id: Option<String>,
}

/// The registered problem types (IANA "HTTP Problem Types") that fit; everything else has a URN of ours.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";
const TEMPORARY_REDUCED_CAPACITY: &str = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity";

/// The type of every problem document (RFC 9457 §3).
pub(super) const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// Seconds after which a client may try again when the database was away.
const RETRY_AFTER_OUTAGE: u64 = 2;
/// The same when all places to wait in are taken.
const RETRY_AFTER_CROWD: u64 = 10;

impl ApiError {
    pub fn invalid(field: impl Into<String>, reason: impl fmt::Display) -> Self {
        Self::Invalid {
            field: field.into(),
            reason: reason.to_string(),
        }
    }

    /// The problem document; `request_id` is None inside a list of answers, which has one for all.
    pub fn problem(&self, request_id: Option<String>) -> Problem {
        let (status, code, title) = self.describe();
        let type_uri = match status {
            StatusCode::TOO_MANY_REQUESTS => QUOTA_EXCEEDED.into(),
            StatusCode::SERVICE_UNAVAILABLE => TEMPORARY_REDUCED_CAPACITY.into(),
            _ => format!("urn:payquery:problem:{code}"),
        };
        let violated_policies = match self {
            Self::QuotaExceeded(refusal) => Some([refusal.policy_name]),
            _ => None,
        };
        let (detail, field) = (self.detail(), self.field());
        Problem {
            type_uri,
            title,
            status: status.as_u16(),
            detail,
            code,
            field,
            violated_policies,
            request_id,
        }
    }

    /// Seconds after which it may be tried again.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Self::QuotaExceeded(refusal) => Some(refusal.retry_after),
            Self::Stopping | Self::Behind => Some(1),
            Self::NoPlace => Some(RETRY_AFTER_CROWD),
            Self::Database(error) if matches!(**error, DbError::Unavailable(_)) => Some(RETRY_AFTER_OUTAGE),
            _ => None,
        }
    }

    /// What the client is not told but the logs are.
    pub fn cause(&self) -> Option<&DbError> {
        match self {
            Self::Database(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe().1)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.describe().0
    }

    /// Status and headers; [`RequestScope`](super::RequestScope) adds the document, which names the request, and its type.
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        match self {
            Self::Unauthorized { .. } => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"payquery\""));
            }
            Self::MethodNotAllowed { allow } => {
                response.insert_header((header::ALLOW, *allow));
            }
            Self::QuotaExceeded(refusal) => {
                response.insert_header(("ratelimit-policy", refusal.policy.clone()));
                response.insert_header(("ratelimit", refusal.limit.clone()));
            }
            Self::HandshakeDue => {
                response.insert_header((header::UPGRADE, "websocket"));
                response.insert_header((header::SEC_WEBSOCKET_VERSION, "13"));
                // What asked for an upgrade, whichever, is at its end: nobody knows what the client sends next.
                response.force_close();
            }
            _ => {}
        }
        if let Some(seconds) = self.retry_after() {
            response.insert_header((header::RETRY_AFTER, HeaderValue::from(seconds)));
        }
        response.finish()
    }
}
