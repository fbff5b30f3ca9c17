//! Query strings.

use actix_web::http::header::HeaderMap;
use bolero::check;

use super::spell;
use crate::domain::order::MerchantId;
use crate::http::list::{self, LogQuery, OrderQuery};
use crate::http::question::Question;

const MAX_WAIT: u32 = 55;

#[test]
fn questions_about_a_status() {
    const WORDS: [&str; 20] = [
        "wait",
        "since_version",
        "until",
        "client_secret",
        "=",
        "&",
        "final",
        "1",
        "25",
        "99999999999",
        "-",
        "%",
        "%2B",
        "+",
        "%00",
        ";",
        "_=",
        "wait=25&",
        "since_version=3&",
        "until=final&",
    ];
    let read = |query: &str| {
        let Ok((question, secret)) = Question::read(query, &HeaderMap::new(), MAX_WAIT) else {
            return;
        };
        assert!(question.wait <= MAX_WAIT && question.since_version.is_none_or(|version| version.0 >= 0));
        // Written anew, it is the same question.
        let mut written = form_urlencoded::Serializer::new(String::new());
        written.append_pair("wait", &question.wait.to_string());
        if let Some(version) = question.since_version {
            written.append_pair("since_version", &version.to_string());
        }
        if question.until_final {
            written.append_pair("until", "final");
        }
        if let Some(secret) = &secret {
            written.append_pair("client_secret", secret);
        }
        let written = written.finish();
        assert_eq!(
            Question::read(&written, &HeaderMap::new(), MAX_WAIT).ok(),
            Some((question, secret)),
            "{query}"
        );
    };
    check!().for_each(|bytes: &[u8]| {
        read(&String::from_utf8_lossy(bytes));
        read(&spell(bytes, &WORDS));
    });
}

#[test]
fn lists_of_orders() {
    const WORDS: [&str; 24] = [
        "status",
        "out_trade_no",
        "created_from",
        "created_to",
        "updated_from",
        "cursor",
        "limit",
        "=",
        "&",
        ",",
        "pending",
        "succeeded",
        "%2C",
        "%",
        "200",
        "201",
        "2026-01-01T00:00:00Z",
        "2027-01-01T00:00:00%2B08:00",
        "status=failed&",
        "limit=7&",
        "created_from=2026-01-01T00:00:00Z&",
        "created_to=2025-01-01T00:00:00Z&",
        "bwAAAA",
        "+",
    ];
    let merchant = MerchantId(uuid::Uuid::nil());
    let read = |query: &str| {
        let Ok(filter) = list::read::<OrderQuery>(query).and_then(|query| query.parse(merchant)) else {
            return;
        };
        assert!((1..=200).contains(&filter.limit.get()));
        assert_eq!(filter.merchant_id, merchant);
        for range in [filter.created, filter.updated] {
            assert!(range.from.zip(range.to).is_none_or(|(from, to)| from <= to), "{query}");
        }
        for status in filter.statuses {
            assert!(query.contains(status.as_str()) || query.contains('%'), "{query}");
        }
    };
    check!().for_each(|bytes: &[u8]| {
        read(&String::from_utf8_lossy(bytes));
        read(&spell(bytes, &WORDS));
    });
}

#[test]
fn pages_of_a_log() {
    const WORDS: [&str; 8] = ["cursor", "limit", "=", "&", "ZQAAAAAAAAAB", "50", "%", "x"];
    let read = |query: &str| {
        if let Ok((after, size)) = list::read::<LogQuery>(query).and_then(|query| query.parse()) {
            assert!(after >= 0 && (1..=200).contains(&size.get()), "{query}");
        }
    };
    check!().for_each(|bytes: &[u8]| {
        read(&String::from_utf8_lossy(bytes));
        read(&spell(bytes, &WORDS));
    });
}
