//! How a header's characters are written: each version has rules of its own.

use super::FrameError;
use crate::push::stomp::Version;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rules {
    /// As it stands: 1.0, and the frames with which a version is agreed. Spaces around a value do not count: the examples of
    /// 1.0 have some.
    Plain,
    /// 1.1: line feed, colon, backslash.
    Three,
    /// 1.2: the carriage return, too.
    Four,
}

impl Rules {
    pub(super) fn of(command: &str, version: Version) -> Self {
        match (command, version) {
            ("CONNECT" | "STOMP" | "CONNECTED", _) | (_, Version::V10) => Self::Plain,
            (_, Version::V11) => Self::Three,
            (_, Version::V12) => Self::Four,
        }
    }

    pub(super) fn escape(self, text: &str, into: &mut Vec<u8>) {
        // Only 1.2 can say that a line ends with a carriage return.
        let text = match self {
            Self::Four => text,
            _ => text.trim_end_matches('\r'),
        };
        for byte in text.bytes() {
            match (byte, self) {
                (0, _) | (b'\n', Self::Plain) => into.push(b' '),
                (b'\r', Self::Four) => into.extend_from_slice(b"\\r"),
                (b'\n', _) => into.extend_from_slice(b"\\n"),
                (b':', Self::Three | Self::Four) => into.extend_from_slice(b"\\c"),
                (b'\\', Self::Three | Self::Four) => into.extend_from_slice(b"\\\\"),
                _ => into.push(byte),
            }
        }
    }

    pub(super) fn unescape(self, text: &str) -> Result<String, FrameError> {
        if self == Self::Plain {
            return Ok(text.trim_matches(' ').to_owned());
        }
        let mut plain = String::with_capacity(text.len());
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            if character != '\\' {
                plain.push(character);
                continue;
            }
            plain.push(match (rest.next(), self) {
                (Some('n'), _) => '\n',
                (Some('c'), _) => ':',
                (Some('\\'), _) => '\\',
                (Some('r'), Self::Four) => '\r',
                _ => return Err(FrameError::BadEscape),
            });
        }
        Ok(plain)
    }
}
