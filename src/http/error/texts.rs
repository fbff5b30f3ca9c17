//! What each error is called, and what its client is told: one table of codes, one of sentences.

use actix_web::http::StatusCode;

use super::ApiError;
use crate::db::DbError;
use crate::domain::decision::Rejection;

impl ApiError {
    /// Status, code and title.
    pub(super) fn describe(&self) -> (StatusCode, &'static str, &'static str) {
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
            Self::CursorExpired => (StatusCode::GONE, "cursor_expired", "Events after the cursor are gone"),
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
            Self::OriginRefused { .. } => (
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

    /// What is wrong in this case, and what to do about it.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Invalid { field, reason } => format!("{field} {reason}"),
            Self::MalformedJson { reason }
            | Self::BrokenBody { reason }
            | Self::PreconditionFailed { reason }
            | Self::PreflightRefused { reason } => reason.clone(),
            Self::UnsupportedMediaType => "send the body as JSON, with Content-Type: application/json".into(),
            Self::BodyTooLarge => format!("a body may have {} bytes at most", crate::http::MAX_BODY_BYTES),
            Self::BodyTooSlow => "the body did not arrive within 15 s".into(),
            Self::Unauthorized { reason } | Self::OriginRefused { reason } => (*reason).into(),
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
            Self::CursorExpired => {
                "events that come after the cursor were dropped by their age, or lost; take a new cursor with after=now, and compare \
                 the orders that you have with GET /v1/orders, or read all events that are kept again without after"
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

    /// The field, parameter or header that is meant.
    pub(super) fn field(&self) -> Option<String> {
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
            Self::CursorAhead | Self::CursorExpired => Some("after".into()),
            Self::NotAcceptable { .. } => Some("Accept".into()),
            _ => None,
        }
    }
}
