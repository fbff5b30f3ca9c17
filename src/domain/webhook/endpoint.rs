//! An endpoint: a URL of a merchant's that wants events.

use std::fmt;

use serde::Serialize;
use uuid::Uuid;

use super::super::event::EventKind;
use super::super::order::{MerchantId, OrderId, OrderIdError};
use super::super::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct EndpointId(pub Uuid);

impl EndpointId {
    /// Takes the hyphenated form only, as order ids are taken.
    pub fn parse(text: &str) -> Result<Self, OrderIdError> {
        OrderId::parse(text).map(|id| Self(id.0))
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why nothing is sent to an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Its merchant said so.
    Merchant,
    /// It answered 410.
    Gone,
    /// It took nothing for days.
    Failing,
}

impl DisabledReason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::Gone => "gone",
            Self::Failing => "failing",
        }
    }

    /// Reads what [`DisabledReason::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Merchant, Self::Gone, Self::Failing]
            .into_iter()
            .find(|reason| reason.as_str() == word)
    }
}

/// An endpoint as its merchant reads it: all but the secrets.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: EndpointId,
    pub merchant_id: MerchantId,
    /// As it is stored: what an older version took for a URL, or somebody wrote by hand, may be none today.
    pub url: String,
    pub filter: EventFilter,
    pub disabled: Option<(DisabledReason, Timestamp)>,
    /// The first failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Until then the secret before this one signs, too.
    pub previous_secret_until: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Which types of events an endpoint wants; all of them, when it names none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter(Vec<String>);

/// Why a filter was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventFilterError {
    #[error("must name at least one type; leave it out, or give null, for all")]
    Empty,
    #[error("must name types of events: {}", EventKind::ALL.map(EventKind::as_str).join(", "))]
    Unknown,
}

impl EventFilter {
    pub const ALL: Self = Self(Vec::new());

    /// Takes known types only: a misspelt one would never be sent anything.
    pub fn parse(types: &[String]) -> Result<Self, EventFilterError> {
        if types.is_empty() {
            return Err(EventFilterError::Empty);
        }
        let is_known = |name: &String| EventKind::ALL.iter().any(|kind| kind.as_str() == name);
        if !types.iter().all(is_known) {
            return Err(EventFilterError::Unknown);
        }
        let wanted = EventKind::ALL
            .into_iter()
            .map(EventKind::as_str)
            .filter(|kind| types.iter().any(|name| name == kind));
        Ok(Self(wanted.map(str::to_owned).collect()))
    }

    /// A filter as the database keeps it.
    pub fn from_stored(types: Vec<String>) -> Self {
        Self(types)
    }

    /// Empty: all.
    pub fn types(&self) -> &[String] {
        &self.0
    }

    pub fn wants(&self, kind: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|wanted| wanted == kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(types: &[&str]) -> Result<EventFilter, EventFilterError> {
        EventFilter::parse(&types.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_filter_takes_known_types_once_each_in_the_contracts_order() {
        let wanted = filter(&["order.succeeded", "order.created", "order.succeeded"]).expect("known types");
        assert_eq!(wanted.types(), ["order.created", "order.succeeded"]);
        assert!(wanted.wants("order.created") && !wanted.wants("order.failed"));
        assert!(EventFilter::ALL.wants("order.failed"));
        assert_eq!(filter(&[]), Err(EventFilterError::Empty));
        for unknown in ["order", "order.*", "", "Order.created", "webhook_endpoint.test"] {
            assert_eq!(
                filter(&["order.created", unknown]),
                Err(EventFilterError::Unknown),
                "{unknown}"
            );
        }
    }
}
