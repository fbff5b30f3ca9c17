//! The secret that an endpoint's deliveries are signed with, as Standard Webhooks has it: `whsec_` and base64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

const PREFIX: &str = "whsec_";

/// See the module's head.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// What signs an endpoint's deliveries now: one secret, or two while the receiver changes from one to the other.
#[derive(Debug, Clone)]
pub struct SecretPair {
    pub current: WebhookSecret,
    pub previous: Option<WebhookSecret>,
}

impl WebhookSecret {
    /// Standard Webhooks wants 24 to 64.
    pub const BYTES: usize = 32;

    pub fn new(random: [u8; Self::BYTES]) -> Self {
        Self(random.into())
    }

    /// A secret as the database keeps it.
    pub fn from_stored(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The secret in clear, for the merchant, once.
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The MAC over `id.timestamp.body`, in base64.
    fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body.as_bytes());
        STANDARD.encode(context.sign())
    }
}

impl SecretPair {
    /// The value of the header field `webhook-signature`: a signature by each secret, of which a receiver needs to know one.
    pub fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        let secrets = std::iter::once(&self.current).chain(&self.previous);
        let signatures = secrets.map(|secret| format!("v1,{}", secret.sign(id, timestamp, body)));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_in_the_published_form_and_hidden_from_logs() {
        let secret = WebhookSecret::new([7; 32]);
        assert_eq!(secret.expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(format!("{secret:?}"), "WebhookSecret(…)");
    }

    /// (The published libraries check real deliveries, in tests/clients and examples/walkthrough.sh.)
    #[test]
    fn the_signature_covers_id_time_and_body_by_each_secret() {
        let (old, new) = (WebhookSecret::new([1; 32]), WebhookSecret::new([2; 32]));
        let alone = |secret: &WebhookSecret, id, at, body| {
            SecretPair {
                current: secret.clone(),
                previous: None,
            }
            .signature(id, at, body)
        };
        let both = SecretPair {
            current: new.clone(),
            previous: Some(old.clone()),
        };
        assert_eq!(
            both.signature("id", 5, "{}"),
            format!("{} {}", alone(&new, "id", 5, "{}"), alone(&old, "id", 5, "{}"))
        );
        let others = [
            alone(&new, "ie", 5, "{}"),
            alone(&new, "id", 6, "{}"),
            alone(&new, "id", 5, "{ }"),
        ];
        assert!(others.iter().all(|other| *other != alone(&new, "id", 5, "{}")));
        assert!(others.iter().all(|other| other.starts_with("v1,") && other.len() == 47));
    }
}
