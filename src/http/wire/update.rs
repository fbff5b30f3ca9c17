//! A status report that names its order itself: the body of a message, where a request has its path.

use serde::Deserialize;

use super::super::error::ApiError;
use super::ReportBody;
use super::report::TradeStateWord;
use crate::domain::order::OrderId;
use crate::domain::text::OutTradeNo;
use crate::service::read::OrderName;

/// The fields of [`ReportBody`], and `order_id` or `out_trade_no`. (serde does not refuse unknown fields of a struct that is
/// put together, so they stand here once more.)
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateBody {
    order_id: Option<String>,
    out_trade_no: Option<String>,
    status: Option<String>,
    trade_state: Option<TradeStateWord>,
    transaction_id: Option<String>,
    reason: Option<String>,
    amount: Option<i64>,
    currency: Option<String>,
    paid_at: Option<String>,
    refunded_amount: Option<i64>,
}

impl UpdateBody {
    /// Which order is meant, and what is reported of it.
    pub fn split(self) -> Result<(OrderName, ReportBody), ApiError> {
        let name = match (self.order_id, self.out_trade_no) {
            (Some(id), None) => {
                OrderName::Id(OrderId::parse(&id).map_err(|error| ApiError::invalid("order_id", error))?)
            }
            (None, Some(number)) => OrderName::OutTradeNo(
                OutTradeNo::parse(number).map_err(|error| ApiError::invalid("out_trade_no", error))?,
            ),
            (None, None) => {
                return Err(ApiError::invalid(
                    "order_id",
                    "is missing; give order_id, or out_trade_no",
                ));
            }
            (Some(_), Some(_)) => {
                return Err(ApiError::invalid(
                    "out_trade_no",
                    "goes not together with order_id; give one of them",
                ));
            }
        };
        let report = ReportBody {
            status: self.status,
            trade_state: self.trade_state,
            transaction_id: self.transaction_id,
            reason: self.reason,
            amount: self.amount,
            currency: self.currency,
            paid_at: self.paid_at,
            refunded_amount: self.refunded_amount,
        };
        Ok((name, report))
    }
}
