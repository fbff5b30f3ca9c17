//! `PUT …/status`: a merchant's backend reports what has become of an order.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Door;
use super::body::MerchantJson;
use super::conditional::WritePrecondition;
use super::error::ApiError;
use super::orders::write_order;
use super::routes;
use super::wire::{OrderBody, ReportBody};
use crate::service::read::OrderName;

#[utoipa::path(
    put,
    path = "/v1/orders/{id}/status",
    tag = "merchant",
    operation_id = "reportStatus",
    summary = "Report an order's status",
    description = "The same report again is no change and no error. A move that the table of transitions does not have, or a report \
        about another amount, currency or transaction, is rejected with 409 and kept in the order's log.",
    security(("api_key" = [])),
    params(
        ("id" = String, Path, description = "The order's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        ("If-Match" = Option<String>, Header, description = "Only if the order still stands at this version", example = "\"1\""),
    ),
    request_body = ReportBody,
    responses(
        (status = 200, description = "The order as it now stands", body = OrderBody<'_>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 409, response = super::openapi::Rejected),
        (status = 412, response = super::openapi::PreconditionFailed),
        (status = 413, response = super::openapi::BodyTooLarge),
        (status = 415, response = super::openapi::UnsupportedMediaType),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn by_id(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: MerchantJson<ReportBody>,
) -> Result<HttpResponse, ApiError> {
    let name = OrderName::Id(routes::order_id(&request)?);
    report(&request, &door, name, sent).await
}

#[utoipa::path(
    put,
    path = "/v1/orders/out-trade-no/{no}/status",
    tag = "merchant",
    operation_id = "reportStatusByOutTradeNo",
    summary = "Report an order's status by the merchant's own number",
    security(("api_key" = [])),
    params(
        ("no" = String, Path, description = "The merchant's own number, percent-encoded where it must be", example = "20261120-0001", pattern = "^[!-~]{1,64}$"),
        ("If-Match" = Option<String>, Header, description = "Only if the order still stands at this version", example = "\"1\""),
    ),
    request_body = ReportBody,
    responses(
        (status = 200, description = "The order as it now stands", body = OrderBody<'_>, headers(("ETag" = String, description = "The version, in quotes"))),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 409, response = super::openapi::Rejected),
        (status = 412, response = super::openapi::PreconditionFailed),
        (status = 413, response = super::openapi::BodyTooLarge),
        (status = 415, response = super::openapi::UnsupportedMediaType),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn by_out_trade_no(
    request: HttpRequest,
    door: web::Data<Door>,
    number: web::Path<String>,
    sent: MerchantJson<ReportBody>,
) -> Result<HttpResponse, ApiError> {
    let name = OrderName::OutTradeNo(routes::out_trade_no(number.into_inner())?);
    report(&request, &door, name, sent).await
}

async fn report(
    request: &HttpRequest,
    door: &Door,
    name: OrderName,
    sent: MerchantJson<ReportBody>,
) -> Result<HttpResponse, ApiError> {
    let precondition = WritePrecondition::of(request.headers())?;
    let order = door
        .service
        .update(sent.merchant, name, sent.body.parse()?, precondition)
        .await?;
    Ok(write_order(&order))
}
