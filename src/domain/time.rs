//! Points in time as payquery shows them: UTC, to the millisecond.

use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::{Serialize, Serializer};

/// A point in time in UTC, cut to whole milliseconds.
///
/// One precision everywhere (database, documents, comparisons), so that a time that went out and came back is equal to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(DateTime<Utc>);

/// The text is no RFC 3339 time that payquery can keep.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an RFC 3339 time between the years 2000 and 9999, such as 2026-01-31T08:30:00.000Z")]
pub struct TimestampError;

/// 2000-01-01T00:00:00Z. No payment that payquery hears of is older; a time before it is a unit mixed up (seconds, milliseconds) or a clock that was never set.
const EARLIEST_MS: i64 = 946_684_800_000;
/// 9999-12-31T23:59:59.999Z, the last moment that RFC 3339 can write.
const LATEST_MS: i64 = 253_402_300_799_999;

impl Timestamp {
    /// The point that lies `ms` milliseconds after the Unix epoch; what lies outside the years 1970–9999 is clamped to them.
    pub fn from_unix_ms(ms: i64) -> Self {
        let clamped = ms.clamp(0, LATEST_MS);
        Self(DateTime::from_timestamp_millis(clamped).unwrap_or(DateTime::UNIX_EPOCH))
    }

    /// Milliseconds since the Unix epoch.
    pub fn unix_ms(self) -> i64 {
        self.0.timestamp_millis()
    }

    /// Reads an RFC 3339 time with any offset; fractions below a millisecond are cut off.
    pub fn parse(text: &str) -> Result<Self, TimestampError> {
        let ms = DateTime::parse_from_rfc3339(text)
            .map_err(|_| TimestampError)?
            .timestamp_millis();
        if (EARLIEST_MS..=LATEST_MS).contains(&ms) {
            Ok(Self::from_unix_ms(ms))
        } else {
            Err(TimestampError)
        }
    }

    /// This point moved by a number of seconds, clamped to the years 1970–9999.
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix_ms(self.unix_ms().saturating_add(seconds.saturating_mul(1000)))
    }

    /// Time from `earlier` to this point; negative when `earlier` is the later one.
    pub fn since(self, earlier: Self) -> TimeDelta {
        self.0 - earlier.0
    }
}

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self::from_unix_ms(at.timestamp_millis())
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let at = Timestamp::parse("2026-01-31T08:30:00.123456+08:00").expect("a valid time");
        assert_eq!(at.to_string(), "2026-01-31T00:30:00.123Z");
    }

    #[test]
    fn what_is_no_time_or_an_impossible_one_is_refused() {
        for text in [
            "",
            "now",
            "1767225600",
            "2026-02-30T00:00:00Z",
            "2026-01-01",
            "1999-12-31T23:59:59Z",
            "2026-01-01T00:00:00",
        ] {
            assert_eq!(Timestamp::parse(text), Err(TimestampError), "{text}");
        }
    }
}
