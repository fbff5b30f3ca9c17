//! `/v1/orders`, `/v1/orders/{id}` and `/v1/orders/out-trade-no/{no}`: creating, reading and listing a merchant's orders.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::Door;
use super::auth::Merchant;
use super::body::MerchantJson;
use super::conditional::{KnownVersions, NoneMatch};
use super::error::ApiError;
use super::list::{self, OrderQuery};
use super::routes;
use super::wire::{NewOrderBody, OrderBody, OrderListBody};
use crate::domain::idempotency::{Answer, IdempotencyKey};
use crate::domain::listing::Cursor;
use crate::domain::order::Order;
use crate::service::create::Created;
use crate::service::read::OrderName;

/// The merchant's document is its own affair: no cache keeps it unasked.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("private, no-cache");

#[utoipa::path(
    post,
    path = "/v1/orders",
    tag = "merchant",
    operation_id = "createOrder",
    summary = "Create an order",
    description = "Idempotent by `out_trade_no`: the same content again is answered with the first order (200), other content with 409. \
        An Idempotency-Key, kept for a day at least, gets the first answer again, byte for byte.",
    security(("api_key" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "A name of the client's for this attempt: 1–255 visible ASCII characters, quoted or bare", example = "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"")),
    request_body = NewOrderBody,
    responses(
        (status = 201, description = "Created", body = OrderBody<'_>,
            headers(("Location" = String, description = "The order's path"), ("ETag" = String, description = "The version, in quotes")),
            links(
                ("status" = (operation_id = "getStatus", parameters(("id" = "$response.body#/id")))),
                ("report" = (operation_id = "reportStatus", parameters(("id" = "$response.body#/id")))),
                ("order" = (operation_id = "getOrder", parameters(("id" = "$response.body#/id")))),
                ("log" = (operation_id = "listOrderEvents", parameters(("id" = "$response.body#/id")))),
                ("byNumber" = (operation_id = "getOrderByOutTradeNo", parameters(("no" = "$response.body#/out_trade_no")))),
                ("reportByNumber" = (operation_id = "reportStatusByOutTradeNo", parameters(("no" = "$response.body#/out_trade_no")))),
            )),
        (status = 200, description = "The same was created before; this is that order", body = OrderBody<'_>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 409, description = "`out_trade_no_taken`: another order has this number", body = super::error::Problem, content_type = "application/problem+json"),
        (status = 413, response = super::openapi::BodyTooLarge),
        (status = 415, response = super::openapi::UnsupportedMediaType),
        (status = 422, description = "`idempotency_key_reused`: the key was first sent with another request", body = super::error::Problem, content_type = "application/problem+json"),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn create(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: MerchantJson<NewOrderBody>,
) -> Result<HttpResponse, ApiError> {
    let new = sent.body.parse()?;
    match idempotency_key(request.headers())? {
        Some(key) => replay(door.service.create_once(sent.merchant, &key, new, render).await?),
        None => Ok(write_created(&door.service.create(sent.merchant, new).await?)),
    }
}

fn status_and_order(created: &Created) -> (StatusCode, &Order) {
    match created {
        Created::New(order) => (StatusCode::CREATED, order),
        Created::Already(order) => (StatusCode::OK, order),
    }
}

fn render(created: &Created) -> Answer {
    let (status, order) = status_and_order(created);
    Answer {
        status: status.as_u16(),
        body: order_json(order),
    }
}

/// What the headers of an answer need of its body.
#[derive(Deserialize)]
struct AnsweredOrder {
    id: String,
    version: i64,
}

/// Gives a first answer again.
fn replay(answer: Answer) -> Result<HttpResponse, ApiError> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let order: AnsweredOrder = serde_json::from_str(&answer.body)
        .map_err(|error| crate::db::DbError::Unreadable(format!("an answer that is no order: {error}")))?;
    Ok(write_creation(status, &order.id, order.version, answer.body))
}

fn write_created(created: &Created) -> HttpResponse {
    let (status, order) = status_and_order(created);
    write_creation(status, &order.id, order.version.0, order_json(order))
}

fn write_creation(status: StatusCode, id: &dyn fmt::Display, version: i64, body: String) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    if status == StatusCode::CREATED {
        response.insert_header((header::LOCATION, format!("/v1/orders/{id}")));
    }
    response.insert_header((header::ETAG, format!("\"{version}\"")));
    response.insert_header((header::CACHE_CONTROL, CACHE_CONTROL));
    response.content_type("application/json").body(body)
}

/// The key as a structured String (quoted, RFC 9651 §3.3.3), or bare as most clients send it.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, ApiError> {
    let mut values = headers.get_all("idempotency-key");
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let invalid = |reason: &dyn std::fmt::Display| ApiError::invalid("Idempotency-Key", reason);
    if values.next().is_some() {
        return Err(invalid(&"is given twice"));
    }
    let text = value
        .to_str()
        .map_err(|_| invalid(&"must be visible ASCII characters without spaces"))?
        .trim();
    let bare = match text.strip_prefix('"') {
        Some(rest) => {
            let inner = rest
                .strip_suffix('"')
                .ok_or_else(|| invalid(&"has an opening quote and no closing one"))?;
            inner.replace("\\\"", "\"").replace("\\\\", "\\")
        }
        None => text.to_owned(),
    };
    IdempotencyKey::parse(bare).map(Some).map_err(|error| invalid(&error))
}

#[utoipa::path(
    get,
    path = "/v1/orders/{id}",
    tag = "merchant",
    operation_id = "getOrder",
    summary = "Read an order by its id",
    security(("api_key" = [])),
    params(
        ("id" = String, Path, description = "The order's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        ("If-None-Match" = Option<String>, Header, description = "The last ETag", example = "\"1\""),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody<'_>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 304, description = "Nothing new"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_by_id(
    merchant: Merchant,
    request: HttpRequest,
    door: web::Data<Door>,
) -> Result<HttpResponse, ApiError> {
    let name = OrderName::Id(routes::order_id(&request)?);
    read(merchant, &request, &door, &name).await
}

#[utoipa::path(
    get,
    path = "/v1/orders/out-trade-no/{no}",
    tag = "merchant",
    operation_id = "getOrderByOutTradeNo",
    summary = "Read an order by the merchant's own number",
    security(("api_key" = [])),
    params(
        ("no" = String, Path, description = "The merchant's own number, percent-encoded where it must be", example = "20261120-0001", pattern = "^[!-~]{1,64}$"),
        ("If-None-Match" = Option<String>, Header, description = "The last ETag", example = "\"1\""),
    ),
    responses(
        (status = 200, description = "The order", body = OrderBody<'_>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 304, description = "Nothing new"),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_by_out_trade_no(
    merchant: Merchant,
    request: HttpRequest,
    door: web::Data<Door>,
    number: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let name = OrderName::OutTradeNo(routes::out_trade_no(number.into_inner())?);
    read(merchant, &request, &door, &name).await
}

async fn read(
    merchant: Merchant,
    request: &HttpRequest,
    door: &Door,
    name: &OrderName,
) -> Result<HttpResponse, ApiError> {
    let order = door
        .service
        .find_order(merchant.0, name)
        .await?
        .ok_or(ApiError::OrderNotFound)?;
    let etag = format!("\"{}\"", order.version);
    match KnownVersions::read(request.headers()).compare(order.version) {
        NoneMatch::Matches | NoneMatch::Any => Ok(HttpResponse::NotModified()
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
            .finish()),
        NoneMatch::Absent | NoneMatch::Differs => Ok(write_order(&order)),
    }
}

/// 200 with the order and its `ETag`.
pub(super) fn write_order(order: &Order) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::ETAG, format!("\"{}\"", order.version)))
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
        .content_type("application/json")
        .body(order_json(order))
}

pub(super) fn order_json(order: &Order) -> String {
    serde_json::to_string(&OrderBody::of(order)).expect("texts and numbers always serialise")
}

#[utoipa::path(
    get,
    path = "/v1/orders",
    tag = "merchant",
    operation_id = "listOrders",
    summary = "List and search orders, newest first",
    security(("api_key" = [])),
    params(OrderQuery),
    responses(
        (status = 200, description = "A page of orders", body = OrderListBody<'_>),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn list(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let query: OrderQuery = list::read(request.query_string())?;
    let page = door.service.list_orders(&query.parse(merchant.0)?).await?;
    let next = page
        .items
        .last()
        .filter(|_| page.has_more)
        .map(|order| Cursor::Order(order.id).encode());
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, CACHE_CONTROL))
        .json(OrderListBody {
            data: page.items.iter().map(OrderBody::of).collect(),
            next_cursor: next,
        }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(value: &str) -> Result<Option<String>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(
            header::HeaderName::from_static("idempotency-key"),
            HeaderValue::from_bytes(value.as_bytes()).expect("a header value"),
        );
        idempotency_key(&headers).map(|key| key.map(|key| key.to_string()))
    }

    #[test]
    fn idempotency_keys_are_taken_quoted_and_bare() {
        assert_eq!(key("abc").ok(), Some(Some("abc".into())));
        assert_eq!(key("\"abc\"").ok(), Some(Some("abc".into())));
        assert_eq!(key(r#""a\"b\\c""#).ok(), Some(Some(r#"a"b\c"#.into())));
        for bad in ["", "\"\"", "\"abc", "a b", "\u{e9}", &"x".repeat(256)] {
            assert!(
                matches!(key(bad), Err(ApiError::Invalid { field, .. }) if field == "Idempotency-Key"),
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn junk_keys_never_panic(value in "[ -~]{0,300}") {
            let _ = key(&value);
        }
    }
}
