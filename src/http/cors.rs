//! Which web pages may read a status: the CORS protocol (WHATWG Fetch §3.2) as far as one resource needs it.
//!
//! Our own, since polls are answered without actix's middleware, and for one without `Origin` this costs a look for it. No
//! cookies are involved: whoever has the client secret could ask from anywhere.

use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse};

use super::CorsOrigins;
use super::error::ApiError;
use super::fields::Fields;

const EXPOSED: &[u8] =
    b"ETag, X-Poll-Interval, Retry-After, RateLimit, RateLimit-Policy, Preference-Applied, X-Request-Id, Date";
/// What a page may send. Some clients name a content type with every request, a GET too.
const ALLOWED_FIELDS: [&str; 8] = [
    "authorization",
    "if-none-match",
    "accept",
    "cache-control",
    "prefer",
    "last-event-id",
    "x-request-id",
    "content-type",
];
const ALLOWED_METHODS: [Method; 2] = [Method::GET, Method::HEAD];
/// Seconds that a browser may remember a preflight: a day, the longest that any takes.
const MAX_AGE: HeaderValue = HeaderValue::from_static("86400");
const ANY: &[u8] = b"*";

/// What the page that asks may do. Small, and kept while its request is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grant {
    /// No page asks, or one that may not read the answer.
    Nothing,
    AnyOrigin,
    /// The configured origin at that place of the list.
    Origin(usize),
}

impl CorsOrigins {
    pub(super) fn grant(&self, fields: &(impl Fields + ?Sized)) -> Grant {
        let Some(origin) = fields.first("origin") else {
            return Grant::Nothing;
        };
        match self {
            Self::Any => Grant::AnyOrigin,
            Self::Only(origins) => origins
                .iter()
                .position(|allowed| allowed.as_bytes() == origin)
                .map_or(Grant::Nothing, Grant::Origin),
        }
    }

    /// The `Vary` of a status: on what its answer depends. (`*` answers every page alike.)
    pub(super) fn vary(&self) -> &'static [u8] {
        match self {
            Self::Any => b"Authorization, Accept, Prefer",
            Self::Only(_) => b"Authorization, Accept, Prefer, Origin",
        }
    }

    /// The header fields with which a page may read the answer.
    pub(super) fn write(&self, grant: Grant, mut field: impl FnMut(&HeaderName, &[u8])) {
        let origin = match (grant, self) {
            (Grant::AnyOrigin, _) => ANY,
            (Grant::Origin(at), Self::Only(origins)) => origins[at].as_bytes(),
            (Grant::Nothing, _) | (Grant::Origin(_), Self::Any) => return,
        };
        field(&header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        field(&header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }

    /// Answers a preflight: may a page of that origin send such a request?
    pub(super) fn preflight(&self, request: &HttpRequest, allow: &'static str) -> Result<HttpResponse, ApiError> {
        let fields = request.headers();
        let Some(method) = fields.get(header::ACCESS_CONTROL_REQUEST_METHOD) else {
            return Err(ApiError::MethodNotAllowed { allow });
        };
        let refused = |reason: &str| ApiError::PreflightRefused { reason: reason.into() };
        let grant = self.grant(fields);
        if grant == Grant::Nothing {
            return Err(refused(
                "pages of this origin may not ask here; PAYQUERY_CORS_ORIGINS names those that may",
            ));
        }
        if !ALLOWED_METHODS
            .iter()
            .any(|allowed| allowed.as_str().as_bytes() == method.as_bytes())
        {
            return Err(refused(
                "a page may only GET a status; reports are the merchant's backend's",
            ));
        }
        let wanted = fields
            .all("access-control-request-headers")
            .flat_map(|list| list.split(|byte| *byte == b','));
        let mut wanted = wanted.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty());
        if !wanted.all(|name| {
            ALLOWED_FIELDS
                .iter()
                .any(|allowed| name.eq_ignore_ascii_case(allowed.as_bytes()))
        }) {
            return Err(refused(&format!(
                "a page may send these header fields: {}",
                ALLOWED_FIELDS.join(", ")
            )));
        }
        let mut answer = HttpResponse::build(StatusCode::OK);
        answer
            .insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"))
            .insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_FIELDS.join(", ")))
            .insert_header((header::ACCESS_CONTROL_MAX_AGE, MAX_AGE))
            .insert_header((
                header::VARY,
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ));
        let mut answer = answer.finish();
        self.write(grant, |name, value| {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                answer.headers_mut().insert(name.clone(), value);
            }
        });
        Ok(answer)
    }
}
