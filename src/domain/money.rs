//! Money: whole minor units (cents, fen) and an ISO 4217 currency. Never a fraction, never a float.

use std::fmt;

use serde::{Serialize, Serializer};

/// The largest amount: 2^53 − 1, the last whole number that every JSON reader keeps exactly (RFC 8259 §6).
pub const MAX_AMOUNT: i64 = 9_007_199_254_740_991;

/// Why an amount or currency was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("must be a whole number of minor units from 1 to 9007199254740991")]
    Amount,
    #[error("must be an ISO 4217 code in capitals, such as CNY, EUR or USD")]
    Currency,
}

/// An amount to be paid or given back, in minor units of its currency: 1 to [`MAX_AMOUNT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Amount(i64);

impl Amount {
    pub fn from_minor_units(units: i64) -> Result<Self, MoneyError> {
        if (1..=MAX_AMOUNT).contains(&units) {
            Ok(Self(units))
        } else {
            Err(MoneyError::Amount)
        }
    }

    /// Minor units.
    pub fn get(self) -> i64 {
        self.0
    }
}

/// Codes of ISO 4217 that nobody can pay in: for tests, and for "no currency".
const UNPAYABLE: [iso_currency::Currency; 2] = [iso_currency::Currency::XTS, iso_currency::Currency::XXX];

/// An ISO 4217 currency that is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Takes the alphabetic code in capitals.
    pub fn parse(code: &str) -> Result<Self, MoneyError> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| !UNPAYABLE.contains(currency) && currency.is_superseded().is_none())
            .map(Self)
            .ok_or(MoneyError::Currency)
    }

    pub fn code(self) -> &'static str {
        self.0.code()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_lie_between_one_and_what_json_keeps_exactly() {
        assert_eq!(Amount::from_minor_units(MAX_AMOUNT).map(Amount::get), Ok(MAX_AMOUNT));
        for units in [0, -1, MAX_AMOUNT + 1, i64::MIN, i64::MAX] {
            assert_eq!(Amount::from_minor_units(units), Err(MoneyError::Amount), "{units}");
        }
    }

    #[test]
    fn currencies_are_iso_4217_codes_in_capitals() {
        assert_eq!(Currency::parse("CNY").map(Currency::code), Ok("CNY"));
        for code in ["", "cny", "RMB", "CNYX", "人民币", "ZZZ", "XXX", "XTS", "HRK"] {
            assert_eq!(Currency::parse(code), Err(MoneyError::Currency), "{code}");
        }
    }
}
