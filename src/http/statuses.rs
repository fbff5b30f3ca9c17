//! `POST /v1/orders/statuses`: many statuses at once, from one snapshot.

use actix_web::{HttpResponse, web};

use super::Door;
use super::body::MerchantJson;
use super::error::ApiError;
use super::wire::{StatusItem, StatusListBody, StatusesBody};
use crate::domain::document::StatusDocument;
use crate::domain::order::{Order, OrderId};
use crate::domain::text::OutTradeNo;

/// The most names in one request.
const MAX_NAMES: usize = 100;

#[utoipa::path(
    post,
    path = "/v1/orders/statuses",
    tag = "merchant",
    operation_id = "getStatuses",
    summary = "Many statuses at once",
    description = "Up to 100 ids and out_trade_nos; one answer each, in the order asked (ids first), all from one snapshot.",
    security(("api_key" = [])),
    request_body = StatusesBody,
    responses(
        (status = 200, description = "One answer for each name", body = StatusListBody<'_>),
        (status = 400, response = super::openapi::BadRequest),
        (status = 401, response = super::openapi::Unauthorized),
        (status = 413, response = super::openapi::BodyTooLarge),
        (status = 415, response = super::openapi::UnsupportedMediaType),
        (status = 429, response = super::openapi::TooManyRequests),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_statuses(door: web::Data<Door>, sent: MerchantJson<StatusesBody>) -> Result<HttpResponse, ApiError> {
    let (ids, numbers) = parse(&sent.body)?;
    let orders = door.service.find_orders(sent.merchant, &ids, &numbers).await?;
    let (by_id, by_number) = orders.split_at(ids.len());
    let by_id = ids
        .iter()
        .zip(by_id)
        .map(|(id, order)| answer(order.as_ref(), Some(id.to_string()), None));
    let by_number = numbers
        .iter()
        .zip(by_number)
        .map(|(no, order)| answer(order.as_ref(), None, Some(no.to_string())));
    Ok(HttpResponse::Ok().json(StatusListBody {
        data: by_id.chain(by_number).collect(),
    }))
}

fn parse(body: &StatusesBody) -> Result<(Vec<OrderId>, Vec<OutTradeNo>), ApiError> {
    if !(1..=MAX_NAMES).contains(&(body.ids.len() + body.out_trade_nos.len())) {
        return Err(ApiError::invalid(
            "ids",
            "and out_trade_nos must have 1 to 100 elements together",
        ));
    }
    let ids = body.ids.iter().enumerate();
    let ids = ids.map(|(at, id)| OrderId::parse(id).map_err(|error| ApiError::invalid(format!("ids[{at}]"), error)));
    let numbers = body.out_trade_nos.iter().enumerate();
    let numbers = numbers.map(|(at, number)| {
        OutTradeNo::parse(number).map_err(|error| ApiError::invalid(format!("out_trade_nos[{at}]"), error))
    });
    Ok((ids.collect::<Result<_, _>>()?, numbers.collect::<Result<_, _>>()?))
}

fn answer(order: Option<&Order>, order_id: Option<String>, out_trade_no: Option<String>) -> StatusItem<'_> {
    match order {
        Some(order) => StatusItem::Found {
            out_trade_no: order.out_trade_no.as_str(),
            document: StatusDocument::of(order),
        },
        None => StatusItem::Missing {
            order_id,
            out_trade_no,
            problem: ApiError::OrderNotFound.problem(None),
        },
    }
}
