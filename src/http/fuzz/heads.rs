//! Header fields.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use bolero::check;

use super::spell;
use crate::domain::order::Version;
use crate::http::auth::bearer_token;
use crate::http::client_address::{client_address, network_of};
use crate::http::conditional::{KnownVersions, NoneMatch, WritePrecondition};
use crate::http::orders::idempotency_key;
use crate::http::prefer;
use crate::http::request_id::request_id;
use crate::service::update::Precondition as _;

/// The field's value, where the HTTP parser would let it through.
fn headers(name: &str, value: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    headers.insert(name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(value).ok()?);
    Some(headers)
}

#[test]
fn entity_tag_lists() {
    const WORDS: [&str; 12] = [
        "\"", "1", "2", "\"1\"", "\"2\"", ",", " ", "W/", "*", "\\", "\"\"", "\t",
    ];
    let compare = |field: &[u8]| {
        let Some(if_none_match) = headers("if-none-match", field) else {
            return;
        };
        let known = KnownVersions::read(&if_none_match);
        let verdict = known.compare(Version(1));
        assert_ne!(verdict, NoneMatch::Absent);
        if verdict == NoneMatch::Matches {
            assert!(field.windows(3).any(|part| part == b"\"1\""));
        }
        if let (Some(version), NoneMatch::Differs) = (known.highest(), verdict) {
            assert_ne!(version, Version(1), "what was shown as a tag is compared as one");
        }
        let if_match = headers("if-match", field).expect("it is a value");
        if let Ok(precondition) = WritePrecondition::of(&if_match)
            && precondition.allows(Version(1))
        {
            assert!(
                matches!(verdict, NoneMatch::Matches | NoneMatch::Any),
                "strong implies weak"
            );
        }
    };
    check!().for_each(|bytes: &[u8]| {
        compare(bytes);
        compare(spell(bytes, &WORDS).as_bytes());
    });
}

#[test]
fn preferences() {
    const WORDS: [&str; 12] = [
        "wait",
        "=",
        "1",
        "25",
        "\"",
        "\\",
        ",",
        ";",
        " ",
        "respond-async",
        "WAIT=",
        "wait=7",
    ];
    let read = |field: &[u8]| {
        let Some(headers) = headers("prefer", field) else {
            return;
        };
        if let Some(seconds) = prefer::wait_seconds(&headers) {
            let text = String::from_utf8_lossy(field).to_ascii_lowercase();
            assert!(text.contains("wait"), "{text}");
            assert!(
                seconds == u32::MAX || text.contains(&seconds.to_string()),
                "{seconds} of {text}"
            );
        }
    };
    check!().for_each(|bytes: &[u8]| {
        read(bytes);
        read(spell(bytes, &WORDS).as_bytes());
    });
}

#[test]
fn client_addresses() {
    const WORDS: [&str; 16] = [
        "6.6.6.6",
        "10.0.0.2",
        "2001:db8::1",
        "[2001:db8::1]",
        ":443",
        ",",
        ", ",
        ";",
        "for=",
        "For=\"",
        "\"",
        "by=",
        "unknown",
        "_hidden",
        "[",
        "::ffff:6.6.6.6",
    ];
    let trusted = ["10.0.0.0/8".parse().expect("a network")];
    let address_of = |peer: &str, name: &str, value: &[u8]| {
        let fields = headers(name, value)?;
        Some(client_address(peer.parse().ok(), &fields, &trusted).to_string())
    };
    let read = |value: &[u8]| {
        for name in ["x-forwarded-for", "forwarded"] {
            let strangers = address_of("203.0.113.9:1", name, value);
            assert!(
                strangers.is_none_or(|address| address == "203.0.113.9"),
                "a stranger chose its address"
            );
        }
        // Whatever the client wrote, the proxy's own entry to the right of it decides. (But for a quote left open: in
        // `Forwarded` a comma within quotes is none of ours, and we read it as one all the same, which errs to the right.)
        let forwarded = address_of("10.0.0.1:1", "x-forwarded-for", &[value, b", 198.51.100.7"].concat());
        assert!(forwarded.is_none_or(|address| address == "198.51.100.7"));
        let forwarded = address_of("10.0.0.1:1", "forwarded", &[value, b", for=198.51.100.7"].concat());
        assert!(forwarded.is_none_or(|address| address == "198.51.100.7"));
    };
    check!().for_each(|bytes: &[u8]| {
        read(bytes);
        read(spell(bytes, &WORDS).as_bytes());
    });
}

#[test]
fn networks_of_addresses() {
    check!().with_type::<u128>().for_each(|bits| {
        let network = network_of(std::net::Ipv6Addr::from_bits(*bits).into());
        assert_eq!(network_of(network), network);
    });
}

#[test]
fn idempotency_keys() {
    const WORDS: [&str; 10] = ["\"", "\\", "\\\"", "\\\\", "a", "B", "-", "7", " ", "~"];
    let read = |field: &[u8]| {
        let Some(map) = headers("idempotency-key", field) else {
            return;
        };
        let Ok(key) = idempotency_key(&map) else { return };
        let key = key.expect("the field is there");
        assert!((1..=255).contains(&key.as_str().len()) && key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        // Written as a structured String it is the same key again.
        let quoted = format!("\"{}\"", key.as_str().replace('\\', "\\\\").replace('"', "\\\""));
        let again = idempotency_key(&headers("idempotency-key", quoted.as_bytes()).expect("visible characters"));
        assert_eq!(again.ok().flatten(), Some(key), "{quoted}");
    };
    check!().for_each(|bytes: &[u8]| {
        read(bytes);
        read(spell(bytes, &WORDS).as_bytes());
    });
}

#[test]
fn bearer_tokens() {
    const WORDS: [&str; 8] = ["Bearer", "bearer", "Basic", " ", "\t", "pqk_", "pqs_", "x"];
    let read = |field: &[u8]| {
        let Some(fields) = headers("authorization", field) else {
            return;
        };
        if let Ok(token) = bearer_token(&fields) {
            let token = token.expect("the field is there");
            assert!(field[..6].eq_ignore_ascii_case(b"bearer") && token == token.trim());
        }
    };
    check!().for_each(|bytes: &[u8]| {
        read(bytes);
        read(spell(bytes, &WORDS).as_bytes());
        read(&[b"Bearer ", bytes].concat());
    });
}

#[test]
fn request_ids() {
    check!().for_each(|bytes: &[u8]| {
        let Ok(value) = HeaderValue::from_bytes(bytes) else {
            return;
        };
        let request = TestRequest::default()
            .insert_header(("x-request-id", value))
            .to_http_request();
        let id = request_id(&request).0;
        assert!(
            (1..=128).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        );
        assert_eq!(request_id(&request).0, id, "one request has one id");
    });
}
