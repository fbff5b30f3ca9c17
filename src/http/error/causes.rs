//! What the service's errors mean at the door.

use std::sync::Arc;

use super::super::wire::EXPIRES_AT_RANGE;
use super::{ApiError, WebhookRefusal};
use crate::db::DbError;
use crate::db::event_log::LogError;
use crate::domain::order::Version;
use crate::service::create::CreateError;
use crate::service::update::UpdateError;
use crate::service::webhooks::WebhookError;

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<Arc<DbError>> for ApiError {
    fn from(error: Arc<DbError>) -> Self {
        Self::Database(error)
    }
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::CursorAhead => Self::CursorAhead,
            LogError::CursorExpired => Self::CursorExpired,
            LogError::Database(error) => error.into(),
        }
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::OutTradeNoTaken { id } => Self::OutTradeNoTaken { id },
            CreateError::KeyReused => Self::KeyReused,
            CreateError::ExpiryPassed => Self::invalid("expires_at", EXPIRES_AT_RANGE),
            CreateError::Interrupted => Self::Stopping,
            CreateError::Database(error) => error.into(),
        }
    }
}

impl From<UpdateError> for ApiError {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::NotFound => Self::OrderNotFound,
            UpdateError::VersionMismatch {
                current: Version(current),
            } => Self::PreconditionFailed {
                reason: format!("the order stands at version {current}; read it and decide anew"),
            },
            UpdateError::Rejected(rejection) => Self::Rejected(rejection),
            UpdateError::Contended => Self::Contended,
            UpdateError::Interrupted | UpdateError::Withdrawn => Self::Stopping,
            UpdateError::Database(error) => error.into(),
        }
    }
}

impl From<WebhookError> for ApiError {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::EndpointNotFound => Self::Webhook(WebhookRefusal::EndpointNotFound),
            WebhookError::DeliveryNotFound => Self::Webhook(WebhookRefusal::DeliveryNotFound),
            WebhookError::TooManyEndpoints => Self::Webhook(WebhookRefusal::TooManyEndpoints),
            WebhookError::Disabled => Self::Webhook(WebhookRefusal::EndpointDisabled),
            WebhookError::Guard(reason) => Self::invalid("url", reason),
            WebhookError::TooLongAgo { .. } => Self::invalid("since", error),
            WebhookError::Database(error) => error.into(),
        }
    }
}
