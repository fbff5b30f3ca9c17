//! A report: what a merchant's backend says has become of an order.

use super::money::{Amount, Currency};
use super::status::{Status, TradeState};
use super::text::{Reason, TransactionId};
use super::time::Timestamp;

/// The status that a report names: in payquery's words, or in the provider's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Status(Status),
    TradeState(TradeState),
}

impl Target {
    /// The status meant, for an order that stands at `current`.
    pub fn status_for(self, current: Status) -> Status {
        match self {
            Self::Status(status) => status,
            Self::TradeState(state) => state.meaning_for(current),
        }
    }

    /// Whether the order could be paid once this is believed. False means that a time of payment makes no sense beside it.
    pub fn may_mean_paid(self) -> bool {
        self.status_for(Status::Succeeded).is_paid()
    }
}

/// A status report. What is `None` was not said, and leaves the order's own value alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub target: Target,
    pub transaction_id: Option<TransactionId>,
    pub reason: Option<Reason>,
    pub amount: Option<Amount>,
    pub currency: Option<Currency>,
    pub paid_at: Option<Timestamp>,
    /// The sum of all refunds so far.
    pub refunded_amount: Option<Amount>,
}
