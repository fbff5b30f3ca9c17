//! JSON bodies: what is taken can be written again, and is then the same.

use bolero::check;
use serde_json::{Value, json};

use super::spell;
use crate::domain::idempotency::fingerprint_of;
use crate::domain::order::{Expiry, NewOrder};
use crate::domain::report::{Report, Target};
use crate::domain::status::TradeState;
use crate::http::body;
use crate::http::error::ApiError;
use crate::http::statuses;
use crate::http::wire::{NewOrderBody, ReportBody, StatusesBody};

const JSON_WORDS: [&str; 28] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "null",
    "true",
    "0",
    "1",
    "-1",
    "1e400",
    "0.1",
    "1000",
    " ",
    "\"a\"",
    "\"a\":",
    "\"CNY\"",
    "\u{feff}",
    "é",
    "\"metadata\":{",
    "\"2026-01-01T00:00:00Z\"",
    "\"status\":",
    "\"amount\":",
];

/// An error that a stranger caused, and that says so.
fn assert_strangers_fault(error: &ApiError) {
    assert!(
        matches!(error, ApiError::Invalid { .. } | ApiError::MalformedJson { .. }),
        "{error:?}"
    );
    assert!(
        serde_json::to_string(&error.problem(None)).is_ok_and(|problem| problem.len() < 8192),
        "{error:?}"
    );
}

fn read_order(bytes: &[u8]) -> Result<NewOrder, ApiError> {
    body::read::<NewOrderBody>(bytes).and_then(NewOrderBody::parse)
}

fn write_order(new: &NewOrder) -> Value {
    let (at, after) = match new.expiry {
        Expiry::At(at) => (Some(at), None),
        Expiry::After(seconds) => (None, Some(seconds)),
    };
    json!({
        "out_trade_no": new.out_trade_no, "amount": new.amount, "currency": new.currency, "description": new.description,
        "metadata": new.metadata, "expires_at": at, "expires_in": after,
    })
}

fn check_order(bytes: &[u8]) {
    match read_order(bytes) {
        Ok(new) => {
            let again = read_order(write_order(&new).to_string().as_bytes()).expect("what was taken is taken again");
            assert_eq!(fingerprint_of(&again), fingerprint_of(&new));
        }
        Err(error) => assert_strangers_fault(&error),
    }
}

fn read_report(bytes: &[u8]) -> Result<Report, ApiError> {
    body::read::<ReportBody>(bytes).and_then(ReportBody::parse)
}

fn check_report(bytes: &[u8]) {
    match read_report(bytes) {
        Ok(report) => {
            let (status, trade_state) = match report.target {
                Target::Status(status) => (Some(status), None),
                Target::TradeState(state) => {
                    let word = TradeState::words().find(|word| TradeState::parse(word) == Ok(state));
                    (None, word)
                }
            };
            let written = json!({
                "status": status, "trade_state": trade_state, "transaction_id": report.transaction_id,
                "reason": report.reason, "amount": report.amount, "currency": report.currency, "paid_at": report.paid_at,
                "refunded_amount": report.refunded_amount,
            });
            assert_eq!(read_report(written.to_string().as_bytes()).ok(), Some(report));
        }
        Err(error) => assert_strangers_fault(&error),
    }
}

fn check_statuses(bytes: &[u8]) {
    match body::read::<StatusesBody>(bytes).and_then(|body| statuses::parse(&body)) {
        Ok((ids, numbers)) => {
            let written = json!({ "ids": ids, "out_trade_nos": numbers }).to_string();
            let again = body::read::<StatusesBody>(written.as_bytes()).and_then(|body| statuses::parse(&body));
            assert_eq!(again.ok(), Some((ids, numbers)));
        }
        Err(error) => assert_strangers_fault(&error),
    }
}

#[test]
fn junk_in_place_of_a_body() {
    check!().for_each(|bytes: &[u8]| {
        for text in [bytes, spell(bytes, &JSON_WORDS).as_bytes()] {
            check_order(text);
            check_report(text);
            check_statuses(text);
        }
    });
}

#[test]
fn creations() {
    const FIELDS: [&str; 24] = [
        "\"out_trade_no\":\"a\"",
        "\"amount\":1",
        "\"currency\":\"CNY\"",
        "\"description\":\"咖啡\"",
        "\"expires_in\":60",
        "\"expires_in\":0",
        "\"expires_at\":null",
        "\"expires_at\":\"9999-01-01T00:00:00Z\"",
        "\"metadata\":{}",
        "\"metadata\":{\"a\":[1,0.1,null]}",
        "\"amount\":9007199254740991",
        "\"amount\":9007199254740992",
        "\"amount\":-1",
        "\"currency\":\"cny\"",
        "\"out_trade_no\":\"a b\"",
        "\"description\":\"\\u0000\"",
        "\"description\":\"\"",
        "\"out_trade_no\":\"~!\\\"\"",
        "\"x\":1",
        "\"metadata\":{\"a\":\"\\u0000\"}",
        "\"metadata\":{\"a\":1e308}",
        "\"description\":\"\\ud83d\\ude00\"",
        "\"metadata\":{\"\":{}}",
        "\"description\":null",
    ];
    check!().with_type::<(Vec<u8>, String)>().for_each(|(fields, text)| {
        let chosen: Vec<&str> = fields
            .iter()
            .map(|byte| FIELDS[usize::from(*byte) % FIELDS.len()])
            .collect();
        check_order(format!("{{{}}}", chosen.join(",")).as_bytes());
        check_order(format!("{{{},{}}}", FIELDS[..3].join(","), chosen.join(",")).as_bytes());
        let metadata = json!({
            "out_trade_no": "a", "amount": 1, "currency": "CNY", "description": text,
            "metadata": { text.as_str(): text, "numbers": fields },
        });
        check_order(metadata.to_string().as_bytes());
    });
}

#[test]
fn reports() {
    const FIELDS: [&str; 20] = [
        "\"status\":\"succeeded\"",
        "\"status\":\"pending\"",
        "\"trade_state\":\"SUCCESS\"",
        "\"trade_state\":\"TRADE_CLOSED\"",
        "\"status\":null",
        "\"transaction_id\":\"4200\"",
        "\"transaction_id\":\"\"",
        "\"reason\":\"paid\"",
        "\"amount\":1000",
        "\"amount\":0",
        "\"currency\":\"CNY\"",
        "\"currency\":\"EUR\"",
        "\"paid_at\":\"2026-01-01T00:00:00+08:00\"",
        "\"paid_at\":\"9999-12-31T23:59:59Z\"",
        "\"refunded_amount\":1",
        "\"refunded_amount\":null",
        "\"reason\":\"\\n\"",
        "\"status\":\"paid\"",
        "\"amount\":1e3",
        "\"trade_state\":7",
    ];
    check!().with_type::<Vec<u8>>().for_each(|fields| {
        let chosen: Vec<&str> = fields
            .iter()
            .map(|byte| FIELDS[usize::from(*byte) % FIELDS.len()])
            .collect();
        check_report(format!("{{{}}}", chosen.join(",")).as_bytes());
    });
}

#[test]
fn questions_about_many_statuses() {
    check!()
        .with_type::<(Vec<u128>, Vec<String>)>()
        .for_each(|(ids, numbers)| {
            let ids: Vec<String> = ids.iter().map(|id| uuid::Uuid::from_u128(*id).to_string()).collect();
            check_statuses(json!({ "ids": ids, "out_trade_nos": numbers }).to_string().as_bytes());
            check_statuses(json!({ "ids": numbers }).to_string().as_bytes());
        });
}
