//! The demo's files, as they are in this folder: no build step, and nothing from elsewhere.

use actix_web::http::header;
use actix_web::{HttpResponse, web};

use super::super::error::ApiError;

/// Nothing but our own files; no frame around them, no form that leads elsewhere. (The QR code is an image made of data.)
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `GET /demo`
pub async fn checkout() -> HttpResponse {
    file(HTML, include_str!("checkout.html"))
}

/// `GET /demo/pay/{id}`: the same for every order; its script asks what the order is.
pub async fn pay() -> HttpResponse {
    file(HTML, include_str!("pay.html"))
}

/// `GET /demo/assets/{name}`
pub async fn asset(name: web::Path<String>) -> Result<HttpResponse, ApiError> {
    Ok(match name.as_str() {
        "demo.css" => file("text/css; charset=utf-8", include_str!("demo.css")),
        "checkout.js" => file(SCRIPT, include_str!("checkout.js")),
        "panels.js" => file(SCRIPT, include_str!("panels.js")),
        "pay.js" => file(SCRIPT, include_str!("pay.js")),
        "transports.js" => file(SCRIPT, include_str!("transports.js")),
        "words.js" => file(SCRIPT, include_str!("words.js")),
        _ => return Err(ApiError::RouteNotFound),
    })
}

fn file(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        // A newer payquery has newer files.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}
