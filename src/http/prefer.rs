//! `Prefer: wait=N` (RFC 7240): how long a client is willing to wait.

use super::fields::Fields;

/// The seconds of the first `wait` preference. What cannot be understood is passed over, as RFC 7240 §2 asks.
pub(super) fn wait_seconds(fields: &(impl Fields + ?Sized)) -> Option<u32> {
    fields
        .all("prefer")
        .filter_map(|field| std::str::from_utf8(field).ok())
        .find_map(wait_in)
}

/// Preferences stand between commas, each with parameters after a semicolon that mean nothing for `wait`.
fn wait_in(field: &str) -> Option<u32> {
    split_outside_quotes(field, ',').find_map(|preference| {
        let preference = split_outside_quotes(preference, ';').next()?;
        let (name, value) = preference.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("wait") {
            return None;
        }
        let value = value.trim();
        let value = value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value);
        read_seconds(value)
    })
}

/// A whole number of seconds; one too large to count is as good as the largest.
pub fn read_seconds(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u32::MAX))
}

fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |c| {
        let splits = !quoted && c == separator;
        if escaped {
            escaped = false;
        } else if quoted && c == '\\' {
            escaped = true;
        } else if c == '"' {
            quoted = !quoted;
        }
        splits
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wait_is_found_among_other_preferences() {
        let cases = [
            ("wait=25", Some(25)),
            ("Wait = 25", Some(25)),
            ("wait=\"25\"", Some(25)),
            ("respond-async, wait=10", Some(10)),
            ("return=minimal; foo=bar, wait=7; x=\"a,wait=9\"", Some(7)),
            ("handling=\"a, wait=3\", wait=4", Some(4)),
            ("wait=0", Some(0)),
            ("wait=99999999999", Some(u32::MAX)),
            ("wait=1, wait=2", Some(1)),
            ("wait", None),
            ("wait=", None),
            ("wait=-1", None),
            ("wait=1.5", None),
            ("waiting=5", None),
            ("", None),
        ];
        for (field, expected) in cases {
            assert_eq!(wait_in(field), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(field in ".{0,60}") {
            wait_in(&field);
        }

        #[test]
        fn a_wait_is_read_wherever_it_stands(seconds: u32, before in "[a-z]{1,8}(=[a-z0-9]{1,4})?") {
            prop_assume!(!before.starts_with("wait"));
            prop_assert_eq!(wait_in(&format!("{before}, wait={seconds}")), Some(seconds));
            prop_assert_eq!(wait_in(&format!("wait={seconds}, {before}")), Some(seconds));
        }
    }
}
