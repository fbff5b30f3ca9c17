//! OpenAPI 3.1 from the code: what is described is what is served; a test compares both ways.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use serde_json::json;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{Modify, OpenApi, ToResponse};

use super::error::Problem;
use super::{
    events, feed, operations, orders, report, status, statuses, streams, webhook_deliveries, webhook_endpoints,
};

/// The description.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "payquery",
        description = "Has my payment gone through? A merchant's backend creates orders and reports their status; \
            the payer's screen asks by polling or long-polling, or is told over a stream of events or a WebSocket.\n\nAmounts are whole minor units. Times are RFC 3339, UTC, with \
            milliseconds. Errors are RFC 9457 problem documents with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    tags(
        (name = "payer", description = "For the payer's screen, with the order's client secret"),
        (name = "merchant", description = "For the merchant's backend, with its API key"),
        (name = "operator", description = "For probes and monitoring")
    ),
    paths(
        status::get_status, streams::open_socket, streams::open_echo, streams::open_stomp,
        orders::create, orders::list, orders::get_by_id, orders::get_by_out_trade_no,
        report::by_id, report::by_out_trade_no,
        statuses::get_statuses, events::list_events, feed::read_feed,
        webhook_endpoints::create, webhook_endpoints::list, webhook_endpoints::get, webhook_endpoints::change,
        webhook_endpoints::delete, webhook_endpoints::rotate_secret, webhook_deliveries::test,
        webhook_deliveries::list, webhook_deliveries::resend, webhook_deliveries::recover,
        operations::get_health, operations::get_readiness, operations::get_metrics,
    ),
    components(schemas(UntilParameter, Seconds), responses(
        BadRequest, Unauthorized, NotFound, EndpointNotFound, NotAcceptable, Rejected, CursorAhead, CursorExpired, PreconditionFailed, BodyTooLarge, BodyTooSlow, InternalError, OriginRefused, HandshakeDue, UnsupportedMediaType, TooManyRequests, Unavailable
    )),
    modifiers(&Credentials, &OneWordPerReport, &Everywhere)
)]
struct Description;

/// Declares a response with a problem document, to be named by the operations that have it, with an example of its own.
macro_rules! problem_response {
    ($name:ident, $status:literal, $uri:literal, $code:literal, $title:literal, $detail:literal, $description:literal
     $(, $header:literal: $type:ty = $header_description:literal)*) => {
        #[doc = $description]
        #[derive(ToResponse)]
        #[response(
            description = $description,
            content_type = "application/problem+json",
            example = json!({
                "type": $uri, "title": $title, "status": $status, "detail": $detail,
                "code": $code, "request_id": "5f0c1d3a9b7e4c21a0d4e6f8b2c91735"
            })
            $(, headers(($header = $type, description = $header_description)))*
        )]
        #[allow(dead_code, reason = "only its schema is used")]
        pub struct $name(Problem);
    };
}

problem_response!(
    BadRequest,
    400,
    "urn:payquery:problem:invalid_field",
    "invalid_field",
    "A field is not valid",
    "amount must be a whole number of minor units from 1 to 9007199254740991",
    "A field, parameter, header or the path is not as it must be; `field` says which"
);
problem_response!(
    Unauthorized, 401, "urn:payquery:problem:unauthorized", "unauthorized", "Credentials are missing or wrong", "send the API key: Authorization: Bearer pqk_…",
    "Credentials are missing, or the API key does not open", "WWW-Authenticate": String = "Bearer"
);
problem_response!(
    NotFound,
    404,
    "urn:payquery:problem:order_not_found",
    "order_not_found",
    "There is no such order",
    "there is no such order, or these credentials do not open it",
    "There is no such order, or these credentials do not open it"
);
problem_response!(
    NotAcceptable,
    406,
    "urn:payquery:problem:not_acceptable",
    "not_acceptable",
    "None of the media types asked for is served",
    "served here: application/json and application/x-ndjson",
    "`Accept` allows nothing that is served here"
);
problem_response!(
    CursorAhead,
    409,
    "urn:payquery:problem:cursor_ahead",
    "cursor_ahead",
    "The cursor is ahead of this database",
    "the cursor is of another database, or of a later state of this one; take a new one with after=now, and compare the orders that you have with GET /v1/orders, or read all events again without after",
    "The cursor is of another database, or of a later state of this one: it was restored, or an older copy took over"
);
problem_response!(
    CursorExpired,
    410,
    "urn:payquery:problem:cursor_expired",
    "cursor_expired",
    "Events after the cursor are gone",
    "events that come after the cursor were dropped by their age, or lost; take a new cursor with after=now, and compare the orders that you have with GET /v1/orders, or read all events that are kept again without after",
    "Events that come after the cursor were dropped by their age (`PAYQUERY_EVENT_RETENTION_DAYS`), or lost when an older copy of the database took over"
);
problem_response!(
    EndpointNotFound,
    404,
    "urn:payquery:problem:webhook_endpoint_not_found",
    "webhook_endpoint_not_found",
    "There is no such webhook endpoint",
    "there is no such webhook endpoint, or it is not this merchant's",
    "There is no such webhook endpoint, or it is not this merchant's"
);
problem_response!(
    Rejected,
    409,
    "urn:payquery:problem:illegal_transition",
    "illegal_transition",
    "The report was rejected",
    "an order that is closed cannot become processing",
    "The report was rejected: `illegal_transition`, `amount_mismatch`, `currency_mismatch`, `transaction_mismatch`, `refund_exceeds_amount`, `refund_without_payment`; or the order keeps changing: `contended`"
);
problem_response!(
    PreconditionFailed,
    412,
    "urn:payquery:problem:precondition_failed",
    "precondition_failed",
    "The order has changed meanwhile",
    "the order stands at version 3; read it and decide anew",
    "The order has changed meanwhile"
);
problem_response!(
    BodyTooLarge,
    413,
    "urn:payquery:problem:body_too_large",
    "body_too_large",
    "The body is too large",
    "a body may have 65536 bytes at most",
    "The body has more than 64 KiB"
);
problem_response!(
    BodyTooSlow,
    408,
    "urn:payquery:problem:body_too_slow",
    "body_too_slow",
    "The body took too long",
    "the body did not arrive within 15 s",
    "The body did not arrive within 15 s"
);
problem_response!(
    OriginRefused,
    403,
    "urn:payquery:problem:origin_refused",
    "origin_refused",
    "Pages of this origin may not ask here",
    "PAYQUERY_CORS_ORIGINS names the origins whose pages may ask",
    "A web page of an origin that is not allowed opens a socket"
);
problem_response!(
    HandshakeDue, 426, "urn:payquery:problem:handshake_due", "handshake_due", "A WebSocket handshake is due here", "connect by WebSocket, version 13: ws:// or wss://",
    "The request is no WebSocket handshake", "Upgrade": String = "websocket"
);
problem_response!(
    InternalError,
    500,
    "urn:payquery:problem:internal_error",
    "internal_error",
    "Something went wrong in the service",
    "the logs say more under the request_id",
    "Something went wrong in the service; its logs say more under the request_id"
);
problem_response!(
    UnsupportedMediaType,
    415,
    "urn:payquery:problem:unsupported_media_type",
    "unsupported_media_type",
    "The body's type is not supported",
    "send the body as JSON, with Content-Type: application/json",
    "The body is not declared as JSON"
);
problem_response!(
    TooManyRequests, 429, "https://iana.org/assignments/http-problem-types#quota-exceeded", "quota_exceeded", "Too many requests", "the quota \"poll\" is used up; try again in 2 s",
    "A quota is used up", "Retry-After": u32 = "Seconds, never 0"
);
problem_response!(
    Unavailable, 503, "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity", "database_unavailable", "The database is not available", "send the same request again in a moment; what was applied already is not applied twice",
    "The database is away, or the process is stopping; the same request may be sent again", "Retry-After": u32 = "Seconds"
);

/// The one value of `until`.
#[derive(Debug, utoipa::ToSchema)]
#[schema(rename_all = "snake_case")]
#[allow(dead_code, reason = "only its schema is used")]
pub enum UntilParameter {
    Final,
}

/// A number of seconds without an upper end: what is too long is clamped.
#[derive(Debug)]
pub struct Seconds;

impl utoipa::PartialSchema for Seconds {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Integer)
            .minimum(Some(0))
            .examples([25])
            .into()
    }
}

impl utoipa::ToSchema for Seconds {}

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let bearer = |text: &str| {
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some(text))
                    .build(),
            )
        };
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("api_key", bearer("The merchant's API key, pqk_…"));
        components.add_security_scheme("client_secret", bearer("The order's client secret, pqs_…"));
        let in_query = ApiKeyValue::with_description(
            "client_secret",
            "The same, where a client cannot set headers. It may then stand in a proxy's log",
        );
        components.add_security_scheme(
            "client_secret_in_query",
            SecurityScheme::ApiKey(ApiKey::Query(in_query)),
        );
    }
}

/// What every operation on orders can answer, and every one with a body.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let paths = description
            .paths
            .paths
            .iter_mut()
            .filter(|(path, _)| path.starts_with("/v1/"));
        for operation in paths
            .flat_map(|(_, path)| {
                [
                    &mut path.get,
                    &mut path.put,
                    &mut path.post,
                    &mut path.patch,
                    &mut path.delete,
                ]
            })
            .flatten()
        {
            let responses = &mut operation.responses.responses;
            let named = |name| RefOr::Ref(Ref::from_response_name(name));
            responses.insert("500".into(), named("InternalError"));
            if operation.request_body.is_some() {
                responses.insert("408".into(), named("BodyTooSlow"));
            }
        }
    }
}

/// A report names its status in one of two ways. The struct that reads it has both fields, each optional; the schema can say
/// what is true: one of them, and not the other.
struct OneWordPerReport;

impl Modify for OneWordPerReport {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let schemas = &mut description.components.get_or_insert_default().schemas;
        let Some(RefOr::T(Schema::Object(report))) = schemas.get("Report").cloned() else {
            return;
        };
        let naming = |word: &str, schema: &str, other: &str, example: &str| {
            let mut report = report.clone();
            report.properties.shift_remove(other);
            report
                .properties
                .insert(word.into(), RefOr::Ref(Ref::from_schema_name(schema)));
            report.required.push(word.into());
            report.example =
                Some(json!({ word: example, "transaction_id": "4200001234202611200000000000", "amount": 1000 }));
            report
        };
        let either = OneOfBuilder::new()
            .item(naming("status", "Status", "trade_state", "succeeded"))
            .item(naming("trade_state", "TradeState", "status", "SUCCESS"))
            .description(report.description.clone());
        schemas.insert("Report".into(), either.into());
    }
}

/// The description as it is served.
pub fn document() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

static RENDERED: LazyLock<String> = LazyLock::new(|| {
    document()
        .to_json()
        .expect("a tree of texts and numbers always serialises")
});

pub(super) async fn get_document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(RENDERED.as_str())
}
