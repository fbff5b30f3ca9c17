//! `GET /v1/orders/{id}/events`: an order's log, rejected moves included.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;

use super::Door;
use super::auth::Merchant;
use super::error::ApiError;
use super::list::{self, LogQuery};
use super::routes;
use crate::db::order_events::LoggedEvent;
use crate::domain::event::Source;
use crate::domain::listing::Cursor;
use crate::domain::status::Status;
use crate::domain::time::Timestamp;

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
        data: page.items.iter().map(EventBody::of).collect(),
        next_cursor: next,
    }))
}

/// One event of an order's log.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEvent)]
pub struct EventBody<'a> {
    #[schema(format = Uuid)]
    id: String,
    /// `order.created`, `order.<status>`, `order.paid_late` or `order.rejected`.
    #[serde(rename = "type")]
    #[schema(example = "order.succeeded")]
    kind: &'a str,
    #[schema(format = Uuid)]
    order_id: String,
    out_trade_no: &'a str,
    /// The order's version after the event; of a rejected move, the version that it met.
    version: i64,
    /// Null for the creation.
    from: Option<Status>,
    /// Of a rejected move, what was asked for.
    to: Status,
    source: Source,
    accepted: bool,
    /// The order's reason; of a rejected move, the code of the rejection.
    reason: Option<&'a str>,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What else was said.
    #[schema(value_type = Object)]
    data: &'a Value,
}

impl<'a> EventBody<'a> {
    pub fn of(logged: &'a LoggedEvent) -> Self {
        let event = &logged.event;
        Self {
            id: event.id.to_string(),
            kind: &event.kind,
            order_id: event.order_id.to_string(),
            out_trade_no: event.out_trade_no.as_str(),
            version: event.version.0,
            from: event.from,
            to: event.to,
            source: event.source,
            accepted: event.accepted,
            reason: event.reason.as_deref(),
            at: event.at,
            data: &event.data,
        }
    }
}

/// A page of an order's log, oldest first.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = OrderEventList)]
pub struct EventListBody<'a> {
    pub data: Vec<EventBody<'a>>,
    /// For the next page; null on the last one.
    pub next_cursor: Option<String>,
}
