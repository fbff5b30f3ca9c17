//! `GET /v1/orders/{id}/events`: an order's log, rejected moves included.

use actix_web::{HttpRequest, HttpResponse, web};

use super::Door;
use super::auth::Merchant;
use super::error::ApiError;
use super::list::{self, LogQuery};
use super::routes;
use super::wire::EventListBody;
use crate::domain::event::EventDocument;
use crate::domain::listing::Cursor;

#[utoipa::path(
    get,
    path = "/v1/orders/{id}/events",
    tag = "merchant",
    operation_id = "listOrderEvents",
    summary = "Read an order's log",
    description = "What changed, from what, to what, by whom; oldest first. Rejected moves are in it, with the code of the rejection as reason.",
    security(("api_key" = [])),
    params(
        ("id" = String, Path, description = "The order's id", example = "0197a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b", format = Uuid),
        LogQuery
    ),
    responses(
        (status = 200, description = "A page of the log", body = EventListBody<'_>),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 404, response = super::openapi::NotFound),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn list_events(
    merchant: Merchant,
    request: HttpRequest,
    door: web::Data<Door>,
) -> Result<HttpResponse, ApiError> {
    let id = routes::order_id(&request)?;
    let (after, size) = list::read::<LogQuery>(request.query_string())?.parse()?;
    let page = door
        .service
        .list_events(merchant.0, id, after, size)
        .await?
        .ok_or(ApiError::OrderNotFound)?;
    let next = page
        .items
        .last()
        .filter(|_| page.has_more)
        .map(|event| Cursor::Event(event.seq).encode());
    Ok(HttpResponse::Ok().json(EventListBody {
        data: page
            .items
            .iter()
            .map(|logged| EventDocument::of(&logged.event))
            .collect(),
        next_cursor: next,
    }))
}
