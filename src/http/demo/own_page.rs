//! A request that one of the demo's own pages sent, and no other page.
//!
//! Others are kept out threefold: a browser says where a page comes from; a body of JSON needs leave (a preflight), which is
//! given to nobody here; and without CORS headers no answer can be read. Programs that are no browsers may say what they like:
//! they find nothing that the page would not give them.

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;

use super::super::body::OpenJson;
use super::super::error::ApiError;

/// See the module's head.
#[derive(Debug)]
pub struct OwnPage<T> {
    /// `https://pay.example.com`: where the page was loaded from, so where a phone finds this service, too.
    pub origin: String,
    pub body: T,
}

impl<T: DeserializeOwned + 'static> FromRequest for OwnPage<T> {
    type Error = actix_web::Error;
    type Future = LocalBoxFuture<'static, Result<Self, actix_web::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let origin = own_origin(request.headers());
        let body = OpenJson::from_request(request, payload);
        Box::pin(async move {
            let origin = origin?;
            let OpenJson(body) = body.await?;
            Ok(Self { origin, body })
        })
    }
}

const FOREIGN: ApiError = ApiError::OriginRefused {
    reason: "only the demo's own pages may ask here: Origin must be this service's",
};

/// The page's origin, if it is this service's own.
fn own_origin(headers: &HeaderMap) -> Result<String, ApiError> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).filter(|origin| is_plain(origin)).ok_or(FOREIGN)?;
    let (_, authority) = origin.split_once("://").ok_or(FOREIGN)?;
    let is_own = match text(header::HeaderName::from_static("sec-fetch-site")) {
        // What the browser itself says (W3C Fetch Metadata §2.4); right also where a proxy has changed the Host.
        Some(site) => site == "same-origin",
        // Browsers say it only where the line is safe, or leads nowhere.
        None => text(header::HOST).is_some_and(|host| host.eq_ignore_ascii_case(authority)),
    };
    if is_own { Ok(origin.to_owned()) } else { Err(FOREIGN) }
}

/// Scheme, host and port: it becomes part of a link.
fn is_plain(origin: &str) -> bool {
    const MAX_BYTES: usize = 255;
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    origin.len() <= MAX_BYTES && host.is_some_and(|host| !host.is_empty() && host.bytes().all(is_fine))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_own(fields: [&str; 3]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in ["origin", "host", "sec-fetch-site"].into_iter().zip(fields) {
            if !value.is_empty() {
                let name = header::HeaderName::from_static(name);
                headers.insert(
                    name,
                    header::HeaderValue::from_static(Box::leak(value.to_owned().into_boxed_str())),
                );
            }
        }
        own_origin(&headers).is_ok()
    }

    #[test]
    fn only_pages_of_the_same_origin_are_its_own() {
        for own in [
            ["http://a:8080", "a:8080", ""],
            ["http://[::1]:8080", "[::1]:8080", "same-origin"],
            ["https://pay.example.com", "10.0.0.7:8080", "same-origin"],
        ] {
            assert!(is_own(own), "{own:?}");
        }
        for foreign in [
            ["", "a:8080", ""],
            ["", "a:8080", "same-origin"],
            ["null", "a:8080", ""],
            ["http://b:8080", "a:8080", ""],
            ["http://a:8081", "a:8080", ""],
            ["http://a:8080", "", ""],
            ["http://a:8080", "a:8080", "cross-site"],
            ["http://a:8080", "a:8080", "same-site"],
            ["http://a:8080", "a:8080", "none"],
            ["ftp://a:8080", "a:8080", "same-origin"],
            ["http://a:8080/\"><b", "a:8080", "same-origin"],
            ["http://", "", "same-origin"],
        ] {
            assert!(!is_own(foreign), "{foreign:?}");
        }
    }
}
