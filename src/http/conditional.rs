//! Conditional requests (RFC 9110 §13): `If-None-Match` with weak comparison, `If-Match` with strong.
//!
//! An entity tag of ours is a version in quotes. Nothing is allocated for a poll: its list has one member.

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::error::ApiError;
use super::fields::Fields;
use crate::domain::order::Version;
use crate::service::update::Precondition;

/// What `If-None-Match` says about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoneMatch {
    Absent,
    /// `*`: matches whatever there is, and proves that nothing is known.
    Any,
    Matches,
    Differs,
}

/// `If-None-Match`, read once: which versions the client has. Kept while a request is held, when the bytes that it came in
/// are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KnownVersions {
    Absent,
    Any,
    /// A list that is mostly of one, and stands in no memory of its own then.
    These(SmallVec<[Version; 2]>),
}

impl KnownVersions {
    /// Reads the fields (RFC 9110 §13.1.2). One that is not a list of tags, and a tag that is no version of ours, match
    /// nothing: the plain answer is never wrong.
    pub(super) fn read(fields: &(impl Fields + ?Sized)) -> Self {
        let mut known = Self::Absent;
        for field in fields.all("if-none-match") {
            if is_any(field) {
                return Self::Any;
            }
            let mut versions = match known {
                Self::These(versions) => versions,
                Self::Absent | Self::Any => SmallVec::new(),
            };
            versions.extend(EntityTags(field).flatten().filter_map(|tag| version_in(tag.quoted)));
            known = Self::These(versions);
        }
        known
    }

    /// Compares with a version's entity tag, weakly.
    pub(super) fn compare(&self, version: Version) -> NoneMatch {
        match self {
            Self::Absent => NoneMatch::Absent,
            Self::Any => NoneMatch::Any,
            Self::These(versions) if versions.contains(&version) => NoneMatch::Matches,
            Self::These(_) => NoneMatch::Differs,
        }
    }

    /// The highest of them: the client has seen it, here or on another replica.
    pub(super) fn highest(&self) -> Option<Version> {
        match self {
            Self::These(versions) => versions.iter().copied().max(),
            Self::Absent | Self::Any => None,
        }
    }
}

/// The version that an entity tag of ours stands for. We write it in one way, so only that way is ours.
fn version_in(quoted: &[u8]) -> Option<Version> {
    let digits = &quoted[1..quoted.len() - 1];
    if !digits.iter().all(u8::is_ascii_digit) || (digits[..].first() == Some(&b'0') && digits.len() > 1) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().map(Version)
}

/// The precondition of a report: `If-Match` (strong comparison) and, as RFC 9110 §13.2.2 has it, `If-None-Match`, which
/// fails for other methods than GET when it matches.
#[derive(Debug)]
pub struct WritePrecondition {
    if_match: Vec<HeaderValue>,
    if_none_match: KnownVersions,
}

impl WritePrecondition {
    /// Refuses an `If-Match` that is no list of entity tags: to take it for anything would be a guess.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let if_match: Vec<_> = headers.get_all(header::IF_MATCH).cloned().collect();
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
            if_none_match: KnownVersions::read(headers),
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
                self.if_none_match.compare(version),
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
            let known = KnownVersions::read(&headers(&header::IF_NONE_MATCH, fields));
            assert_eq!(known.compare(Version(3)), *expected, "{fields:?}");
        }
    }

    #[test]
    fn the_highest_of_the_versions_shown_is_found() {
        let highest = |fields: &[&str]| KnownVersions::read(&headers(&header::IF_NONE_MATCH, fields)).highest();
        assert_eq!(
            highest(&["\"1\", W/\"12\"", "\"3\", \"x\", \"99999999999999999999\""]),
            Some(Version(12))
        );
        for fields in [&[][..], &["*"], &["\"\""], &["\"-1\", \"+1\", \"01\""]] {
            assert_eq!(highest(fields), None, "{fields:?}");
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
