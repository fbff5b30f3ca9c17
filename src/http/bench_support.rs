//! What `benches/micro.rs` times of the door's inner parts. Nothing else calls it.

use std::hash::Hash;

use actix_web::http::header::HeaderMap;

use super::conditional::{KnownVersions, NoneMatch};
use super::limits::{Cost, Limiter, Rate};
use super::question::Question;
use crate::domain::order::Version;

/// Whether `If-None-Match` names that version.
pub fn is_unchanged(headers: &HeaderMap, version: Version) -> bool {
    KnownVersions::read(headers).compare(version) == NoneMatch::Matches
}

/// The wait that a request for a status asks for; None when the request is none.
pub fn seconds_to_wait(query: &str, headers: &HeaderMap) -> Option<u32> {
    Question::read(query, headers, 55)
        .ok()
        .map(|(question, _)| question.wait)
}

/// A rate limit.
#[derive(Debug)]
pub struct Limit(Limiter);

impl Limit {
    pub fn new(rate: Rate) -> Self {
        Self(Limiter::new("bench", Some(rate)))
    }

    /// Whether a cheap request of that key may go on.
    pub fn takes(&self, key: impl Hash) -> bool {
        self.0.check(key, Cost::Cheap).is_ok()
    }
}
