//! Secrets, cursors, times and texts as strangers send them: nothing panics, and what is taken is what was sent.
//! How to run them for long: `http::fuzz`.

use base64::Engine as _;
use bolero::check;

use super::api_key::ApiKey;
use super::client_secret::{ClientSecret, IssuingKey};
use super::listing::{Cursor, PageSize};
use super::order::OrderId;
use super::text::{Description, OutTradeNo};
use super::time::Timestamp;

/// The text with one byte of it exchanged; None where that leaves no text, or the same one.
fn exchange(text: &str, at: u8, byte: u8) -> Option<String> {
    let mut bytes = text.to_owned().into_bytes();
    let at = usize::from(at) % bytes.len();
    bytes[at] = byte;
    String::from_utf8(bytes).ok().filter(|changed| changed != text)
}

#[test]
fn an_api_key_is_taken_as_it_was_made_and_with_no_byte_exchanged() {
    check!()
        .with_type::<([[u8; 32]; 3], u8, u8)>()
        .for_each(|(entropy, at, byte)| {
            let entropy: [u8; 96] = std::array::from_fn(|i| entropy[i / 32][i % 32]);
            let Some(key) = ApiKey::generate(&entropy) else { return };
            assert_eq!(ApiKey::parse(key.expose()).as_ref(), Ok(&key));
            assert!(key.expose().starts_with(key.hint()));
            if let Some(changed) = exchange(key.expose(), *at, *byte) {
                // Six characters of checksum: one in 50 billion of such typing errors passes, and then the digest differs.
                assert!(ApiKey::parse(&changed).is_err(), "{changed}");
            }
        });
}

#[test]
fn what_is_taken_for_an_api_key_has_the_form_of_one() {
    check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for text in [text.to_string(), format!("pqk_{text}")] {
            if let Ok(key) = ApiKey::parse(&text) {
                assert_eq!((key.expose(), text.len()), (&*text, 42));
            }
        }
    });
}

#[test]
fn a_client_secret_opens_its_order_and_with_no_byte_exchanged() {
    let key = IssuingKey::new(&[7; 32]);
    check!()
        .with_type::<(u128, u128, [u8; 16], u8, u8)>()
        .for_each(|(order, other, nonce, at, byte)| {
            let (order, other) = (
                OrderId(uuid::Uuid::from_u128(*order)),
                OrderId(uuid::Uuid::from_u128(*other)),
            );
            let secret = ClientSecret::issue(&key, order, *nonce);
            assert!(key.issued(order, secret.expose()) && secret.matches(secret.expose()));
            assert_eq!(key.issued(other, secret.expose()), other == order);
            if let Some(changed) = exchange(secret.expose(), *at, *byte) {
                assert!(!key.issued(order, &changed) && !secret.matches(&changed), "{changed}");
            }
        });
}

#[test]
fn junk_is_no_client_secret() {
    let key = IssuingKey::new(&[7; 32]);
    check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        for text in [text.to_string(), format!("pqs_{text}")] {
            assert!(!key.issued(OrderId(uuid::Uuid::nil()), &text), "{text}");
        }
    });
}

#[test]
fn a_cursor_that_is_taken_is_the_one_that_would_be_written() {
    check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(cursor) = Cursor::decode(&text) {
            assert_eq!(cursor.encode(), text);
        }
        // The same with a first byte that means something.
        for tag in [b'o', b'e'] {
            let text = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode([&[tag], bytes].concat());
            if let Ok(cursor) = Cursor::decode(&text) {
                assert_eq!(cursor.encode(), text);
            }
        }
    });
}

#[test]
fn a_time_that_is_taken_is_the_same_when_it_is_written_and_read_again() {
    const WORDS: [&str; 24] = [
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "00", "12", "59", "60", "2026", "9999", "-", ":", ".", "T",
        "t", " ", "Z", "+08:00",
    ];
    let read_again = |text: &str| {
        if let Ok(at) = Timestamp::parse(text) {
            assert_eq!(Timestamp::parse(&at.to_string()), Ok(at), "{text}");
            assert_eq!(Timestamp::from_unix_ms(at.unix_ms()), at);
        }
    };
    check!().for_each(|bytes: &[u8]| {
        read_again(&String::from_utf8_lossy(bytes));
        read_again(
            &bytes
                .iter()
                .map(|byte| WORDS[usize::from(*byte) % 24])
                .collect::<String>(),
        );
        // A time in form, whatever its numbers.
        if let [year, month, day, hour, minute, second, fraction, offset, ..] = bytes {
            read_again(&format!(
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{fraction}{:+03}:00",
                u16::from(*year) * 40,
                month % 14,
                day % 33,
                hour % 26,
                minute % 62,
                second % 62,
                i32::from(*offset) % 25 - 12,
            ));
        }
    });
}

#[test]
fn a_text_that_is_taken_is_kept_as_it_was_sent_and_fits_into_a_line() {
    check!().for_each(|bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(number) = OutTradeNo::parse(&*text) {
            assert_eq!(number.as_str(), text);
            assert!(
                text.len() <= 64 && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte)),
                "{text}"
            );
        }
        if let Ok(description) = Description::parse(&*text) {
            assert_eq!(description.as_str(), text);
            assert!(!text.contains(['\0', '\n', '\r', '\u{1b}']), "{text:?}");
        }
        if let Ok(id) = OrderId::parse(&text) {
            assert_eq!(id.to_string(), text.to_ascii_lowercase());
        }
        if let Ok(size) = PageSize::parse(&text) {
            assert!((1..=200).contains(&size.get()));
        }
    });
}
