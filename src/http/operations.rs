//! What operators and balancers ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Door;
use super::error::ApiError;
use crate::db::DbError;
use crate::feed::Trust;

/// How long the database may take to answer before the service counts as not ready.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// For how long its answer counts for whoever asks: strangers that reach `/readyz` must not reach the database through it.
const PING_LIFETIME: Duration = Duration::from_millis(200);

/// What the database answered last. One question at a time; whoever comes meanwhile waits for the same answer.
#[derive(Debug, Default)]
pub(super) struct Readiness {
    last: Mutex<Option<Ping>>,
}

#[derive(Debug)]
struct Ping {
    at: Instant,
    answer: Result<(), Arc<DbError>>,
}

impl Door {
    async fn ask_database(&self) -> Result<(), Arc<DbError>> {
        let no_answer = |_| Arc::new(DbError::Unavailable(sqlx::Error::PoolTimedOut));
        let mut last = timeout(PING_TIMEOUT, self.readiness.last.lock())
            .await
            .map_err(no_answer)?;
        if let Some(ping) = &*last
            && ping.at.elapsed() < PING_LIFETIME
            && self.service.feed_health.trust() == Trust::Live
        {
            return ping.answer.clone();
        }
        let answer = timeout(PING_TIMEOUT, self.service.ping()).await;
        let answer = answer.map_err(no_answer).and_then(|answer| answer.map_err(Arc::new));
        *last = Some(Ping {
            at: Instant::now(),
            answer: answer.clone(),
        });
        answer
    }
}

/// How the service is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operator",
    operation_id = "getHealth",
    summary = "Is the process alive?",
    description = "Says nothing of the database: a restart would not bring it back. For liveness probes.",
    responses((status = 200, description = "It is", body = Health))
)]
pub async fn get_health() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Health { status: "ok" })
}

#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operator",
    operation_id = "getReadiness",
    summary = "Should requests be sent here?",
    description = "503 while the database does not answer, and from the moment the process was told to stop. For balancers.",
    responses(
        (status = 200, description = "Yes", body = Health),
        (status = 503, response = super::openapi::Unavailable),
    )
)]
pub async fn get_readiness(door: web::Data<Door>) -> Result<HttpResponse, ApiError> {
    if door.service.holds.is_retiring() {
        return Err(ApiError::Stopping);
    }
    if door.service.feed_health.trust() == Trust::Behind {
        return Err(ApiError::Behind);
    }
    door.ask_database().await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(Health { status: "ready" }))
}

#[utoipa::path(
    get,
    path = "/metrics",
    tag = "operator",
    operation_id = "getMetrics",
    summary = "Metrics in the text format of Prometheus",
    description = "Not meant for the public: let the balancer keep it inside.",
    responses((status = 200, description = "The metrics", body = String, content_type = "text/plain; version=0.0.4"))
)]
pub async fn get_metrics(door: web::Data<Door>) -> HttpResponse {
    door.sizes.hot_orders.set(door.service.hub.len() as f64);
    let text = PrometheusHandle::render(&door.prometheus);
    HttpResponse::Ok()
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text)
}
