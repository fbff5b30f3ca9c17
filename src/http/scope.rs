//! Around every request: its id, its problem document, its line in the log, its count.
//!
//! A poll that goes well gets none of the first three: no id is made and no line is written for it.

use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody as _};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use actix_web::{Error, HttpMessage as _, HttpResponse, ResponseError as _};
use pin_project_lite::pin_project;

use super::Door;
use super::error::{ApiError, PROBLEM_JSON};
use super::fields::Fields;
use super::lane::{HeadClock, InProgress};
use super::limits::Allowance;
use super::request_id::{RequestId, request_id};
use super::routes::{self, STATUS};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Routes that are asked for every few seconds, or by every payer: they get no line in the log when all is well.
const QUIET: [&str; 7] = [
    STATUS,
    routes::SOCKET,
    routes::ECHO,
    routes::STOMP,
    routes::HEALTHZ,
    routes::READYZ,
    routes::METRICS,
];

fn is_quiet(route: &str) -> bool {
    QUIET.contains(&route) || routes::is_sockjs(route)
}

/// The middleware; see the module's head.
#[derive(Debug, Clone)]
pub struct RequestScope(pub Arc<Door>);

impl<S> Transform<S, ServiceRequest> for RequestScope
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Transform = Scoped<S>;
    type InitError = ();
    type Future = Ready<Result<Scoped<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        ready(Ok(Scoped {
            inner,
            door: Arc::clone(&self.0),
        }))
    }
}

/// The service that the middleware makes.
#[derive(Debug)]
pub struct Scoped<S> {
    inner: S,
    door: Arc<Door>,
}

impl<S> Service<ServiceRequest> for Scoped<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<BoxBody>, Error = Error>,
{
    type Response = ServiceResponse<BoxBody>;
    type Error = Error;
    type Future = ScopedFuture<S::Future>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&self, request: ServiceRequest) -> Self::Future {
        ScopedFuture {
            door: Arc::clone(&self.door),
            start: Instant::now(),
            in_progress: request.conn_data::<Rc<HeadClock>>().map(HeadClock::head_ends),
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The answer on its way.
    pub struct ScopedFuture<F> {
        door: Arc<Door>,
        start: Instant,
        in_progress: Option<InProgress>,
        #[pin]
        inner: F,
    }
}

impl<F> Future for ScopedFuture<F>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, Error>>,
{
    type Output = Result<ServiceResponse<BoxBody>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.inner.poll(context).map(|answer| {
            let response = finish(this.door, *this.start, answer?);
            Ok(match this.in_progress.take() {
                Some(in_progress) => response.map_body(|_, body| in_progress.until_end_of(body)),
                None => response,
            })
        })
    }
}

/// What the future's end does: the answer gets what only the whole request knows.
fn finish(door: &Door, start: Instant, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let mut response = frame_for_old_client(describe_problem(response));
    // Nobody should keep a connection to a process that is about to stop. (One that becomes a socket is told so on the socket.)
    if door.service.holds.is_retiring() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response
            .response_mut()
            .head_mut()
            .set_connection_type(ConnectionType::Close);
    }
    let counters = door.routes.of(response.request());
    counters.count(response.status(), start);
    if counters.route == STATUS {
        door.grant_to_page(&mut response);
    }
    let quiet = is_quiet(counters.route);
    let failed = response.response().error().is_some();
    if !quiet || failed {
        tag(door, &mut response);
    }
    if !quiet || (failed && is_worth_a_line(response.status())) {
        let id = request_id(response.request());
        log_request(
            &id,
            response.request().method(),
            counters.route,
            response.status(),
            start,
        );
    }
    response
}

/// Refusals by a limit come in floods; they are counted, and their lines would be the flood's second victim.
fn is_worth_a_line(failure: StatusCode) -> bool {
    failure != StatusCode::TOO_MANY_REQUESTS
}

impl Door {
    fn grant_to_page(&self, response: &mut ServiceResponse<BoxBody>) {
        let origins = &self.settings.cors_origins;
        let grant = origins.grant(response.request().headers());
        origins.write(grant, |name, value| {
            let value = HeaderValue::from_bytes(value).expect("origins were checked");
            response.headers_mut().insert(name.clone(), value);
        });
    }

    /// Counts a poll that was answered past actix, as the middleware counts the others.
    pub(super) fn count_poll(&self, code: StatusCode, start: Instant) {
        self.routes.polls.count(code, start);
    }

    /// The same for one that failed: with its problem document, its id, and its line in the log.
    pub(super) fn refuse_poll(
        &self,
        error: &ApiError,
        fields: &(impl Fields + ?Sized),
        start: Instant,
    ) -> (HttpResponse<()>, Vec<u8>) {
        let id = RequestId::given_or_new(fields);
        let mut response = error.error_response().drop_body();
        let body = write_problem(error, &id);
        response.headers_mut().insert(header::CONTENT_TYPE, PROBLEM_JSON);
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            response.headers_mut().insert(X_REQUEST_ID, value);
        }
        self.count_poll(response.status(), start);
        if is_worth_a_line(response.status()) {
            log_request(&id, &Method::GET, STATUS, response.status(), start);
        }
        (response, body)
    }
}

/// The request's id, and what is left of the merchant's quota.
fn tag(door: &Door, response: &mut ServiceResponse<BoxBody>) {
    let id = request_id(response.request());
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(X_REQUEST_ID, value);
    }
    let allowance = response.request().extensions_mut().remove::<Allowance>();
    if let Some(allowance) = allowance {
        door.merchant_limiter.write(allowance, |name, value| {
            let value = HeaderValue::from_bytes(value).expect("names and numbers make a header value");
            response.headers_mut().insert(name.clone(), value);
        });
    }
}

/// A client that speaks HTTP/1.0 (nginx does, unless it is told otherwise) cannot read chunks, and must not be sent any (RFC 9112
/// §6.1): the end of the connection ends an answer of unknown length.
fn frame_for_old_client(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    if response.request().version() < Version::HTTP_11 && response.response().body().size() == BodySize::Stream {
        let head = response.response_mut().head_mut();
        head.no_chunking(true);
        head.set_connection_type(ConnectionType::Close);
    }
    response
}

/// Writes the problem document of an error, and the cause of a failure into the log.
fn describe_problem(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let error = response.response().error();
    let Some(error) = error.and_then(|error| error.as_error::<ApiError>()) else {
        return response;
    };
    let body = write_problem(error, &request_id(response.request()));
    response.map_body(|head, _| {
        head.headers
            .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        head.headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        BoxBody::new(body)
    })
}

fn write_problem(error: &ApiError, id: &RequestId) -> Vec<u8> {
    if let Some(cause) = error.cause() {
        tracing::error!(request.id = %id.0, error.code = %error, cause = %cause, "request failed");
    }
    serde_json::to_vec(&error.problem(Some(id.0.as_ref().into()))).expect("texts and numbers always serialise")
}

/// One line for each request of a merchant, and for each other one that was answered with a problem. The route's pattern,
/// never the URL: a URL can hold a client secret, or whatever a stranger would like to see in a log.
fn log_request(id: &RequestId, method: &Method, route: &str, status: StatusCode, start: Instant) {
    tracing::info!(
        request.id = %id.0,
        http.method = %method,
        http.route = route,
        http.status = status.as_u16(),
        duration_ms = start.elapsed().as_secs_f64() * 1000.0,
        "request"
    );
}
