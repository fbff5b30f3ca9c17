//! What operators and balancers ask: `/healthz`, `/readyz`, `/metrics`.

use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use super::Door;
use super::error::ApiError;
use crate::db::DbError;
use crate::feed::Trust;

/// How long the database may take to answer before the service counts as not ready.
const PING_TIMEOUT: Duration = Duration::from_secs(2);

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
    let ping = tokio::time::timeout(PING_TIMEOUT, door.service.ping());
    ping.await
        .unwrap_or_else(|_| Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)))?;
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
