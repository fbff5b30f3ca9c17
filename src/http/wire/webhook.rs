//! Webhook endpoints and their deliveries.

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::super::error::ApiError;
use crate::domain::listing::{Cursor, LogPlace, TimeRange};
use crate::domain::time::Timestamp;
use crate::domain::webhook::{
    Attempt, Delivery, DeliveryState, DisabledReason, Endpoint, EventFilter, WebhookSecret, WebhookUrl,
};
use crate::service::webhooks::{EndpointChange, Recovered};

/// Where events are to be sent.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhookEndpoint)]
pub struct NewEndpointBody {
    /// `https`; plain `http` only for networks that the operator allows. No credentials, no fragment; any port.
    #[schema(
        pattern = "^https?://",
        example = "https://shop.example.com/payquery",
        max_length = 2048
    )]
    url: String,
    /// Types of events; all of them, when it is left out or null. Of one order `order.succeeded` or `order.paid_late` comes once at
    /// most; what is added while the status stays, such as a refund in part, is `order.updated`.
    #[schema(example = json!(["order.succeeded", "order.paid_late", "order.refunded"]), min_items = 1)]
    events: Option<Vec<String>>,
}

impl NewEndpointBody {
    pub fn parse(self) -> Result<(WebhookUrl, EventFilter), ApiError> {
        Ok((parse_url(&self.url)?, parse_events(self.events.as_deref())?))
    }
}

/// What is to be different. A field that is left out stays as it is.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookEndpointChange)]
pub struct EndpointChangeBody {
    #[schema(
        pattern = "^https?://",
        example = "https://shop.example.com/payquery",
        max_length = 2048
    )]
    url: Option<String>,
    /// Null is all types.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, example = json!(["order.succeeded"]), min_items = 1)]
    events: Given<Vec<String>>,
    /// False: nothing is sent from now on, and what waits is given up. True: what happens from now on is sent.
    #[schema(example = true)]
    enabled: Option<bool>,
}

/// Tells null from a field that is left out.
#[derive(Debug, Default)]
enum Given<T> {
    #[default]
    Not,
    Null,
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| value.map_or(Self::Null, Self::Value))
    }
}

impl EndpointChangeBody {
    pub fn parse(self) -> Result<EndpointChange, ApiError> {
        Ok(EndpointChange {
            url: self.url.as_deref().map(parse_url).transpose()?,
            filter: match self.events {
                Given::Not => None,
                Given::Null => Some(EventFilter::ALL),
                Given::Value(types) => Some(parse_events(Some(&types))?),
            },
            enabled: self.enabled,
        })
    }
}

fn parse_url(text: &str) -> Result<WebhookUrl, ApiError> {
    WebhookUrl::parse(text).map_err(|error| ApiError::invalid("url", error))
}

fn parse_events(types: Option<&[String]>) -> Result<EventFilter, ApiError> {
    types.map_or(Ok(EventFilter::ALL), |types| {
        EventFilter::parse(types).map_err(|error| ApiError::invalid("events", error))
    })
}

/// A webhook endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpoint)]
pub struct EndpointBody<'a> {
    #[schema(format = Uuid)]
    id: Uuid,
    #[schema(example = "https://shop.example.com/payquery")]
    url: &'a str,
    /// Null: all types.
    #[schema(example = json!(["order.succeeded"]))]
    events: Option<&'a [String]>,
    enabled: bool,
    /// Why it is not enabled: the merchant said so, it answered 410, or it took nothing for days.
    disabled_reason: Option<DisabledReason>,
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// The first failure since the last success.
    #[schema(value_type = Option<String>, format = DateTime)]
    failing_since: Option<Timestamp>,
    /// Until then the secret before this one signs, too.
    #[schema(value_type = Option<String>, format = DateTime)]
    previous_secret_until: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// What signatures are made with. Shown in the answers to its creation and rotation only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")]
    secret: Option<String>,
}

impl<'a> EndpointBody<'a> {
    pub fn of(endpoint: &'a Endpoint) -> Self {
        let types = endpoint.filter.types();
        let (reason, at) = endpoint.disabled.unzip();
        Self {
            id: endpoint.id.0,
            url: &endpoint.url,
            events: (!types.is_empty()).then_some(types),
            enabled: endpoint.disabled.is_none(),
            disabled_reason: reason,
            disabled_at: at,
            failing_since: endpoint.failing_since,
            previous_secret_until: endpoint.previous_secret_until,
            created_at: endpoint.created_at,
            updated_at: endpoint.updated_at,
            secret: None,
        }
    }

    pub fn with_secret(endpoint: &'a Endpoint, secret: &WebhookSecret) -> Self {
        Self {
            secret: Some(secret.expose()),
            ..Self::of(endpoint)
        }
    }
}

/// All of a merchant's endpoints, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookEndpointList)]
pub struct EndpointListBody<'a> {
    pub data: Vec<EndpointBody<'a>>,
    /// Always null: there are 20 at most.
    pub next_cursor: Option<String>,
}

/// One event on its way to one endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDelivery)]
pub struct DeliveryBody<'a> {
    #[schema(format = Uuid)]
    id: Uuid,
    #[schema(format = Uuid)]
    endpoint_id: Uuid,
    /// The header field `webhook-id`: the same in every attempt.
    #[schema(format = Uuid)]
    event_id: Uuid,
    #[serde(rename = "type")]
    #[schema(example = "order.succeeded")]
    kind: &'a str,
    /// Null when the event is of no order.
    #[schema(format = Uuid)]
    order_id: Option<Uuid>,
    state: DeliveryState,
    /// Null when it is done, or waits for an earlier one of the same order. While an attempt is under way, the time after which another may begin.
    #[schema(value_type = Option<String>, format = DateTime)]
    next_attempt_at: Option<Timestamp>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    done_at: Option<Timestamp>,
    /// The latest 20, oldest first.
    attempts: Vec<AttemptBody<'a>>,
}

/// One attempt at a delivery.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookAttempt)]
pub struct AttemptBody<'a> {
    /// From 1. A missing number is of an attempt whose process was killed.
    #[schema(minimum = 1)]
    number: i32,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    duration_ms: i32,
    /// Of the answer; null when none came.
    status: Option<u16>,
    /// What went wrong: `no_address`, `connection_refused`, `connection_broken`, `tls`, `timeout`; or, of an answer,
    /// `redirect`, `client_error`, `server_error`.
    #[schema(example = "timeout")]
    error: Option<&'a str>,
    /// The first 500 bytes of the answer, at most.
    answer: Option<&'a str>,
}

impl<'a> DeliveryBody<'a> {
    pub fn of(delivery: &'a Delivery) -> Self {
        Self {
            id: delivery.id.0,
            endpoint_id: delivery.endpoint_id.0,
            event_id: delivery.event_id,
            kind: &delivery.event_type,
            order_id: delivery.order_id.map(|order| order.0),
            state: delivery.state,
            next_attempt_at: delivery.next_attempt_at,
            created_at: delivery.created_at,
            done_at: delivery.done_at,
            attempts: delivery.attempts.iter().map(AttemptBody::of).collect(),
        }
    }
}

impl<'a> AttemptBody<'a> {
    fn of(attempt: &'a Attempt) -> Self {
        Self {
            number: attempt.number,
            at: attempt.at,
            duration_ms: attempt.duration_ms,
            status: attempt.status,
            error: attempt.error.as_deref(),
            answer: attempt.answer.as_deref(),
        }
    }
}

/// A page of an endpoint's deliveries, newest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookDeliveryList)]
pub struct DeliveryListBody<'a> {
    pub data: Vec<DeliveryBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}

/// Of which time deliveries are to be made up for, by the events' `at`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRecovery)]
pub struct RecoverBody {
    /// From this time on (included).
    #[schema(format = DateTime, example = "2026-11-20T08:00:00.000Z")]
    since: String,
    /// Up to this time (not included); now, when it is left out.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// `next_cursor` of the answer before, with the same `since` and `until`: goes on behind it.
    cursor: Option<String>,
}

impl RecoverBody {
    pub fn parse(self) -> Result<(TimeRange, Option<LogPlace>), ApiError> {
        let parse = |field: &str, text: &str| Timestamp::parse(text).map_err(|error| ApiError::invalid(field, error));
        let from = parse("since", &self.since)?;
        let to = self.until.as_deref().map(|text| parse("until", text)).transpose()?;
        if to.is_some_and(|to| to < from) {
            return Err(ApiError::invalid("until", "lies before since"));
        }
        let after = self.cursor.as_deref().map(Cursor::decode_log).transpose();
        let after = after.map_err(|_| ApiError::invalid("cursor", "must be next_cursor of an answer before"))?;
        Ok((TimeRange { from: Some(from), to }, after))
    }
}

/// What was queued again.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookRecovered)]
pub struct RecoveredBody {
    /// Deliveries.
    #[schema(minimum = 0)]
    queued: u64,
    /// There may be more: send the same call again, with `next_cursor` as `cursor`. Also when nothing was queued this time.
    has_more: bool,
    /// Null when there is no more.
    next_cursor: Option<String>,
}

impl From<Recovered> for RecoveredBody {
    fn from(recovered: Recovered) -> Self {
        Self {
            queued: recovered.queued,
            has_more: recovered.next.is_some(),
            next_cursor: recovered.next.map(|place| Cursor::Log(place).encode()),
        }
    }
}
