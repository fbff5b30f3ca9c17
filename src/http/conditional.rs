//! Conditional requests (RFC 9110 §13): `If-None-Match` with weak comparison, `If-Match` with strong.
//!
//! An entity tag of ours is a version in quotes. Nothing is allocated here: the status endpoint comes by for each poll.

use actix_web::http::header::{self, HeaderMap, HeaderValue};

use super::error::ApiError;
use crate::domain::order::Version;
use crate::service::update::Precondition;

/// What `If-None-Match` says about an entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoneMatch {
    Absent,
    /// `*`: matches whatever there is, and proves that nothing is known.
    Any,
    Matches,
    Differs,
}

/// Compares `If-None-Match` with our tag, weakly (RFC 9110 §13.1.2). A field that is not a list of tags matches nothing:
/// the plain answer is never wrong.
pub fn none_match(headers: &HeaderMap, etag: &[u8]) -> NoneMatch {
    compare(headers.get_all(header::IF_NONE_MATCH), etag)
}

/// The highest version among the tags of `If-None-Match`: the client has seen it, here or on another replica.
pub fn highest_version(headers: &HeaderMap) -> Option<Version> {
    let tags = headers
        .get_all(header::IF_NONE_MATCH)
        .flat_map(|field| EntityTags(field.as_bytes()))
        .flatten();
    tags.filter_map(|tag| {
        std::str::from_utf8(&tag.quoted[1..tag.quoted.len() - 1])
            .ok()?
            .parse()
            .ok()
            .map(Version)
    })
    .max()
}

fn compare<'a>(fields: impl Iterator<Item = &'a HeaderValue>, etag: &[u8]) -> NoneMatch {
    let mut seen = NoneMatch::Absent;
    for field in fields {
        if is_any(field.as_bytes()) {
            return NoneMatch::Any;
        }
        if EntityTags(field.as_bytes()).any(|tag| tag.is_ok_and(|tag| tag.quoted == etag)) {
            return NoneMatch::Matches;
        }
        seen = NoneMatch::Differs;
    }
    seen
}

/// The precondition of a report: `If-Match` (strong comparison) and, as RFC 9110 §13.2.2 has it, `If-None-Match`, which
/// fails for other methods than GET when it matches.
#[derive(Debug)]
pub struct WritePrecondition {
    if_match: Vec<HeaderValue>,
    if_none_match: Vec<HeaderValue>,
}

impl WritePrecondition {
    /// Refuses an `If-Match` that is no list of entity tags: to take it for anything would be a guess.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let fields = |name| headers.get_all(name).cloned().collect::<Vec<_>>();
        let if_match = fields(header::IF_MATCH);
        let well_formed =
            |field: &HeaderValue| is_any(field.as_bytes()) || EntityTags(field.as_bytes()).all(|tag| tag.is_ok());
        if !if_match.iter().all(well_formed) {
            return Err(ApiError::invalid(
                "If-Match",
                "must be an entity tag such as \"3\", a list of them, or *",
            ));
        }
        Ok(Self {
            if_match,
            if_none_match: fields(header::IF_NONE_MATCH),
        })
    }
}

impl Precondition for WritePrecondition {
    fn allows(&self, version: Version) -> bool {
        let etag = format!("\"{version}\"");
        let matches_strongly = |field: &HeaderValue| {
            is_any(field.as_bytes())
                || EntityTags(field.as_bytes())
                    .any(|tag| tag.is_ok_and(|tag| !tag.weak && tag.quoted == etag.as_bytes()))
        };
        (self.if_match.is_empty() || self.if_match.iter().any(matches_strongly))
            && matches!(
                compare(self.if_none_match.iter(), etag.as_bytes()),
                NoneMatch::Absent | NoneMatch::Differs
            )
    }
}

fn is_any(field: &[u8]) -> bool {
    field.trim_ascii() == b"*"
}

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EntityTag<'a> {
    weak: bool,
    /// The opaque tag with its quotes.
    quoted: &'a [u8],
}

/// The rest of the field is no list of entity tags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Malformed;

/// Reads `#entity-tag`: tags between commas, white space and empty elements allowed (RFC 9110 §5.6.1.2). Ends after the first
/// malformed one.
struct EntityTags<'a>(&'a [u8]);

impl<'a> Iterator for EntityTags<'a> {
    type Item = Result<EntityTag<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.0.iter().position(|byte| !matches!(byte, b',' | b' ' | b'\t'))?;
        let item = &self.0[start..];
        let Some((tag, rest)) = read_tag(item) else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = rest;
        Some(Ok(tag))
    }
}

/// Reads one tag; what follows must be a comma or the end.
fn read_tag(item: &[u8]) -> Option<(EntityTag<'_>, &[u8])> {
    let (weak, quoted) = item.strip_prefix(b"W/").map_or((false, item), |rest| (true, rest));
    let opaque = quoted.strip_prefix(b"\"")?;
    let length = opaque
        .iter()
        .position(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..))?;
    if opaque[length] != b'"' {
        return None;
    }
    let (quoted, rest) = quoted.split_at(length + 2);
    let rest = rest.trim_ascii_start();
    (rest.is_empty() || rest[0] == b',').then_some((EntityTag { weak, quoted }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(name: &header::HeaderName, fields: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for field in fields {
            map.append(name.clone(), HeaderValue::from_str(field).expect("a header value"));
        }
        map
    }

    #[test]
    fn if_none_match_compares_weakly_over_lists_and_several_fields() {
        let cases: &[(&[&str], NoneMatch)] = &[
            (&[], NoneMatch::Absent),
            (&["\"3\""], NoneMatch::Matches),
            (&["W/\"3\""], NoneMatch::Matches),
            (&["\"1\", \"2\",W/\"3\""], NoneMatch::Matches),
            (&["\"1\"", "\"3\""], NoneMatch::Matches),
            (&[",, \"3\" ,"], NoneMatch::Matches),
            (&["\"33\""], NoneMatch::Differs),
            (&["\"03\""], NoneMatch::Differs),
            (&["w/\"3\""], NoneMatch::Differs),
            (&["3"], NoneMatch::Differs),
            (&["\"3"], NoneMatch::Differs),
            (&["\"3\" \"4\""], NoneMatch::Differs),
            (&["\"a,\\\"3\""], NoneMatch::Differs),
            (&[""], NoneMatch::Differs),
            (&["*"], NoneMatch::Any),
            (&[" * "], NoneMatch::Any),
            (&["\"*\""], NoneMatch::Differs),
        ];
        for (fields, expected) in cases {
            assert_eq!(
                none_match(&headers(&header::IF_NONE_MATCH, fields), b"\"3\""),
                *expected,
                "{fields:?}"
            );
        }
    }

    #[test]
    fn if_match_compares_strongly_and_refuses_what_is_no_tag() {
        let allowed = |fields: &[&str]| {
            let map = headers(&header::IF_MATCH, fields);
            WritePrecondition::of(&map)
                .map(|precondition| precondition.allows(Version(3)))
                .ok()
        };
        assert_eq!(allowed(&[]), Some(true));
        assert_eq!(allowed(&["\"3\""]), Some(true));
        assert_eq!(allowed(&["*"]), Some(true));
        assert_eq!(allowed(&["\"2\", \"3\""]), Some(true));
        assert_eq!(allowed(&["W/\"3\""]), Some(false));
        assert_eq!(allowed(&["\"2\""]), Some(false));
        assert_eq!(allowed(&[""]), Some(false));
        for junk in ["3", "\"3", "W/3", "\"3\"x", "*, \"3\""] {
            assert_eq!(allowed(&[junk]), None, "{junk}");
        }
    }

    #[test]
    fn a_report_is_refused_when_if_none_match_matches() {
        for (field, allowed) in [("*", false), ("\"3\"", false), ("\"2\"", true)] {
            let map = headers(&header::IF_NONE_MATCH, &[field]);
            assert_eq!(
                WritePrecondition::of(&map).expect("well-formed").allows(Version(3)),
                allowed,
                "{field}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_it_was_written(tags in prop::collection::vec((any::<bool>(), "[!#-~]{0,6}"), 1..6)) {
            let field = tags.iter().map(|(weak, tag)| format!("{}\"{tag}\"", if *weak { "W/" } else { "" }));
            let field = field.collect::<Vec<_>>().join(" , ");
            let read: Vec<_> = EntityTags(field.as_bytes()).collect();
            prop_assert_eq!(read.len(), tags.len());
            for (read, (weak, tag)) in read.into_iter().zip(&tags) {
                let quoted = format!("\"{tag}\"");
                prop_assert_eq!(read, Ok(EntityTag { weak: *weak, quoted: quoted.as_bytes() }));
            }
        }

        #[test]
        fn junk_never_panics_and_always_ends(field in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(EntityTags(&field).count() <= field.len() + 1);
        }
    }
}
