//! `Accept` (RFC 9110 §12.5.1), as far as two questions need it: the document, or a stream of events? A page of the feed, or lines?

use super::fields::Fields;

const EVENTS: &str = "text/event-stream";
const DOCUMENT: &str = "application/json";

/// Whether a stream of events is asked for: by name, and not less gladly than the document. A wildcard asks for the document.
pub(super) fn prefers_events(fields: &(impl Fields + ?Sized)) -> bool {
    let (mut events, mut document) = (0, 0);
    for element in fields.all("accept").flat_map(|field| field.split(|byte| *byte == b',')) {
        let Ok(element) = std::str::from_utf8(element) else {
            continue;
        };
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(read_weight).unwrap_or(1000);
        if name.eq_ignore_ascii_case(EVENTS) {
            events = weight;
        } else if name.eq_ignore_ascii_case(DOCUMENT) {
            document = weight;
        }
    }
    events > 0 && events >= document
}

const LINES: &str = "application/x-ndjson";

/// How the feed can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedFormat {
    Page,
    Lines,
}

/// What the client would rather have; None when it takes neither. Lines are for those who name them.
pub(super) fn feed_format(fields: &(impl Fields + ?Sized)) -> Option<FeedFormat> {
    let page = weight_of(DOCUMENT, fields);
    let lines = weight_of(LINES, fields);
    match (page.weight, lines.weight) {
        (0, 0) => None,
        (0, _) => Some(FeedFormat::Lines),
        (page, by_lines) if lines.is_named && by_lines >= page => Some(FeedFormat::Lines),
        _ => Some(FeedFormat::Page),
    }
}

/// How gladly something is taken, in thousandths.
struct Weight {
    weight: u32,
    is_named: bool,
}

/// The most specific element that fits counts; without any element everything is taken.
fn weight_of(media_type: &str, fields: &(impl Fields + ?Sized)) -> Weight {
    let (mut best, mut has_any) = ((0, 0), false);
    let whole_kind = media_type.split_once('/').map_or("*", |(kind, _)| kind);
    for element in fields.all("accept").flat_map(|field| field.split(|byte| *byte == b',')) {
        let element = std::str::from_utf8(element).unwrap_or("?").trim();
        if element.is_empty() {
            continue;
        }
        has_any = true;
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let precision = match name.split_once('/') {
            _ if name.eq_ignore_ascii_case(media_type) => 3,
            Some((kind, "*")) if kind.eq_ignore_ascii_case(whole_kind) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        if precision > best.0 {
            best = (precision, parts.find_map(read_weight).unwrap_or(1000));
        }
    }
    Weight {
        weight: if has_any { best.1 } else { 1000 },
        is_named: best.0 == 3,
    }
}

/// `q`, in thousandths. What is no weight counts as the least that is one.
fn read_weight(parameter: &str) -> Option<u32> {
    let (name, value) = parameter.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let weight = value
        .trim()
        .parse::<f64>()
        .ok()
        .filter(|weight| (0.0..=1.0).contains(weight));
    // Truncation: a weight has three digits at most.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 1000")]
    let thousandths = weight.map(|weight| (weight * 1000.0) as u32);
    Some(thousandths.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{ACCEPT, HeaderMap, HeaderValue};

    #[test]
    fn events_are_asked_for_by_name_and_not_less_gladly_than_the_document() {
        let cases = [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-stream, */*;q=0.1", true),
            ("application/json, text/event-stream", true),
            ("application/json;q=0.5, text/event-stream;q=0.9", true),
            ("application/json, text/event-stream;q=0.5", false),
            ("text/event-stream;q=0", false),
            ("text/event-stream; q=0.000", false),
            ("text/*", false),
            ("*/*", false),
            ("application/json", false),
            ("x-text/event-stream", false),
            ("", false),
        ];
        for (accept, expected) in cases {
            let mut fields = HeaderMap::new();
            fields.insert(ACCEPT, HeaderValue::from_str(accept).expect("a header value"));
            assert_eq!(prefers_events(&fields), expected, "{accept:?}");
        }
        assert!(!prefers_events(&HeaderMap::new()));
    }

    #[test]
    fn lines_are_for_those_who_name_them_and_who_takes_neither_gets_neither() {
        let (page, lines) = (Some(FeedFormat::Page), Some(FeedFormat::Lines));
        let cases = [
            ("", page),
            ("*/*", page),
            ("application/*", page),
            ("application/json", page),
            ("application/x-ndjson", lines),
            ("Application/X-NDJSON; charset=utf-8", lines),
            ("application/x-ndjson, */*;q=0.1", lines),
            ("application/json, application/x-ndjson", lines),
            ("application/json, application/x-ndjson;q=0.9", page),
            ("application/x-ndjson;q=0, */*", page),
            ("application/json;q=0, */*", lines),
            ("text/html, application/xhtml+xml, */*;q=0.8", page),
            ("text/event-stream", None),
            ("application/json;q=0", None),
            ("application/xml, text/*", None),
            ("*/*;q=0", None),
            (",", page),
        ];
        for (accept, expected) in cases {
            let mut fields = HeaderMap::new();
            fields.insert(ACCEPT, HeaderValue::from_str(accept).expect("a header value"));
            assert_eq!(feed_format(&fields), expected, "{accept:?}");
        }
        assert_eq!(feed_format(&HeaderMap::new()), page);
    }
}
