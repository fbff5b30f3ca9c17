//! `/v1/webhook-endpoints/{id}/…`: what became of an endpoint's deliveries, and sending them again.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Door;
use super::auth::Merchant;
use super::body::MerchantJson;
use super::error::ApiError;
use super::list::{self, DeliveryQuery};
use super::webhook_endpoints::{CACHE_CONTROL, endpoint_id};
use super::webhook_responses::{OfAny, OfBody, OfOne};
use super::wire::{DeliveryBody, DeliveryListBody, RecoverBody, RecoveredBody};
use crate::domain::listing::Cursor;
use crate::domain::webhook::DeliveryId;

/// The delivery's id in the path.
fn delivery_id(request: &HttpRequest) -> Result<DeliveryId, ApiError> {
    let text = request.match_info().get("delivery").unwrap_or_default();
    DeliveryId::parse(text).map_err(|error| ApiError::invalid("delivery", error))
}

#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}/deliveries",
    tag = "merchant",
    operation_id = "listWebhookDeliveries",
    summary = "List an endpoint's deliveries",
    description = "Newest first, with their attempts.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid), DeliveryQuery),
    responses(
        (status = 200, description = "A page of deliveries", body = DeliveryListBody<'_>),
        OfAny,
        OfOne,
    )
)]
pub async fn list(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let id = endpoint_id(&request)?;
    let filter = list::read::<DeliveryQuery>(request.query_string())?.parse()?;
    let page = door.service.list_deliveries(merchant.0, id, &filter).await?;
    let last = page.items.last().filter(|_| page.has_more);
    Ok(HttpResponse::Ok().insert_header(CACHE_CONTROL).json(DeliveryListBody {
        data: page.items.iter().map(DeliveryBody::of).collect(),
        next_cursor: last.map(|delivery| Cursor::Delivery(delivery.id).encode()),
    }))
}

#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/test",
    tag = "merchant",
    operation_id = "testWebhookEndpoint",
    summary = "Send a test event",
    description = "An event of the type `webhook_endpoint.test`, delivered and reported like any; it goes to this endpoint only, whatever its types.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    responses(
        (status = 202, description = "The delivery, which is under way", body = DeliveryBody<'_>),
        OfAny,
        OfOne,
        (status = 409, description = "`webhook_endpoint_disabled`: enable it first", body = super::error::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn test(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let delivery = door.service.send_test(merchant.0, endpoint_id(&request)?).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(CACHE_CONTROL)
        .json(DeliveryBody::of(&delivery)))
}

#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/deliveries/{delivery}/resend",
    tag = "merchant",
    operation_id = "resendWebhook",
    summary = "Send a delivery again",
    description = "Whatever came of it; one that waits for its next try is tried now. Behind what is waiting of the same order.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        ("delivery" = String, Path, description = "The delivery's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5c", format = Uuid)),
    responses(
        (status = 202, description = "The delivery, which is under way", body = DeliveryBody<'_>),
        (status = 400, response = super::openapi::BadRequest),
        (status = 404, description = "`webhook_endpoint_not_found` or `delivery_not_found`", body = super::error::Problem, content_type = "application/problem+json"),
        OfAny,
        (status = 409, description = "`webhook_endpoint_disabled`: enable it first", body = super::error::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resend(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let (id, delivery) = (endpoint_id(&request)?, delivery_id(&request)?);
    let delivery = door.service.resend(merchant.0, id, delivery).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(CACHE_CONTROL)
        .json(DeliveryBody::of(&delivery)))
}

#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/recover",
    tag = "merchant",
    operation_id = "recoverWebhooks",
    summary = "Make up for what was not delivered",
    description = "Queues again what of that time was given up, and what was never sent because the endpoint was disabled or not there; as far as the log has it. Up to 5000 at a time, or what two seconds are enough for: `next_cursor` goes on.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    request_body = RecoverBody,
    responses(
        (status = 202, description = "How many are under way", body = RecoveredBody),
        OfAny,
        OfBody,
        OfOne,
        (status = 409, description = "`webhook_endpoint_disabled`: enable it first", body = super::error::Problem, content_type = "application/problem+json"),
    )
)]
pub async fn recover(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: MerchantJson<RecoverBody>,
) -> Result<HttpResponse, ApiError> {
    let (id, (range, after)) = (endpoint_id(&request)?, sent.body.parse()?);
    let recovered = door.service.recover(sent.merchant, id, range, after).await?;
    Ok(HttpResponse::Accepted()
        .insert_header(CACHE_CONTROL)
        .json(RecoveredBody::from(recovered)))
}
