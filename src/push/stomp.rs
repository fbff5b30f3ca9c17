//! STOMP 1.0 to 1.2, as a front end written for a Spring `/ws` endpoint with a simple broker speaks it.
//!
//! `frame` turns bytes into frames and back, `request` reads what a frame asks for, `session` holds the conversation, over
//! whatever connection it goes: `socket` is the plain one, `push::sockjs` has the others.

pub mod frame;
mod heart_beat;
mod request;
pub(super) mod session;
pub mod socket;
mod transactions;

/// A version of the protocol. The later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V10,
    V11,
    V12,
}

impl Version {
    pub const ALL: [Self; 3] = [Self::V10, Self::V11, Self::V12];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
            Self::V12 => "1.2",
        }
    }

    /// The name under which a WebSocket handshake offers it.
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V10 => "v10.stomp",
            Self::V11 => "v11.stomp",
            Self::V12 => "v12.stomp",
        }
    }

    /// The highest of ours that a client takes, from `accept-version`; who names none speaks 1.0 (STOMP 1.2, "Protocol
    /// Negotiation").
    pub fn negotiate(accepted: Option<&str>) -> Option<Self> {
        let Some(accepted) = accepted else {
            return Some(Self::V10);
        };
        let is_accepted = |version: &Self| accepted.split(',').any(|word| word.trim() == version.as_str());
        Self::ALL.into_iter().rev().find(is_accepted)
    }
}
