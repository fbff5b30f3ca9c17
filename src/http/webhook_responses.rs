//! What calls about webhook endpoints may answer besides what was asked for: said once.

use utoipa::IntoResponses;

use super::openapi::{
    BadRequest, BodyTooLarge, EndpointNotFound, TooManyRequests, Unauthorized, Unavailable, UnsupportedMediaType,
};

/// Every call.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum OfAny {
    #[response(status = 401)]
    Unauthorized(#[ref_response] Unauthorized),
    #[response(status = 429)]
    TooManyRequests(#[ref_response] TooManyRequests),
    #[response(status = 503)]
    Unavailable(#[ref_response] Unavailable),
}

/// Those about one endpoint.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum OfOne {
    #[response(status = 400)]
    BadRequest(#[ref_response] BadRequest),
    #[response(status = 404)]
    NotFound(#[ref_response] EndpointNotFound),
}

/// Those with a body.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "only its schema is used")]
pub(super) enum OfBody {
    #[response(status = 400)]
    BadRequest(#[ref_response] BadRequest),
    #[response(status = 413)]
    TooLarge(#[ref_response] BodyTooLarge),
    #[response(status = 415)]
    Unsupported(#[ref_response] UnsupportedMediaType),
}
