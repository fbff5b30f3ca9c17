//! The client secret: opens one order's status, read-only, nothing else.
//!
//! `pqs_` and 43 characters of base64url: 16 random bytes, then 16 bytes of a MAC over those and the order's id.
//! The random half makes a secret unguessable. The MAC lets a replica turn away what was never issued, or was issued for
//! another order, without asking the database and in the same time whether the order exists or not.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use subtle::ConstantTimeEq as _;

use super::order::OrderId;

/// What every client secret begins with.
pub const PREFIX: &str = "pqs_";
const NONCE_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// Characters of a secret: the prefix, and 32 bytes in base64 without padding.
const LENGTH: usize = PREFIX.len() + 43;
/// Keeps this MAC apart from any other that the same key may ever make.
const PURPOSE: &[u8] = b"payquery client secret 1";

/// The key that all client secrets of an installation are made with.
#[derive(Clone)]
pub struct IssuingKey(hmac::Key);

impl IssuingKey {
    pub const BYTES: usize = 32;

    pub fn new(bytes: &[u8; Self::BYTES]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    fn tag(&self, order: OrderId, nonce: &[u8]) -> [u8; TAG_BYTES] {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(PURPOSE);
        context.update(order.0.as_bytes());
        context.update(nonce);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG_BYTES]);
        tag
    }

    /// Bytes that only this key makes, for another purpose; `round` makes others.
    pub fn derive<const N: usize>(&self, purpose: &str, round: u32) -> [u8; N] {
        let mut out = [0; N];
        for (block, chunk) in out.chunks_mut(32).enumerate() {
            let tag = hmac::sign(&self.0, format!("{purpose}/{round}/{block}").as_bytes());
            chunk.copy_from_slice(&tag.as_ref()[..chunk.len()]);
        }
        out
    }

    /// Whether `presented` was issued by this key for `order`. Takes the same time for every wrong secret of the right length.
    pub fn issued(&self, order: OrderId, presented: &str) -> bool {
        let mut bytes = [0; NONCE_BYTES + TAG_BYTES];
        let encoded = presented.strip_prefix(PREFIX).unwrap_or_default();
        if URL_SAFE_NO_PAD.decode_slice(encoded, &mut bytes) != Ok(bytes.len()) {
            return false;
        }
        let (nonce, tag) = bytes.split_at(NONCE_BYTES);
        self.tag(order, nonce).ct_eq(tag).into()
    }
}

impl fmt::Debug for IssuingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IssuingKey(…)")
    }
}

/// An order's client secret. `Debug` shows none of it, and it has no `Display`: whoever wants it out says [`ClientSecret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecret([u8; LENGTH]);

/// The text is not as long as every client secret is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a client secret has {LENGTH} characters")]
pub struct WrongLength;

impl ClientSecret {
    /// The secret of `order`; `nonce` comes from the operating system's generator.
    pub fn issue(key: &IssuingKey, order: OrderId, nonce: [u8; NONCE_BYTES]) -> Self {
        let mut bytes = [0; NONCE_BYTES + TAG_BYTES];
        bytes[..NONCE_BYTES].copy_from_slice(&nonce);
        bytes[NONCE_BYTES..].copy_from_slice(&key.tag(order, &nonce));
        let mut text = [0; LENGTH];
        text[..PREFIX.len()].copy_from_slice(PREFIX.as_bytes());
        let encoded = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text[PREFIX.len()..]);
        assert_eq!(encoded, Ok(LENGTH - PREFIX.len()), "32 bytes are 43 characters");
        Self(text)
    }

    /// A secret as the database keeps it.
    pub fn from_stored(text: &str) -> Result<Self, WrongLength> {
        if !text.is_ascii() {
            return Err(WrongLength);
        }
        text.as_bytes().try_into().map(Self).map_err(|_| WrongLength)
    }

    /// Compares in constant time (for texts of equal length; the length is no secret).
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_slice().ct_eq(presented.as_bytes()).into()
    }

    pub fn expose(&self) -> &str {
        std::str::from_utf8(&self.0).expect("it is ASCII")
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_the_order_it_was_issued_for_and_no_other() {
        let key = IssuingKey::new(&[7; 32]);
        let (order, other) = (OrderId::generate(), OrderId::generate());
        let secret = ClientSecret::issue(&key, order, [1; 16]);
        assert!(key.issued(order, secret.expose()));
        assert!(!key.issued(other, secret.expose()));
        assert!(!IssuingKey::new(&[8; 32]).issued(order, secret.expose()));
    }

    #[test]
    fn a_secret_changed_in_any_character_is_refused() {
        let key = IssuingKey::new(&[7; 32]);
        let order = OrderId::generate();
        let secret = ClientSecret::issue(&key, order, [1; 16]).expose().to_owned();
        for at in 0..secret.len() {
            let mut changed = secret.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ascii stays ascii");
            assert!(!key.issued(order, &changed), "changed at {at}");
        }
        for junk in [
            "",
            "pqs_",
            "pqs_%%%",
            &secret[..secret.len() - 1],
            &format!("{secret}A"),
        ] {
            assert!(!key.issued(order, junk), "{junk}");
        }
    }

    #[test]
    fn what_the_database_keeps_is_read_back_and_nothing_of_another_length() {
        let secret = ClientSecret::issue(&IssuingKey::new(&[7; 32]), OrderId::generate(), [1; 16]);
        assert_eq!(ClientSecret::from_stored(secret.expose()), Ok(secret.clone()));
        for other in ["", "pqs_", &format!("{}A", secret.expose()), &"é".repeat(LENGTH)] {
            assert_eq!(ClientSecret::from_stored(other), Err(WrongLength), "{other}");
        }
    }

    #[test]
    fn debug_output_never_shows_a_secret() {
        let key = IssuingKey::new(&[7; 32]);
        let secret = ClientSecret::issue(&key, OrderId::generate(), [1; 16]);
        assert_eq!(format!("{secret:?} {key:?}"), "ClientSecret(…) IssuingKey(…)");
    }
}
