//! Repeats of a creation, told by a fingerprint of what was asked for.

use ring::digest;
use serde_json::{Value, json};

use super::order::{Expiry, NewOrder};
use super::text::AsciiName;

/// A client's own name for one attempt, from the `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header-06):
/// 1 to 255 visible ASCII characters.
pub type IdempotencyKey = AsciiName<255>;

/// SHA-256 over what a creation asks for: equal for equal content, whatever the order of the fields or the white space.
pub type Fingerprint = [u8; 32];

/// The fingerprint of a creation. A relative expiry counts as the seconds asked for, not as the time they end at: the same
/// request sent again is the same content.
pub fn fingerprint_of(new: &NewOrder) -> Fingerprint {
    let expiry = match new.expiry {
        Expiry::At(at) => json!({ "at": at }),
        Expiry::After(seconds) => json!({ "after": seconds }),
    };
    let content: Value = json!({
        "out_trade_no": new.out_trade_no,
        "amount": new.amount,
        "currency": new.currency,
        "description": new.description,
        "metadata": new.metadata,
        "expiry": expiry,
    });
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, content.to_string().as_bytes()).as_ref());
    out
}

/// An answer as it went out, kept to be given again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status code.
    pub status: u16,
    pub body: String,
}
