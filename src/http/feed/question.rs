//! What a request for the feed asks: read strictly, since a type that is misspelt and passed over is a missing event.

use serde::Deserialize;

use super::super::body::shortened;
use super::super::error::ApiError;
use super::super::fields::Fields;
use super::super::list::{self, parse_limit};
use super::super::prefer;
use super::super::question::read_wait;
use crate::domain::event::EventKind;
use crate::domain::listing::PageSize;
use crate::domain::log_cursor::LogCursor;
use crate::service::events::Start;

/// A request for the feed, apart from whose.
#[derive(Debug)]
pub(super) struct FeedQuestion {
    pub(super) start: Start,
    /// Empty: all types.
    pub(super) kinds: Vec<EventKind>,
    /// Seconds to be held at most; 0 is not at all.
    pub(super) wait: u32,
    /// The wait came as `Prefer: wait`, which wants to hear that it was honoured.
    pub(super) preferred: bool,
    pub(super) limit: Option<PageSize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeedQuery {
    after: Option<String>,
    wait: Option<String>,
    types: Option<String>,
    limit: Option<String>,
}

impl FeedQuestion {
    /// `max_wait` clamps the wait.
    pub(super) fn read(query: &str, fields: &(impl Fields + ?Sized), max_wait: u32) -> Result<Self, ApiError> {
        let query: FeedQuery = list::read(query)?;
        let wait = query.wait.as_deref().map(read_wait).transpose()?;
        let preference = if wait.is_none() {
            prefer::wait_seconds(fields)
        } else {
            None
        };
        Ok(Self {
            start: parse_start(query.after.as_deref())?,
            kinds: parse_kinds(query.types.as_deref())?,
            wait: wait.or(preference).unwrap_or(0).min(max_wait),
            preferred: preference.is_some(),
            limit: query
                .limit
                .as_deref()
                .map(|limit| parse_limit(Some(limit)))
                .transpose()?,
        })
    }

    pub(super) fn page_size(&self) -> u16 {
        u16::try_from(self.limit.unwrap_or(PageSize::DEFAULT).get()).unwrap_or(u16::MAX)
    }
}

fn parse_start(after: Option<&str>) -> Result<Start, ApiError> {
    match after {
        None => Ok(Start::Oldest),
        Some("now") => Ok(Start::Now),
        Some(text) => LogCursor::decode(text).map(Start::After).map_err(|_| {
            ApiError::invalid(
                "after",
                "is no cursor of the feed; take it from next_cursor of the page before, or say now",
            )
        }),
    }
}

fn parse_kinds(types: Option<&str>) -> Result<Vec<EventKind>, ApiError> {
    let mut kinds = Vec::new();
    for word in types.iter().flat_map(|types| types.split(',')) {
        let kind = EventKind::parse(word.trim()).ok_or_else(|| unknown_type(word))?;
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

fn unknown_type(word: &str) -> ApiError {
    let known = EventKind::ALL.map(EventKind::as_str).join(", ");
    let word = shortened(word.trim());
    ApiError::invalid(
        "types",
        format!("has {word:?}, which is no type of event; there are {known}"),
    )
}
