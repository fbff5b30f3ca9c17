//! Where deliveries go: an absolute URL, in one spelling.

use std::fmt;

use serde::{Serialize, Serializer};
use url::{Host, Url};

/// The URL of an endpoint: `https`, or `http` for networks of one's own; with a host, without credentials and fragment.
///
/// The text is the URL parser's own spelling, so what is checked is what is connected to: `http://0x7f.1/` has become
/// `http://127.0.0.1/` here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl(Url);

/// Why a URL was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    #[error("must be at most 2048 characters")]
    TooLong,
    #[error("must be an absolute URL, such as https://shop.example.com/payquery")]
    Malformed,
    #[error("must begin with https://")]
    Scheme,
    #[error("must not contain a user name or a password")]
    Credentials,
    #[error("must not have a fragment (#…): it is never sent")]
    Fragment,
}

const MAX_LENGTH: usize = 2048;

impl WebhookUrl {
    pub fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        if text.chars().count() > MAX_LENGTH {
            return Err(WebhookUrlError::TooLong);
        }
        // The parser would pass over spaces around it, and tabs and line breaks within.
        if text.chars().any(|letter| letter.is_control() || letter == ' ') {
            return Err(WebhookUrlError::Malformed);
        }
        let url = Url::parse(text).map_err(|_| WebhookUrlError::Malformed)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(WebhookUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(WebhookUrlError::Credentials);
        }
        if url.fragment().is_some() {
            return Err(WebhookUrlError::Fragment);
        }
        // (The parser would take `https:a.example`, and hosts such as `.` and `a..example`, which no DNS knows.)
        let after_scheme = &text[url.scheme().len().min(text.len())..];
        if !after_scheme.starts_with("://") || !has_labels(&url) || url.port() == Some(0) {
            return Err(WebhookUrlError::Malformed);
        }
        if url.as_str().len() > MAX_LENGTH {
            return Err(WebhookUrlError::TooLong);
        }
        Ok(Self(url))
    }

    /// Whether everything that is sent there is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The address, where the host is one.
    pub fn literal_address(&self) -> Option<std::net::IpAddr> {
        match self.0.host() {
            Some(Host::Ipv4(address)) => Some(address.into()),
            Some(Host::Ipv6(address)) => Some(address.into()),
            Some(Host::Domain(_)) | None => None,
        }
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Whether the host is an address, or a name of which no part is empty; a dot may end it (RFC 1034 §3.1).
fn has_labels(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name
            .strip_suffix('.')
            .unwrap_or(name)
            .split('.')
            .all(|label| !label.is_empty()),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

impl Serialize for WebhookUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn urls_are_taken_in_one_spelling_and_with_reasons_refused() {
        let spelling = |text: &str| WebhookUrl::parse(text).map(|url| url.as_str().to_owned());
        assert_eq!(
            spelling("HTTPS://Shop.Example.com:443/a?b=c"),
            Ok("https://shop.example.com/a?b=c".into())
        );
        assert_eq!(
            spelling("https://支付.example/"),
            Ok("https://xn--bnq875c.example/".into())
        );
        for (text, error) in [
            ("", WebhookUrlError::Malformed),
            ("shop.example.com", WebhookUrlError::Malformed),
            ("/hook", WebhookUrlError::Malformed),
            ("https://", WebhookUrlError::Malformed),
            (" https://a.example/", WebhookUrlError::Malformed),
            ("https://a.exam\nple/", WebhookUrlError::Malformed),
            ("https://a.example:0/", WebhookUrlError::Malformed),
            ("https://a.example:65536/", WebhookUrlError::Malformed),
            ("https://[::1/", WebhookUrlError::Malformed),
            ("https://a b.example/", WebhookUrlError::Malformed),
            ("https:8.8.8.8", WebhookUrlError::Malformed),
            ("https:/a.example/", WebhookUrlError::Malformed),
            ("https://./", WebhookUrlError::Malformed),
            ("https://.../", WebhookUrlError::Malformed),
            ("https://a..example/", WebhookUrlError::Malformed),
            ("https://127.0.0.1../", WebhookUrlError::Malformed),
            ("ftp://a.example/", WebhookUrlError::Scheme),
            ("file:///etc/passwd", WebhookUrlError::Scheme),
            ("gopher://a.example/", WebhookUrlError::Scheme),
            ("https://user@a.example/", WebhookUrlError::Credentials),
            ("https://:word@a.example/", WebhookUrlError::Credentials),
            ("https://127.0.0.1@a.example/", WebhookUrlError::Credentials),
            ("https://a.example/#x", WebhookUrlError::Fragment),
        ] {
            assert_eq!(WebhookUrl::parse(text), Err(error), "{text:?}");
        }
        let long = format!("https://a.example/{}", "x".repeat(2048));
        assert_eq!(WebhookUrl::parse(&long), Err(WebhookUrlError::TooLong));
        assert_eq!(
            WebhookUrl::parse(&format!("https://a.example/{}", "é".repeat(1000))),
            Err(WebhookUrlError::TooLong)
        );
    }

    #[test]
    fn an_address_is_found_however_it_is_spelt() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://127。0。0。1/",
        ] {
            let url = WebhookUrl::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(url.literal_address(), Some([127, 0, 0, 1].into()), "{text}");
        }
        let mapped = WebhookUrl::parse("http://[::ffff:127.0.0.1]/").expect("a URL");
        assert_eq!(
            mapped.literal_address().map(|address| address.to_canonical()),
            Some([127, 0, 0, 1].into())
        );
        assert_eq!(
            WebhookUrl::parse("http://localhost/").expect("a URL").literal_address(),
            None
        );
    }

    proptest! {
        #[test]
        fn junk_never_panics_and_what_is_taken_is_taken_again_as_it_is(text in ".{0,80}") {
            for text in [text.clone(), format!("https://{text}"), format!("http://a.example/{text}")] {
                if let Ok(url) = WebhookUrl::parse(&text) {
                    prop_assert_eq!(WebhookUrl::parse(url.as_str()), Ok(url));
                }
            }
        }
    }
}
