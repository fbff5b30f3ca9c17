//! The API key: proves a merchant.
//!
//! `pqk_`, 32 random characters of 0-9A-Za-z (190 bits), and 6 characters of checksum. The prefix lets secret scanners know
//! it; the checksum lets a typing error, or junk, be refused without asking the database.

use std::fmt;

use ring::digest;

/// What every API key begins with.
pub const PREFIX: &str = "pqk_";
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_CHARS: usize = 32;
const CHECK_CHARS: usize = 6;
const HINT_CHARS: usize = 8;

/// A merchant's API key in clear. It is shown once, when it is made; only its [`digest`](ApiKey::digest) is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// SHA-256 of a key: what the database keeps. The key is random and long, so a slow password hash would add nothing.
pub type ApiKeyDigest = [u8; 32];

/// The text has not the form of an API key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no payquery API key (pqk_ and 38 letters and digits)")]
pub struct ApiKeyError;

impl ApiKey {
    /// Random bytes that [`ApiKey::generate`] takes: more than enough to find 32 that need no rejection.
    pub const ENTROPY_BYTES: usize = 96;

    /// Makes a key. Bytes from 248 on are passed over, so that each character is equally likely; fails only when more than
    /// 64 of the 96 bytes are such (never, with a working generator).
    pub fn generate(entropy: &[u8; Self::ENTROPY_BYTES]) -> Option<Self> {
        let usable = entropy.iter().filter(|&&byte| byte < 248);
        let body: String = usable
            .take(RANDOM_CHARS)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 62)]))
            .collect();
        (body.len() == RANDOM_CHARS).then(|| Self(format!("{PREFIX}{body}{}", checksum(&body))))
    }

    /// Checks form and checksum.
    pub fn parse(text: &str) -> Result<Self, ApiKeyError> {
        let rest = text.strip_prefix(PREFIX).ok_or(ApiKeyError)?;
        if rest.len() != RANDOM_CHARS + CHECK_CHARS || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ApiKeyError);
        }
        let (body, check) = rest.split_at(RANDOM_CHARS);
        if checksum(body) == check {
            Ok(Self(text.to_owned()))
        } else {
            Err(ApiKeyError)
        }
    }

    pub fn digest(&self) -> ApiKeyDigest {
        let mut out = [0; 32];
        out.copy_from_slice(digest::digest(&digest::SHA256, self.0.as_bytes()).as_ref());
        out
    }

    /// The first characters, by which a person knows the key again in a list. 24 bits of 190: nothing to guess from.
    pub fn hint(&self) -> &str {
        &self.0[..HINT_CHARS]
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

fn checksum(body: &str) -> String {
    let hash = digest::digest(&digest::SHA256, body.as_bytes());
    hash.as_ref()[..CHECK_CHARS]
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 62)]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_back_and_a_mistyped_one_is_not() {
        let key = ApiKey::generate(&std::array::from_fn(|i| u8::try_from(i * 2).unwrap_or(0))).expect("enough bytes");
        assert_eq!(ApiKey::parse(key.expose()), Ok(key.clone()));
        assert_eq!(key.expose().len(), 42);
        let mistyped = key.expose().replacen('0', "1", 1);
        assert_eq!(ApiKey::parse(&mistyped), Err(ApiKeyError));
        for junk in ["", "pqk_", "pqs_abc", &key.expose()[1..], &format!("{}x", key.expose())] {
            assert_eq!(ApiKey::parse(junk), Err(ApiKeyError), "{junk}");
        }
    }

    #[test]
    fn a_broken_generator_makes_no_key() {
        assert_eq!(ApiKey::generate(&[255; ApiKey::ENTROPY_BYTES]), None);
    }

    #[test]
    fn debug_output_never_shows_a_key() {
        let key = ApiKey::generate(&[1; ApiKey::ENTROPY_BYTES]).expect("enough bytes");
        assert_eq!(format!("{key:?}"), "ApiKey(…)");
    }
}
