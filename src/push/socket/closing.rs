//! Why a socket ends, in the codes of IANA's "WebSocket Close Code Number Registry".

use actix_http::ws::{CloseCode, Message};

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// There is nobody to tell.
    Silent,
    /// The client closes: its own code back.
    Answer(Option<u16>),
    Ours(u16, &'static str),
}

impl Closing {
    /// The client is gone, or takes nothing any more.
    pub const GONE: Self = Self(Kind::Silent);
    pub const NORMAL: Self = Self::ours(1000, "done");
    pub const GOING_AWAY: Self = Self::ours(1001, "the service is stopping; connect again");
    pub const PROTOCOL_ERROR: Self = Self::ours(1002, "these are not WebSocket frames");
    pub const TEXT_IS_DUE: Self = Self::ours(1003, "only text messages are understood here");
    pub const NOT_UTF8: Self = Self::ours(1007, "a text message must be UTF-8");
    pub const TOO_MANY_MESSAGES: Self = Self::ours(1008, "too many messages");
    pub const TOO_BIG: Self = Self::ours(1009, "a message may have 65536 bytes at most");
    pub const TOO_MANY_FRAGMENTS: Self = Self::ours(1009, "a message may come in 1024 fragments at most");
    pub const TRY_AGAIN: Self = Self::ours(1013, "too much at once; connect again and read what changed");
    pub const UNAUTHORIZED: Self = Self::ours(3000, "credentials are missing or do not open");
    pub const NOT_AUTHENTICATED: Self = Self::ours(3008, "no credentials came in time");
    pub const NOTHING_FOLLOWED: Self = Self::ours(3008, "nothing is followed here");
    pub const TIME_IS_UP: Self = Self::ours(3008, "the time of this connection is up");

    /// An end of our choosing; `code` must be in the registry, or from 4000 to 4999.
    pub const fn ours(code: u16, why: &'static str) -> Self {
        Self(Kind::Ours(code, why))
    }

    /// The answer to a client's close.
    pub(super) fn answer(code: Option<CloseCode>) -> Self {
        Self(Kind::Answer(code.map(Into::into)))
    }

    pub(super) fn is_answer(self) -> bool {
        matches!(self.0, Kind::Answer(_))
    }

    /// The frame that says so; None when there is nobody to tell.
    pub(super) fn frame(self) -> Option<Message> {
        let reason = match self.0 {
            Kind::Silent => return None,
            Kind::Answer(code) => code.map(|code| CloseCode::from(code).into()),
            Kind::Ours(code, why) => Some((CloseCode::from(code), why).into()),
        };
        Some(Message::Close(reason))
    }
}
