//! Every URL, and what answers there.

use actix_web::http::{Method, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Handler, HttpRequest, HttpResponse, Resource, Responder, guard};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::error::ApiError;
use super::{
    Door, MAX_BODY_BYTES, demo, events, feed, openapi, operations, orders, report, status, statuses, streams,
    webhook_deliveries, webhook_endpoints,
};
use crate::domain::order::OrderId;
use crate::domain::text::OutTradeNo;
use crate::push::{sockjs, stomp};

pub const STATUS: &str = "/v1/orders/{id}/status";
const STATUS_ALLOW: &str = "GET, HEAD, PUT";
pub const FEED: &str = "/v1/events";
pub const SOCKET: &str = "/v1/ws";
pub const ECHO: &str = "/v1/echo";
pub const STOMP: &str = "/ws";
pub const HEALTHZ: &str = "/healthz";
pub const READYZ: &str = "/readyz";
pub const METRICS: &str = "/metrics";
/// What a request that no route matches is counted and logged as.
pub const UNMATCHED: &str = "unmatched";

/// A transport of SockJS: neither of the names before it has a dot or is empty.
macro_rules! sockjs_path {
    ($transport:literal) => {
        concat!("/ws/{server:[^/.]+}/{session:[^/.]+}/", $transport)
    };
}

/// One path and what it takes.
#[derive(Debug)]
pub struct Route {
    pub path: &'static str,
    /// The methods, as the `Allow` header lists them.
    pub allow: &'static str,
    add: fn(Resource) -> Resource,
}

/// The routes. The first that matches a path has it.
pub fn table() -> Vec<Route> {
    let route = |path, allow, add| Route { path, allow, add };
    vec![
        route("/v1/orders", "GET, HEAD, POST", |r| {
            readable(r, orders::list).route(web::post().to(orders::create))
        }),
        route("/v1/orders/statuses", "POST", |r| {
            r.route(web::post().to(statuses::get_statuses))
        }),
        route("/v1/orders/out-trade-no/{no}", "GET, HEAD", |r| {
            readable(r, orders::get_by_out_trade_no)
        }),
        route("/v1/orders/out-trade-no/{no}/status", "PUT", |r| {
            r.route(web::put().to(report::by_out_trade_no))
        }),
        route("/v1/orders/{id}", "GET, HEAD", |r| readable(r, orders::get_by_id)),
        route(STATUS, STATUS_ALLOW, |r| {
            readable(r, status::get_status)
                .route(web::put().to(report::by_id))
                .route(web::method(Method::OPTIONS).to(preflight))
        }),
        route("/v1/orders/{id}/events", "GET, HEAD", |r| {
            readable(r, events::list_events)
        }),
        route(FEED, "GET, HEAD", |r| readable(r, feed::read_feed)),
        route("/v1/webhook-endpoints", "GET, HEAD, POST", |r| {
            readable(r, webhook_endpoints::list).route(web::post().to(webhook_endpoints::create))
        }),
        route("/v1/webhook-endpoints/{id}", "GET, HEAD, PATCH, DELETE", |r| {
            readable(r, webhook_endpoints::get)
                .route(web::patch().to(webhook_endpoints::change))
                .route(web::delete().to(webhook_endpoints::delete))
        }),
        route("/v1/webhook-endpoints/{id}/rotate-secret", "POST", |r| {
            r.route(web::post().to(webhook_endpoints::rotate_secret))
        }),
        route("/v1/webhook-endpoints/{id}/test", "POST", |r| {
            r.route(web::post().to(webhook_deliveries::test))
        }),
        route("/v1/webhook-endpoints/{id}/recover", "POST", |r| {
            r.route(web::post().to(webhook_deliveries::recover))
        }),
        route("/v1/webhook-endpoints/{id}/deliveries", "GET, HEAD", |r| {
            readable(r, webhook_deliveries::list)
        }),
        route("/v1/webhook-endpoints/{id}/deliveries/{delivery}/resend", "POST", |r| {
            r.route(web::post().to(webhook_deliveries::resend))
        }),
        route(SOCKET, "GET", |r| r.route(web::get().to(streams::open_socket))),
        route(ECHO, "GET", |r| r.route(web::get().to(streams::open_echo))),
        route(STOMP, "GET", |r| r.route(web::get().to(streams::open_stomp))),
        route("/ws/", "GET", |r| r.route(web::get().to(sockjs::pages::greet))),
        route("/ws/websocket", "GET", |r| {
            r.route(web::get().to(stomp::socket::connect))
        }),
        route("/ws/info", "GET, OPTIONS", |r| {
            r.route(web::get().to(sockjs::pages::info))
                .route(web::method(Method::OPTIONS).to(sockjs::pages::info))
        }),
        route("/ws/{page:iframe[0-9A-Za-z._-]*\\.html}", "GET", |r| {
            r.route(web::get().to(sockjs::pages::iframe))
        }),
        route(sockjs_path!("websocket"), "GET", by_get),
        route(sockjs_path!("eventsource"), "GET", by_get),
        route(sockjs_path!("htmlfile"), "GET", by_get),
        route(sockjs_path!("jsonp"), "GET", by_get),
        route(sockjs_path!("jsonp_send"), "POST", by_form),
        route(sockjs_path!("xhr"), "POST, OPTIONS", by_page),
        route(sockjs_path!("xhr_send"), "POST, OPTIONS", by_page),
        route(sockjs_path!("xhr_streaming"), "POST, OPTIONS", by_page),
        route(HEALTHZ, "GET, HEAD", |r| readable(r, operations::get_health)),
        route(READYZ, "GET, HEAD", |r| readable(r, operations::get_readiness)),
        route(METRICS, "GET, HEAD", |r| readable(r, operations::get_metrics)),
        route("/demo", "GET, HEAD", |r| readable(in_demo(r), demo::checkout)),
        route("/demo/pay/{id}", "GET, HEAD", |r| readable(in_demo(r), demo::pay)),
        route("/demo/assets/{name}", "GET, HEAD", |r| {
            readable(in_demo(r), demo::asset)
        }),
        route("/demo/orders", "POST", |r| {
            in_demo(r).route(web::post().to(demo::create_order))
        }),
        route("/demo/orders/{id}/actions", "POST", |r| {
            in_demo(r).route(web::post().to(demo::act))
        }),
        route("/openapi.json", "GET, HEAD", |r| readable(r, openapi::get_document)),
        route("/docs", "GET, HEAD", |r| readable(r, to_docs)),
    ]
}

/// Adds every route to an app.
pub fn configure(config: &mut ServiceConfig) {
    config.app_data(web::PayloadConfig::new(MAX_BODY_BYTES));
    for Route { path, allow, add } in table() {
        let refuse = web::to(move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed { allow }) });
        config.service(add(web::resource(path).name(path)).default_service(refuse));
    }
    config.service(SwaggerUi::new("/docs/{_:.*}").config(Config::from("/openapi.json").validator_url("none")));
    config.default_service(web::to(|| async { Err::<HttpResponse, _>(ApiError::RouteNotFound) }));
}

/// What is below `/ws/`: asked for as often as polls, and held as they are.
pub(super) fn is_sockjs(route: &str) -> bool {
    route.starts_with("/ws/")
}

/// A transport of SockJS that a page opens, or loads as a script or a frame.
fn by_get(resource: Resource) -> Resource {
    resource.route(web::get().to(sockjs::transport))
}

/// One whose requests are forms that a page sends.
fn by_form(resource: Resource) -> Resource {
    resource.route(web::post().to(sockjs::transport))
}

/// One whose requests are a page's own, for which browsers ask leave.
fn by_page(resource: Resource) -> Resource {
    resource
        .route(web::post().to(sockjs::transport))
        .route(web::method(Method::OPTIONS).to(sockjs::transport))
}

/// One that is there with `--demo` only.
fn in_demo(resource: Resource) -> Resource {
    resource.guard(guard::fn_guard(demo::is_on))
}

/// A GET that also answers HEAD.
fn readable<F, Args>(resource: Resource, handler: F) -> Resource
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    resource
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
}

async fn preflight(request: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    door.settings.cors_origins.preflight(&request, STATUS_ALLOW)
}

async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, "/docs/"))
        .finish()
}

/// The order id in the path.
pub(super) fn order_id(request: &HttpRequest) -> Result<OrderId, ApiError> {
    OrderId::parse(request.match_info().get("id").unwrap_or_default()).map_err(|error| ApiError::invalid("id", error))
}

/// The merchant's own number in the path, already decoded.
pub(super) fn out_trade_no(text: String) -> Result<OutTradeNo, ApiError> {
    OutTradeNo::parse(text).map_err(|error| ApiError::invalid("out_trade_no", error))
}
