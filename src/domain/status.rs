//! The status of an order, the moves between statuses, and the providers' words for them.

use std::fmt;

use serde::Serialize;

/// Where the payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Nobody has paid yet.
    Pending,
    /// The payer is at it (entering a password, say), or the provider has not decided.
    Processing,
    /// Paid.
    Succeeded,
    /// The payment was refused.
    Failed,
    /// Nobody will pay any more: expired, cancelled or revoked.
    Closed,
    /// Paid, and given back.
    Refunded,
}

/// The word is no status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of pending, processing, succeeded, failed, closed, refunded")]
pub struct StatusError;

/// Every move that an order may make. What is not here is rejected.
pub const TRANSITIONS: &[(Status, &[Status])] = &[
    (
        Status::Pending,
        &[Status::Processing, Status::Succeeded, Status::Failed, Status::Closed],
    ),
    (
        Status::Processing,
        &[Status::Pending, Status::Succeeded, Status::Failed, Status::Closed],
    ),
    (Status::Failed, &[Status::Succeeded]),
    (Status::Closed, &[Status::Succeeded]),
    (Status::Succeeded, &[Status::Refunded]),
    (Status::Refunded, &[]),
];

impl Status {
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Processing,
        Self::Succeeded,
        Self::Failed,
        Self::Closed,
        Self::Refunded,
    ];

    pub fn parse(word: &str) -> Result<Self, StatusError> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or(StatusError)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Refunded => "refunded",
        }
    }

    /// The payer's question is answered; a poller stops here.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Processing)
    }

    /// Money came in: now, or before it was given back.
    pub const fn is_paid(self) -> bool {
        matches!(self, Self::Succeeded | Self::Refunded)
    }

    /// Whether [`TRANSITIONS`] has the move from here to `next`.
    pub fn may_become(self, next: Self) -> bool {
        TRANSITIONS.iter().any(|(from, to)| *from == self && to.contains(&next))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A provider's word for where a payment stands, as its notices and queries carry it.
///
/// Sources: WeChat Pay APIv3 "query order", field `trade_state`; Alipay `alipay.trade.query`, field `trade_status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TradeState {
    word: &'static str,
    status: Status,
}

/// The word is no provider's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be a trade state of WeChat Pay (NOTPAY, USERPAYING, ACCEPT, SUCCESS, PAYERROR, CLOSED, REVOKED, REFUND) \
     or Alipay (WAIT_BUYER_PAY, TRADE_SUCCESS, TRADE_FINISHED, TRADE_CLOSED)"
)]
pub struct TradeStateError;

/// Alipay says `TRADE_CLOSED` both for a trade that nobody paid and for one that was given back in full.
const TRADE_CLOSED: &str = "TRADE_CLOSED";

const TRADE_STATES: &[TradeState] = &[
    TradeState {
        word: "NOTPAY",
        status: Status::Pending,
    },
    TradeState {
        word: "USERPAYING",
        status: Status::Processing,
    },
    TradeState {
        word: "ACCEPT",
        status: Status::Processing,
    },
    TradeState {
        word: "SUCCESS",
        status: Status::Succeeded,
    },
    TradeState {
        word: "PAYERROR",
        status: Status::Failed,
    },
    TradeState {
        word: "CLOSED",
        status: Status::Closed,
    },
    TradeState {
        word: "REVOKED",
        status: Status::Closed,
    },
    TradeState {
        word: "REFUND",
        status: Status::Refunded,
    },
    TradeState {
        word: "WAIT_BUYER_PAY",
        status: Status::Pending,
    },
    TradeState {
        word: "TRADE_SUCCESS",
        status: Status::Succeeded,
    },
    TradeState {
        word: "TRADE_FINISHED",
        status: Status::Succeeded,
    },
    TradeState {
        word: TRADE_CLOSED,
        status: Status::Closed,
    },
];

impl TradeState {
    pub fn parse(word: &str) -> Result<Self, TradeStateError> {
        TRADE_STATES
            .iter()
            .find(|state| state.word == word)
            .copied()
            .ok_or(TradeStateError)
    }

    /// All the words.
    pub fn words() -> impl Iterator<Item = &'static str> {
        TRADE_STATES.iter().map(|state| state.word)
    }

    /// The status that this word means for an order that stands at `current`.
    pub fn meaning_for(self, current: Status) -> Status {
        if self.word == TRADE_CLOSED && current.is_paid() {
            Status::Refunded
        } else {
            self.status
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_move_between_statuses_is_allowed_or_rejected_as_the_contract_says() {
        use Status::{Closed, Failed, Pending, Processing, Refunded, Succeeded};
        let allowed = [
            (Pending, Processing),
            (Pending, Succeeded),
            (Pending, Failed),
            (Pending, Closed),
            (Processing, Pending),
            (Processing, Succeeded),
            (Processing, Failed),
            (Processing, Closed),
            (Failed, Succeeded),
            (Closed, Succeeded),
            (Succeeded, Refunded),
        ];
        for from in Status::ALL {
            for to in Status::ALL {
                assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn every_status_but_pending_and_processing_is_final() {
        let open: Vec<_> = Status::ALL.into_iter().filter(|status| !status.is_final()).collect();
        assert_eq!(open, [Status::Pending, Status::Processing]);
    }

    #[test]
    fn statuses_are_read_as_they_are_written_and_nothing_else_is() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Ok(status));
        }
        for word in ["", "PENDING", "paid", " pending"] {
            assert_eq!(Status::parse(word), Err(StatusError), "{word:?}");
        }
    }

    #[test]
    fn provider_words_map_to_statuses() {
        let cases = [
            ("NOTPAY", Status::Pending),
            ("USERPAYING", Status::Processing),
            ("ACCEPT", Status::Processing),
            ("SUCCESS", Status::Succeeded),
            ("PAYERROR", Status::Failed),
            ("CLOSED", Status::Closed),
            ("REVOKED", Status::Closed),
            ("REFUND", Status::Refunded),
            ("WAIT_BUYER_PAY", Status::Pending),
            ("TRADE_SUCCESS", Status::Succeeded),
            ("TRADE_FINISHED", Status::Succeeded),
            ("TRADE_CLOSED", Status::Closed),
        ];
        for (word, status) in cases {
            assert_eq!(
                TradeState::parse(word).map(|state| state.meaning_for(Status::Pending)),
                Ok(status),
                "{word}"
            );
        }
        assert_eq!(TradeState::parse("success"), Err(TradeStateError));
    }

    #[test]
    fn alipays_trade_closed_is_a_refund_once_the_order_was_paid() {
        let closed = TradeState::parse("TRADE_CLOSED").expect("a known word");
        assert_eq!(closed.meaning_for(Status::Processing), Status::Closed);
        assert_eq!(closed.meaning_for(Status::Succeeded), Status::Refunded);
        assert_eq!(closed.meaning_for(Status::Refunded), Status::Refunded);
    }
}
