//! What a request for a status asks: query parameters, `Prefer` and `If-None-Match`, checked.

use std::borrow::Cow;

use super::auth::KEY_IN_ADDRESS;
use super::conditional::KnownVersions;
use super::error::ApiError;
use super::fields::Fields;
use super::prefer;
use crate::domain::api_key;
use crate::domain::order::Version;

/// A request for a status, apart from whose and by whom. Borrows nothing: it outlives, in a hold, the bytes that it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Seconds to be held at most; 0 is not at all.
    pub(super) wait: u32,
    /// The wait came as `Prefer: wait`, which wants to hear that it was honoured.
    pub(super) preferred: bool,
    pub(super) since_version: Option<Version>,
    /// `Last-Event-ID`, or `last_event_id` where a client cannot set header fields: what a stream of events goes on from.
    pub(super) last_event_id: Option<Version>,
    pub(super) until_final: bool,
    /// `If-None-Match`.
    pub(super) known: KnownVersions,
}

impl Question {
    /// Reads the question, and `client_secret` from the query; `max_wait` clamps the wait. Parameters that mean nothing here
    /// are passed over: clients add some to get around caches.
    pub(super) fn read<'a>(
        query: &'a str,
        fields: &(impl Fields + ?Sized),
        max_wait: u32,
    ) -> Result<(Self, Option<Cow<'a, str>>), ApiError> {
        let (mut wait, mut since_version, mut until, mut client_secret) = (None, None, None, None);
        let mut last_event_id = None;
        if !query.is_empty() {
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                match &*name {
                    "wait" => set_once(&mut wait, "wait", read_wait(&value)?)?,
                    "since_version" => set_once(
                        &mut since_version,
                        "since_version",
                        read_version("since_version", &value)?,
                    )?,
                    "last_event_id" => {
                        set_once(
                            &mut last_event_id,
                            "last_event_id",
                            read_version("last_event_id", &value)?,
                        )?;
                    }
                    "until" => set_once(&mut until, "until", read_until(&value)?)?,
                    "client_secret" if value.starts_with(api_key::PREFIX) => return Err(KEY_IN_ADDRESS),
                    "client_secret" => set_once(&mut client_secret, "client_secret", value)?,
                    _ => {}
                }
            }
        }
        let preference = if wait.is_none() {
            prefer::wait_seconds(fields)
        } else {
            None
        };
        let question = Self {
            wait: wait.or(preference).unwrap_or(0).min(max_wait),
            preferred: preference.is_some(),
            since_version,
            // The header field is newer: an EventSource comes back to the same URL, and sends the last id that it saw.
            last_event_id: header_event_id(fields).or(last_event_id),
            until_final: until.is_some(),
            known: KnownVersions::read(fields),
        };
        Ok((question, client_secret))
    }

    /// The highest version that the client has shown.
    pub(super) fn shown(&self) -> Option<Version> {
        self.since_version.max(self.known.highest()).max(self.last_event_id)
    }
}

fn set_once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid(name, "is given twice")),
    }
}

pub(super) fn read_wait(text: &str) -> Result<u32, ApiError> {
    prefer::read_seconds(text).ok_or_else(|| {
        ApiError::invalid(
            "wait",
            "must be a whole number of seconds, 0 or more (more than 55 counts as 55)",
        )
    })
}

fn read_version(name: &str, text: &str) -> Result<Version, ApiError> {
    parse_version(text)
        .ok_or_else(|| ApiError::invalid(name, "must be the version of a status document, a whole number"))
}

fn parse_version(text: &str) -> Option<Version> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().map(Version)
}

/// What we never sent as an id proves nothing, and is passed over.
fn header_event_id(fields: &(impl Fields + ?Sized)) -> Option<Version> {
    parse_version(std::str::from_utf8(fields.first("last-event-id")?).ok()?)
}

fn read_until(text: &str) -> Result<(), ApiError> {
    if text == "final" {
        Ok(())
    } else {
        Err(ApiError::invalid("until", "takes one value: final"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn read(query: &str) -> Result<Question, ApiError> {
        Question::read(query, &HeaderMap::new(), 55).map(|(question, _)| question)
    }

    #[test]
    fn waits_are_clamped_and_what_is_no_wait_is_refused() {
        for (query, wait) in [
            ("", 0),
            ("wait=0", 0),
            ("wait=25", 25),
            ("wait=56", 55),
            ("wait=99999999999999999999", 55),
        ] {
            assert_eq!(read(query).map(|question| question.wait).ok(), Some(wait), "{query}");
        }
        for query in ["wait=", "wait=abc", "wait=-1", "wait=1.5", "wait=%2B1", "wait=1&wait=2"] {
            assert!(
                matches!(read(query), Err(ApiError::Invalid { field, .. }) if field == "wait"),
                "{query}"
            );
        }
    }

    #[test]
    fn versions_and_until_are_checked() {
        assert_eq!(
            read("since_version=3").map(|question| question.since_version).ok(),
            Some(Some(Version(3)))
        );
        for query in [
            "since_version=",
            "since_version=x",
            "since_version=-1",
            "since_version=99999999999999999999",
        ] {
            assert!(
                matches!(read(query), Err(ApiError::Invalid { field, .. }) if field == "since_version"),
                "{query}"
            );
        }
        assert!(read("until=final").is_ok_and(|question| question.until_final));
        for query in ["until=paid", "until=", "until=final&until=final"] {
            assert!(
                matches!(read(query), Err(ApiError::Invalid { field, .. }) if field == "until"),
                "{query}"
            );
        }
    }

    #[test]
    fn the_query_wins_over_prefer_and_only_prefer_is_acknowledged() {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("prefer"), HeaderValue::from_static("wait=100"));
        let (preferred, _) = Question::read("", &headers, 55).expect("valid");
        assert_eq!((preferred.wait, preferred.preferred), (55, true));
        let (asked, _) = Question::read("wait=5", &headers, 55).expect("valid");
        assert_eq!((asked.wait, asked.preferred), (5, false));
    }

    proptest! {
        #[test]
        fn junk_never_panics_and_waits_never_exceed_the_maximum(query in ".{0,80}") {
            if let Ok(question) = read(&query) {
                prop_assert!(question.wait <= 55);
            }
        }
    }
}
