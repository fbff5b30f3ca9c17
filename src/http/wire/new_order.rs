//! An order to be created.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::error::ApiError;
use super::{parse_amount, parse_currency};
use crate::domain::order::{Expiry, Metadata, NewOrder};
use crate::domain::text::{Description, OutTradeNo};
use crate::domain::time::Timestamp;
use crate::service::now;

/// An order to be created.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewOrder, example = json!({
    "out_trade_no": "20261120-0001", "amount": 1000, "currency": "CNY", "description": "Coffee", "expires_in": 1800,
    "metadata": {"shop": 7}
}))]
pub struct NewOrderBody {
    /// The merchant's own number, unique among its orders: 1 to 64 visible ASCII characters.
    #[schema(example = "20261120-0001", min_length = 1, max_length = 64, pattern = "^[!-~]+$")]
    out_trade_no: String,
    /// Minor units (cents, fen).
    #[schema(example = 1000, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    amount: i64,
    /// ISO 4217, in capitals.
    #[schema(example = "CNY", min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$")]
    currency: String,
    /// What the payer is paying for.
    #[schema(example = "Coffee", min_length = 1, max_length = 256)]
    description: Option<String>,
    /// When the order is to be closed if nobody has paid; at most a year ahead. Not together with `expires_in`.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
    /// The same in seconds from now; 1800 when neither is given.
    #[schema(example = 1800, minimum = 1, maximum = 31_622_400)]
    expires_in: Option<i64>,
    /// An object of the merchant's own, at most 4096 bytes as compact JSON.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Map<String, Value>>,
}

impl NewOrderBody {
    /// Checks every field.
    pub fn parse(self) -> Result<NewOrder, ApiError> {
        let expiry = parse_expiry(self.expires_at.as_deref(), self.expires_in)?;
        Ok(NewOrder {
            out_trade_no: OutTradeNo::parse(self.out_trade_no).map_err(|e| ApiError::invalid("out_trade_no", e))?,
            amount: parse_amount("amount", self.amount)?,
            currency: parse_currency(&self.currency)?,
            description: self
                .description
                .map(Description::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("description", e))?,
            metadata: self
                .metadata
                .map(Metadata::new)
                .transpose()
                .map_err(|e| ApiError::invalid("metadata", e))?,
            expiry,
        })
    }
}

/// When `expires_at` may lie.
pub const EXPIRES_AT_RANGE: &str = "must lie in the future, at most a year ahead";

fn parse_expiry(at: Option<&str>, seconds: Option<i64>) -> Result<Expiry, ApiError> {
    match (at, seconds) {
        (None, None) => Ok(Expiry::DEFAULT),
        (Some(_), Some(_)) => Err(ApiError::invalid(
            "expires_in",
            "goes not together with expires_at; give one of them",
        )),
        (None, Some(seconds)) if (1..=Expiry::MAX_SECONDS).contains(&seconds) => Ok(Expiry::After(seconds)),
        (None, Some(_)) => Err(ApiError::invalid(
            "expires_in",
            format!("must be from 1 to {} seconds (a year)", Expiry::MAX_SECONDS),
        )),
        (Some(text), None) => {
            let at = Timestamp::parse(text).map_err(|e| ApiError::invalid("expires_at", e))?;
            // Whether it has passed is asked only where an order would come of it: a creation sent again is a repeat still.
            if at.since(now()).num_seconds() <= Expiry::MAX_SECONDS {
                Ok(Expiry::At(at))
            } else {
                Err(ApiError::invalid("expires_at", EXPIRES_AT_RANGE))
            }
        }
    }
}
