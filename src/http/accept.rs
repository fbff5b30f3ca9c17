//! `Accept` (RFC 9110 §12.5.1), as far as one question needs it: the document, or a stream of events?

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
}
