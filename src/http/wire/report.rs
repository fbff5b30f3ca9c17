//! A status report.

use serde::Deserialize;

use super::super::error::ApiError;
use super::{parse_amount, parse_currency};
use crate::domain::report::{Report, Target};
use crate::domain::status::{Status, TradeState};
use crate::domain::text::{Reason, TransactionId};
use crate::domain::time::Timestamp;
use crate::service::now;

/// What has become of an order. Either `status` or `trade_state` must be given.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Report, example = json!({
    "status": "succeeded", "transaction_id": "4200001234202611200000000000", "amount": 1000, "currency": "CNY"
}))]
pub struct ReportBody {
    /// The status in payquery's words.
    #[schema(value_type = Option<Status>, example = "succeeded")]
    pub(super) status: Option<String>,
    /// The status in the words of WeChat Pay or Alipay.
    pub(super) trade_state: Option<TradeStateWord>,
    /// The provider's number of the payment.
    #[schema(
        example = "4200001234202611200000000000",
        min_length = 1,
        max_length = 128,
        pattern = "^[!-~]+$"
    )]
    pub(super) transaction_id: Option<String>,
    /// Why, in the merchant's words.
    #[schema(min_length = 1, max_length = 256)]
    pub(super) reason: Option<String>,
    /// The amount that the report is about; rejected when it isn't the order's.
    #[schema(example = 1000, minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) amount: Option<i64>,
    /// The currency that the report is about; rejected when it isn't the order's.
    #[schema(example = "CNY", pattern = "^[A-Z]{3}$")]
    pub(super) currency: Option<String>,
    /// When the payment was made; the time of the report when it is not given.
    #[schema(format = DateTime)]
    pub(super) paid_at: Option<String>,
    /// The sum of all refunds so far, in minor units.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64)]
    pub(super) refunded_amount: Option<i64>,
}

/// A provider's word. Only documented as an enumeration: reading it as text lets the error say which words there are.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct TradeStateWord(String);

impl utoipa::PartialSchema for TradeStateWord {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .enum_values(Some(TradeState::words()))
            .into()
    }
}

impl utoipa::ToSchema for TradeStateWord {
    fn name() -> std::borrow::Cow<'static, str> {
        "TradeState".into()
    }
}

/// How far a provider's clock may be ahead of ours, in seconds.
const CLOCK_TOLERANCE: i64 = 300;

impl ReportBody {
    /// Checks every field, and that the fields go together.
    pub fn parse(self) -> Result<Report, ApiError> {
        let target = match (self.status, self.trade_state) {
            (Some(word), None) => Target::Status(Status::parse(&word).map_err(|e| ApiError::invalid("status", e))?),
            (None, Some(word)) => {
                Target::TradeState(TradeState::parse(&word.0).map_err(|e| ApiError::invalid("trade_state", e))?)
            }
            (None, None) => return Err(ApiError::invalid("status", "is missing; give status, or trade_state")),
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "trade_state",
                    "goes not together with status; give one of them",
                ));
            }
        };
        let paid_at = self.paid_at.as_deref().map(parse_paid_at).transpose()?;
        let refunded_amount = self
            .refunded_amount
            .map(|units| parse_amount("refunded_amount", units))
            .transpose()?;
        for (field, given) in [
            ("paid_at", paid_at.is_some()),
            ("refunded_amount", refunded_amount.is_some()),
        ] {
            if given && !target.may_mean_paid() {
                return Err(ApiError::invalid(
                    field,
                    "goes only with a status that means paid: succeeded or refunded",
                ));
            }
        }
        Ok(Report {
            target,
            transaction_id: self
                .transaction_id
                .map(TransactionId::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("transaction_id", e))?,
            reason: self
                .reason
                .map(Reason::parse)
                .transpose()
                .map_err(|e| ApiError::invalid("reason", e))?,
            amount: self.amount.map(|units| parse_amount("amount", units)).transpose()?,
            currency: self.currency.as_deref().map(parse_currency).transpose()?,
            paid_at,
            refunded_amount,
        })
    }
}

fn parse_paid_at(text: &str) -> Result<Timestamp, ApiError> {
    let at = Timestamp::parse(text).map_err(|error| ApiError::invalid("paid_at", error))?;
    if at > now().plus_seconds(CLOCK_TOLERANCE) {
        return Err(ApiError::invalid("paid_at", "lies in the future"));
    }
    Ok(at)
}
