//! What a request for a status asks: query parameters and `Prefer`, checked.

use std::borrow::Cow;

use actix_web::http::header::HeaderMap;

use super::error::ApiError;
use super::prefer;
use crate::domain::order::Version;

/// A request for a status, apart from its conditions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Question<'a> {
    /// Seconds to be held at most; 0 is not at all.
    pub wait: u32,
    /// The wait came as `Prefer: wait`, which wants to hear that it was honoured.
    pub preferred: bool,
    pub since_version: Option<Version>,
    pub until_final: bool,
    pub client_secret: Option<Cow<'a, str>>,
}

impl<'a> Question<'a> {
    /// Reads the question; `max_wait` clamps the wait. Parameters that mean nothing here are passed over: clients add some
    /// to get around caches.
    pub fn read(query: &'a str, headers: &HeaderMap, max_wait: u32) -> Result<Self, ApiError> {
        let mut question = Self::default();
        let (mut wait, mut until) = (None, None);
        if !query.is_empty() {
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                match &*name {
                    "wait" => set_once(&mut wait, "wait", read_wait(&value)?)?,
                    "since_version" => set_once(&mut question.since_version, "since_version", read_version(&value)?)?,
                    "until" => set_once(&mut until, "until", read_until(&value)?)?,
                    "client_secret" => set_once(&mut question.client_secret, "client_secret", value)?,
                    _ => {}
                }
            }
        }
        if wait.is_none() {
            wait = prefer::wait_seconds(headers);
            question.preferred = wait.is_some();
        }
        question.wait = wait.unwrap_or(0).min(max_wait);
        question.until_final = until.is_some();
        Ok(question)
    }
}

fn set_once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), ApiError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ApiError::invalid(name, "is given twice")),
    }
}

fn read_wait(text: &str) -> Result<u32, ApiError> {
    prefer::read_seconds(text).ok_or_else(|| {
        ApiError::invalid(
            "wait",
            "must be a whole number of seconds, 0 or more (more than 55 counts as 55)",
        )
    })
}

fn read_version(text: &str) -> Result<Version, ApiError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let version = digits.then(|| text.parse().ok()).flatten();
    version.map(Version).ok_or_else(|| {
        ApiError::invalid(
            "since_version",
            "must be the version of a status document, a whole number",
        )
    })
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
    use actix_web::http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn read(query: &str) -> Result<Question<'_>, ApiError> {
        Question::read(query, &HeaderMap::new(), 55)
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
        let preferred = Question::read("", &headers, 55).expect("valid");
        assert_eq!((preferred.wait, preferred.preferred), (55, true));
        let asked = Question::read("wait=5", &headers, 55).expect("valid");
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
