//! The one API error: what went wrong, as RFC 9457 problem details. The only place that knows which status code a failure has.

mod causes;
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
    /// A page of an origin that is not allowed opens a socket.
    OriginRefused,
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

    fn describe(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Invalid { .. } => (StatusCode::BAD_REQUEST, "invalid_field", "A field is not valid"),
            Self::MalformedJson { .. } => (StatusCode::BAD_REQUEST, "malformed_json", "The body is not JSON"),
            Self::BrokenBody { .. } => (StatusCode::BAD_REQUEST, "broken_body", "The body did not arrive whole"),
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body's type is not supported",
            ),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::BodyTooSlow => (StatusCode::REQUEST_TIMEOUT, "body_too_slow", "The body took too long"),
            Self::Unauthorized { .. } => (
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Credentials are missing or wrong",
            ),
            Self::OrderNotFound => (StatusCode::NOT_FOUND, "order_not_found", "There is no such order"),
            Self::Webhook(refusal) => refusal.describe(),
            Self::RouteNotFound => (
                StatusCode::NOT_FOUND,
                "route_not_found",
                "There is nothing at this path",
            ),
            Self::MethodNotAllowed { .. } => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The method is not allowed here",
            ),
            Self::Rejected(rejection) => (StatusCode::CONFLICT, rejection.code(), "The report was rejected"),
            Self::OutTradeNoTaken { .. } => (
                StatusCode::CONFLICT,
                "out_trade_no_taken",
                "The out_trade_no belongs to another order",
            ),
            Self::KeyReused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "The idempotency key belongs to another request",
            ),
            Self::PreconditionFailed { .. } => (
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                "The order has changed meanwhile",
            ),
            Self::Contended => (StatusCode::CONFLICT, "contended", "The order keeps changing"),
            Self::CursorAhead => (
                StatusCode::CONFLICT,
                "cursor_ahead",
                "The cursor is ahead of this database",
            ),
            Self::NotAcceptable { .. } => (
                StatusCode::NOT_ACCEPTABLE,
                "not_acceptable",
                "None of the media types asked for is served",
            ),
            Self::QuotaExceeded(_) => (StatusCode::TOO_MANY_REQUESTS, "quota_exceeded", "Too many requests"),
            Self::PreflightRefused { .. } => (
                StatusCode::BAD_REQUEST,
                "cors_refused",
                "The page's request is not allowed",
            ),
            Self::HandshakeDue => (
                StatusCode::UPGRADE_REQUIRED,
                "handshake_due",
                "A WebSocket handshake is due here",
            ),
            Self::OriginRefused => (
                StatusCode::FORBIDDEN,
                "origin_refused",
                "Pages of this origin may not ask here",
            ),
            Self::NoPlace => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no_place",
                "There is no place to wait in",
            ),
            Self::TooManySubscriptions { .. } => (
                StatusCode::BAD_REQUEST,
                "too_many_subscriptions",
                "This connection follows as many orders as it may",
            ),
            Self::Database(error) => match **error {
                DbError::Unavailable(_) => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "database_unavailable",
                    "The database is not available",
                ),
                DbError::Refused(_) | DbError::Unreadable(_) => (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal_error",
                    "Something went wrong in the service",
                ),
            },
            Self::Behind => (StatusCode::SERVICE_UNAVAILABLE, "behind", "The service has to catch up"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping", "The service is stopping"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Invalid { field, reason } => format!("{field} {reason}"),
            Self::MalformedJson { reason }
            | Self::BrokenBody { reason }
            | Self::PreconditionFailed { reason }
            | Self::PreflightRefused { reason } => reason.clone(),
            Self::UnsupportedMediaType => "send the body as JSON, with Content-Type: application/json".into(),
            Self::BodyTooLarge => format!("a body may have {} bytes at most", super::MAX_BODY_BYTES),
            Self::BodyTooSlow => "the body did not arrive within 15 s".into(),
            Self::Unauthorized { reason } => (*reason).into(),
            Self::OrderNotFound => "there is no such order, or these credentials do not open it".into(),
            Self::Webhook(refusal) => refusal.detail(),
            Self::RouteNotFound => "nothing is served at this path; /docs lists what is".into(),
            Self::MethodNotAllowed { allow } => format!("this path takes {allow}"),
            Self::Rejected(rejection) => rejection.to_string(),
            Self::OutTradeNoTaken { id } => {
                format!("order {id} has this out_trade_no and other content; a new payment needs a new number")
            }
            Self::KeyReused => {
                "this Idempotency-Key was first sent with another request; use a new key for a new request".into()
            }
            Self::Contended => "other reports kept coming first; read the order and decide anew".into(),
            Self::CursorAhead => {
                "the cursor is of another database, or of a later state of this one; take a new one with after=now, \
                 and compare the orders that you have with GET /v1/orders, or read all events again without after"
                    .into()
            }
            Self::NotAcceptable { served } => format!("served here: {served}"),
            Self::QuotaExceeded(refusal) => {
                format!(
                    "the quota \"{}\" is used up; try again in {} s",
                    refusal.policy_name, refusal.retry_after
                )
            }
            Self::Database(error) => match **error {
                // A connection may break after a change was committed and before that was heard, so no promise here that
                // nothing was changed.
                DbError::Unavailable(_) => {
                    "send the same request again in a moment; what was applied already is not applied twice".into()
                }
                DbError::Refused(_) | DbError::Unreadable(_) => "the logs say more under the request_id".into(),
            },
            Self::HandshakeDue => "connect by WebSocket, version 13: ws:// or wss://".into(),
            Self::OriginRefused => "PAYQUERY_CORS_ORIGINS names the origins whose pages may ask".into(),
            Self::NoPlace => {
                "as many requests and streams are held as may be: come again later; of an order, its document is told but no changes"
                    .into()
            }
            Self::TooManySubscriptions { most } => {
                format!("one connection may follow {most} orders; unsubscribe from some, or open another connection")
            }
            Self::Behind => "this process has not yet read what others committed; another one will answer".into(),
            Self::Stopping => "this process is about to stop; another one will answer".into(),
        }
    }

    fn field(&self) -> Option<String> {
        match self {
            Self::Invalid { field, .. } => Some(field.clone()),
            Self::Rejected(Rejection::AmountMismatch { .. }) => Some("amount".into()),
            Self::Rejected(Rejection::CurrencyMismatch { .. }) => Some("currency".into()),
            Self::Rejected(Rejection::TransactionMismatch { .. }) => Some("transaction_id".into()),
            Self::Rejected(Rejection::RefundExceedsAmount { .. } | Rejection::RefundWithoutPayment { .. }) => {
                Some("refunded_amount".into())
            }
            Self::OutTradeNoTaken { .. } => Some("out_trade_no".into()),
            Self::KeyReused => Some("Idempotency-Key".into()),
            Self::CursorAhead => Some("after".into()),
            Self::NotAcceptable { .. } => Some("Accept".into()),
            _ => None,
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
