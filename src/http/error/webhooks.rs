//! What is refused about webhook endpoints and their deliveries.

use actix_web::http::StatusCode;

use crate::delivery::webhooks::MAX_ENDPOINTS;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookRefusal {
    EndpointNotFound,
    DeliveryNotFound,
    TooManyEndpoints,
    EndpointDisabled,
}

impl WebhookRefusal {
    pub(super) fn describe(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::EndpointNotFound => (
                StatusCode::NOT_FOUND,
                "webhook_endpoint_not_found",
                "There is no such webhook endpoint",
            ),
            Self::DeliveryNotFound => (StatusCode::NOT_FOUND, "delivery_not_found", "There is no such delivery"),
            Self::TooManyEndpoints => (
                StatusCode::CONFLICT,
                "too_many_webhook_endpoints",
                "There are as many webhook endpoints as may be",
            ),
            Self::EndpointDisabled => (
                StatusCode::CONFLICT,
                "webhook_endpoint_disabled",
                "The webhook endpoint is disabled",
            ),
        }
    }

    pub(super) fn detail(self) -> String {
        match self {
            Self::EndpointNotFound => "there is no such webhook endpoint, or it is not this merchant's".into(),
            Self::DeliveryNotFound => {
                "this endpoint has no such delivery; those that are done are kept for some weeks only".into()
            }
            Self::TooManyEndpoints => {
                format!("a merchant may have {MAX_ENDPOINTS} webhook endpoints; delete one that is not needed")
            }
            Self::EndpointDisabled => {
                "nothing is sent to this endpoint; PATCH it with {\"enabled\":true} when it is well again".into()
            }
        }
    }
}
