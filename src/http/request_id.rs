//! What one request is called in its problem document, in the log, and by whoever asks about it.

use actix_web::{HttpMessage as _, HttpRequest};

use super::fields::Fields;

/// The request's id, where one was needed.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) Box<str>);

/// The id that the client or a proxy gave, if it is one that a log line can hold; else a new one. The same for the whole request.
pub(super) fn request_id(request: &HttpRequest) -> RequestId {
    if let Some(id) = request.extensions().get::<RequestId>() {
        return id.clone();
    }
    let id = RequestId::given_or_new(request.headers());
    request.extensions_mut().insert(id.clone());
    id
}

impl RequestId {
    pub(super) fn given_or_new(fields: &(impl Fields + ?Sized)) -> Self {
        let given = fields.first("x-request-id").and_then(|id| std::str::from_utf8(id).ok());
        Self::or_new(given)
    }

    /// That id, if it is one that a log line can hold; else a new one.
    pub(super) fn or_new(given: Option<&str>) -> Self {
        let given = given.filter(|id| is_printable_id(id));
        Self(given.map_or_else(|| format!("{:032x}", fastrand::u128(..)).into(), Into::into))
    }
}

fn is_printable_id(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
}
