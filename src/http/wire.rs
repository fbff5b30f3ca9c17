//! The shapes of bodies, in and out. What comes in is checked here, field by field, and goes on as a type of the domain.

mod event;
mod new_order;
mod order;
mod report;
mod statuses;
mod update;
mod webhook;

pub use event::{EventListBody, FeedEnd, FeedLine, FeedPageBody};
pub use new_order::{EXPIRES_AT_RANGE, NewOrderBody};
pub use order::{OrderBody, OrderListBody};
pub use report::ReportBody;
pub use statuses::{StatusItem, StatusListBody, StatusesBody};
pub use update::UpdateBody;
pub use webhook::{
    DeliveryBody, DeliveryListBody, EndpointBody, EndpointChangeBody, EndpointListBody, NewEndpointBody, RecoverBody,
    RecoveredBody,
};

use super::error::ApiError;
use crate::domain::money::{Amount, Currency, MAX_AMOUNT};

fn parse_amount(field: &str, units: i64) -> Result<Amount, ApiError> {
    Amount::from_minor_units(units).map_err(|error| ApiError::invalid(field, error))
}

fn parse_currency(code: &str) -> Result<Currency, ApiError> {
    Currency::parse(code).map_err(|error| ApiError::invalid("currency", error))
}

const _: () = assert!(MAX_AMOUNT == 9_007_199_254_740_991, "the schemas say so");
