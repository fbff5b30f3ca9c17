//! `/v1/webhook-endpoints…`: where a merchant wants its events, and with which secret.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use super::Door;
use super::auth::Merchant;
use super::body::MerchantJson;
use super::error::ApiError;
use super::webhook_responses::{OfAny, OfBody, OfOne};
use super::wire::{EndpointBody, EndpointChangeBody, EndpointListBody, NewEndpointBody};
use crate::domain::webhook::EndpointId;

/// Secrets are in some of the answers.
pub(super) const CACHE_CONTROL: (header::HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// The endpoint's id in the path.
pub(super) fn endpoint_id(request: &HttpRequest) -> Result<EndpointId, ApiError> {
    let text = request.match_info().get("id").unwrap_or_default();
    EndpointId::parse(text).map_err(|error| ApiError::invalid("id", error))
}

#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints",
    tag = "merchant",
    operation_id = "createWebhookEndpoint",
    summary = "Create a webhook endpoint",
    description = "It is sent what happens from now on. The answer has the secret, which is not shown again. A merchant may have 20 endpoints.",
    security(("api_key" = [])),
    request_body = NewEndpointBody,
    responses(
        (status = 201, description = "Created", body = EndpointBody<'_>, headers(("Location" = String, description = "The endpoint's path")),
            links(
                ("read" = (operation_id = "getWebhookEndpoint", parameters(("id" = "$response.body#/id")))),
                ("change" = (operation_id = "changeWebhookEndpoint", parameters(("id" = "$response.body#/id")))),
                ("rotate" = (operation_id = "rotateWebhookSecret", parameters(("id" = "$response.body#/id")))),
                ("deliveries" = (operation_id = "listWebhookDeliveries", parameters(("id" = "$response.body#/id")))),
                ("recover" = (operation_id = "recoverWebhooks", parameters(("id" = "$response.body#/id")))),
                ("delete" = (operation_id = "deleteWebhookEndpoint", parameters(("id" = "$response.body#/id")))),
            )),
        (status = 409, description = "`too_many_webhook_endpoints`", body = super::error::Problem, content_type = "application/problem+json"),
        OfAny,
        OfBody,
    )
)]
pub async fn create(door: web::Data<Door>, sent: MerchantJson<NewEndpointBody>) -> Result<HttpResponse, ApiError> {
    let (url, filter) = sent.body.parse()?;
    let (endpoint, secret) = door.service.create_endpoint(sent.merchant, url, filter).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/v1/webhook-endpoints/{}", endpoint.id)))
        .insert_header(CACHE_CONTROL)
        .json(EndpointBody::with_secret(&endpoint, &secret)))
}

#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints",
    tag = "merchant",
    operation_id = "listWebhookEndpoints",
    summary = "List the webhook endpoints",
    security(("api_key" = [])),
    responses(
        (status = 200, description = "All of them, oldest first", body = EndpointListBody<'_>),
        OfAny,
    )
)]
pub async fn list(merchant: Merchant, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let endpoints = door.service.list_endpoints(merchant.0).await?;
    Ok(HttpResponse::Ok().insert_header(CACHE_CONTROL).json(EndpointListBody {
        data: endpoints.iter().map(EndpointBody::of).collect(),
        next_cursor: None,
    }))
}

#[utoipa::path(
    get,
    path = "/v1/webhook-endpoints/{id}",
    tag = "merchant",
    operation_id = "getWebhookEndpoint",
    summary = "Read a webhook endpoint",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    responses(
        (status = 200, description = "The endpoint", body = EndpointBody<'_>),
        OfAny,
        OfOne,
    )
)]
pub async fn get(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    let endpoint = door.service.find_endpoint(merchant.0, endpoint_id(&request)?).await?;
    Ok(HttpResponse::Ok()
        .insert_header(CACHE_CONTROL)
        .json(EndpointBody::of(&endpoint)))
}

#[utoipa::path(
    patch,
    path = "/v1/webhook-endpoints/{id}",
    tag = "merchant",
    operation_id = "changeWebhookEndpoint",
    summary = "Change a webhook endpoint",
    description = "Another URL, other types of events; disable it, or enable it again.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    request_body = EndpointChangeBody,
    responses(
        (status = 200, description = "The endpoint as it now is", body = EndpointBody<'_>),
        OfAny,
        OfBody,
        OfOne,
    )
)]
pub async fn change(
    request: HttpRequest,
    door: web::Data<Door>,
    sent: MerchantJson<EndpointChangeBody>,
) -> Result<HttpResponse, ApiError> {
    let (id, change) = (endpoint_id(&request)?, sent.body.parse()?);
    let endpoint = door.service.change_endpoint(sent.merchant, id, change).await?;
    Ok(HttpResponse::Ok()
        .insert_header(CACHE_CONTROL)
        .json(EndpointBody::of(&endpoint)))
}

#[utoipa::path(
    delete,
    path = "/v1/webhook-endpoints/{id}",
    tag = "merchant",
    operation_id = "deleteWebhookEndpoint",
    summary = "Delete a webhook endpoint",
    description = "Nothing is sent there any more; its deliveries are forgotten.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    responses(
        (status = 204, description = "Deleted"),
        OfAny,
        OfOne,
    )
)]
pub async fn delete(merchant: Merchant, request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    door.service.delete_endpoint(merchant.0, endpoint_id(&request)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(
    post,
    path = "/v1/webhook-endpoints/{id}/rotate-secret",
    tag = "merchant",
    operation_id = "rotateWebhookSecret",
    summary = "Give a webhook endpoint another secret",
    description = "The answer has the new secret, which is not shown again. For 24 hours deliveries are signed with both.",
    security(("api_key" = [])),
    params(("id" = String, Path, description = "The endpoint's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid)),
    responses(
        (status = 200, description = "The endpoint, with its new secret", body = EndpointBody<'_>),
        OfAny,
        OfOne,
    )
)]
pub async fn rotate_secret(
    merchant: Merchant,
    request: HttpRequest,
    door: web::Data<Door>,
) -> Result<HttpResponse, ApiError> {
    let (endpoint, secret) = door.service.rotate_secret(merchant.0, endpoint_id(&request)?).await?;
    Ok(HttpResponse::Ok()
        .insert_header(CACHE_CONTROL)
        .json(EndpointBody::with_secret(&endpoint, &secret)))
}
