//! Query parameters of lists: read strictly, since a filter that is misspelt and passed over shows the wrong orders.

use serde::Deserialize;

use super::body::shortened;
use super::error::ApiError;
use crate::db::webhook_deliveries::DeliveryFilter;
use crate::domain::listing::{Cursor, OrderFilter, PageSize, TimeRange};
use crate::domain::order::MerchantId;
use crate::domain::status::Status;
use crate::domain::text::OutTradeNo;
use crate::domain::time::Timestamp;
use crate::domain::webhook::DeliveryState;

/// Which orders, and which page of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct OrderQuery {
    /// One status, or several between commas.
    #[param(example = "succeeded,refunded")]
    status: Option<String>,
    /// The merchant's own number.
    #[param(min_length = 1, max_length = 64)]
    out_trade_no: Option<String>,
    /// Created at this time or later.
    #[param(format = DateTime)]
    created_from: Option<String>,
    /// Created before this time.
    #[param(format = DateTime)]
    created_to: Option<String>,
    /// Last changed at this time or later.
    #[param(format = DateTime)]
    updated_from: Option<String>,
    /// Last changed before this time.
    #[param(format = DateTime)]
    updated_to: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Orders on a page; 50 when it is not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// Which page of a log.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Events on a page; 50 when it is not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// Which deliveries, and which page of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeliveryQuery {
    /// Only those that have come so far.
    #[param(value_type = Option<DeliveryState>, inline)]
    state: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Deliveries on a page; 50 when it is not given.
    #[param(value_type = Option<u8>, minimum = 1, maximum = 200)]
    limit: Option<String>,
}

/// Reads a query string; an unknown or repeated parameter is an error that names it.
pub fn read<T: for<'de> Deserialize<'de>>(query: &str) -> Result<T, ApiError> {
    serde_urlencoded::from_str(query).map_err(|error| {
        let message = error.to_string();
        let name = shortened(message.split('`').nth(1).unwrap_or("query"));
        if message.starts_with("duplicate") {
            ApiError::invalid(name, "is given twice")
        } else {
            let expected = message
                .split_once("expected ")
                .map_or("", |(_, expected)| expected)
                .replace('`', "");
            ApiError::invalid(name, format!("is not a parameter of this list; it takes {expected}"))
        }
    })
}

impl OrderQuery {
    pub fn parse(self, merchant_id: MerchantId) -> Result<OrderFilter, ApiError> {
        let statuses = self.status.iter().flat_map(|list| list.split(','));
        let statuses = statuses.map(|word| Status::parse(word.trim()).map_err(|e| ApiError::invalid("status", e)));
        Ok(OrderFilter {
            merchant_id,
            statuses: statuses.collect::<Result<_, _>>()?,
            out_trade_no: self
                .out_trade_no
                .map(OutTradeNo::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("out_trade_no", e))?,
            created: parse_range(("created_from", self.created_from), ("created_to", self.created_to))?,
            updated: parse_range(("updated_from", self.updated_from), ("updated_to", self.updated_to))?,
            before: parse_cursor(self.cursor.as_deref(), Cursor::decode_order)?,
            limit: parse_limit(self.limit.as_deref())?,
        })
    }
}

impl LogQuery {
    /// The event to read on after (0: from the first one), and the size of the page.
    pub fn parse(&self) -> Result<(i64, PageSize), ApiError> {
        let after = parse_cursor(self.cursor.as_deref(), Cursor::decode_event)?.unwrap_or(0);
        Ok((after, parse_limit(self.limit.as_deref())?))
    }
}

impl DeliveryQuery {
    pub fn parse(&self) -> Result<DeliveryFilter, ApiError> {
        let state = self.state.as_deref().map(DeliveryState::parse).transpose();
        Ok(DeliveryFilter {
            state: state.map_err(|error| ApiError::invalid("state", error))?,
            before: parse_cursor(self.cursor.as_deref(), Cursor::decode_delivery)?,
            limit: parse_limit(self.limit.as_deref())?,
        })
    }
}

type Named = (&'static str, Option<String>);

fn parse_range(from: Named, to: Named) -> Result<TimeRange, ApiError> {
    let parse = |(name, text): Named| {
        text.map(|text| Timestamp::parse(&text).map_err(|error| ApiError::invalid(name, error)))
            .transpose()
    };
    let end = to.0;
    let range = TimeRange {
        from: parse(from)?,
        to: parse(to)?,
    };
    if let (Some(from), Some(to)) = (range.from, range.to)
        && from > to
    {
        return Err(ApiError::invalid(end, "lies before the beginning of the range"));
    }
    Ok(range)
}

fn parse_cursor<T, E: std::fmt::Display>(
    text: Option<&str>,
    decode: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| decode(text).map_err(|error| ApiError::invalid("cursor", error)))
        .transpose()
}

pub(super) fn parse_limit(text: Option<&str>) -> Result<PageSize, ApiError> {
    text.map_or(Ok(PageSize::DEFAULT), |text| {
        PageSize::parse(text).map_err(|error| ApiError::invalid("limit", error))
    })
}
