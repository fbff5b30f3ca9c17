//! Webhooks: where a merchant's events are sent to, which, and what became of them.

mod endpoint;
mod secret;
mod url;

pub use endpoint::{DisabledReason, Endpoint, EndpointId, EventFilter, EventFilterError};
pub use secret::{SecretPair, WebhookSecret};
pub use url::{WebhookUrl, WebhookUrlError};

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::order::{OrderId, OrderIdError};
use super::time::Timestamp;

/// One event on its way to one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DeliveryId(pub Uuid);

impl DeliveryId {
    /// Takes the hyphenated form only, as order ids are taken.
    pub fn parse(text: &str) -> Result<Self, OrderIdError> {
        OrderId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How far a delivery has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// An attempt is to come, or under way.
    Pending,
    /// The endpoint took it: an answer of 200 to 299.
    Delivered,
    /// Given up: after the last attempt, or because the endpoint was disabled.
    Failed,
}

/// The word is no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of pending, delivered, failed")]
pub struct DeliveryStateError;

impl DeliveryState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }

    pub fn parse(word: &str) -> Result<Self, DeliveryStateError> {
        [Self::Pending, Self::Delivered, Self::Failed]
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or(DeliveryStateError)
    }
}

/// A delivery as the merchant reads it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub id: DeliveryId,
    pub endpoint_id: EndpointId,
    pub event_id: Uuid,
    pub event_type: String,
    pub order_id: Option<OrderId>,
    pub state: DeliveryState,
    /// None when it is done, or waits for one before it.
    pub next_attempt_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub done_at: Option<Timestamp>,
    /// The latest ones, oldest first.
    pub attempts: Vec<Attempt>,
}

/// One attempt at a delivery, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1. A number that is missing is of an attempt whose process was killed.
    pub number: i32,
    pub at: Timestamp,
    pub duration_ms: i32,
    /// Of the answer.
    pub status: Option<u16>,
    /// What went wrong, in a word.
    pub error: Option<String>,
    /// The first bytes of the answer.
    pub answer: Option<String>,
}
