//! The door for requests: what HTTP says is translated to the service's journeys, and their results to HTTP.
//!
//! `routes` has every URL on one screen; there is one file for each resource; `error` is the only place that knows which
//! status code a failure has.

mod accept;
mod auth;
#[doc(hidden)]
pub mod bench_support;
mod body;
mod client_address;
mod conditional;
mod cors;
mod demo;
mod desk;
mod error;
mod events;
mod feed;
mod fields;
#[cfg(test)]
mod fuzz;
mod gate;
mod lane;
mod limits;
mod list;
mod openapi;
mod operations;
mod orders;
mod pace;
mod poll_metrics;
mod prefer;
mod question;
mod report;
mod request_id;
mod route_metrics;
pub mod routes;
mod scope;
mod status;
mod statuses;
mod streams;
mod webhook_deliveries;
mod webhook_endpoints;
mod webhook_responses;
mod wire;

use std::sync::Arc;

use ipnet::IpNet;
use metrics::{Gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::domain::order::MerchantId;
use crate::service::Service;
use demo::Demo;
use feed::FeedMetrics;
use limits::Limiter;
use operations::Readiness;
use pace::Pace;
use poll_metrics::PollMetrics;
use route_metrics::RouteMetrics;

pub use desk::MessageDesk;
pub use lane::{HEAD_LIMIT, IDLE_LIMIT, Lane, Replay};
pub use limits::Rate;
pub use openapi::document as openapi_document;
pub use scope::RequestScope;

/// The largest request body, in bytes: sixteen times what a creation with full metadata takes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// How the door is set up; what each means is said where the configuration is documented.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The longest hold, in seconds.
    pub max_wait: u32,
    pub poll_rate: Option<Rate>,
    pub merchant_rate: Option<Rate>,
    pub auth_failure_rate: Option<Rate>,
    pub trusted_proxies: Vec<IpNet>,
    pub cors_origins: CorsOrigins,
    /// How many processors this process may use at once; its load is measured against them.
    pub processors: usize,
    /// For whom the demo's pages act; without one there are no such pages.
    pub demo_merchant: Option<MerchantId>,
}

/// Which web pages may read a status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    Any,
    Only(Vec<String>),
}

/// All that handlers need; shared by every request.
#[derive(Debug)]
pub struct Door {
    pub service: Arc<Service>,
    settings: Settings,
    poll_limiter: Limiter,
    merchant_limiter: Limiter,
    auth_failure_limiter: Limiter,
    key_lookup_limiter: Limiter,
    pace: Pace,
    polls: PollMetrics,
    feed: FeedMetrics,
    routes: RouteMetrics,
    demo: Option<Demo>,
    sizes: Sizes,
    readiness: Readiness,
    prometheus: PrometheusHandle,
}

/// How much is kept in memory; set when it is looked at.
#[derive(Debug)]
struct Sizes {
    hot_orders: Gauge,
    poll_keys: Gauge,
    merchant_keys: Gauge,
    failure_keys: Gauge,
}

impl Door {
    pub fn new(service: Arc<Service>, settings: Settings, prometheus: PrometheusHandle) -> Self {
        Self {
            service,
            poll_limiter: Limiter::new("poll", settings.poll_rate),
            merchant_limiter: Limiter::new("merchant", settings.merchant_rate),
            auth_failure_limiter: Limiter::new("authentication", settings.auth_failure_rate),
            key_lookup_limiter: Limiter::new("key-lookup", settings.auth_failure_rate.map(Rate::tenfold)),
            pace: Pace::new(settings.processors),
            polls: PollMetrics::new(),
            feed: FeedMetrics::new(),
            routes: RouteMetrics::new(),
            demo: settings.demo_merchant.map(Demo::new),
            sizes: Sizes {
                hot_orders: gauge!("payquery_hub_orders"),
                poll_keys: gauge!("payquery_limiter_keys", "policy" => "poll"),
                merchant_keys: gauge!("payquery_limiter_keys", "policy" => "merchant"),
                failure_keys: gauge!("payquery_limiter_keys", "policy" => "authentication"),
            },
            readiness: Readiness::default(),
            prometheus,
            settings,
        }
    }

    /// What is to be done every second: measures the load, forgets limiter keys that are back at full quota.
    pub fn keep_house(&self) {
        self.pace.sample(self.service.holds.occupancy_percent());
        self.service.feed_health.measure();
        self.sizes.poll_keys.set(self.poll_limiter.drop_idle_keys() as f64);
        self.sizes
            .merchant_keys
            .set(self.merchant_limiter.drop_idle_keys() as f64);
        self.key_lookup_limiter.drop_idle_keys();
        if let Some(demo) = &self.demo {
            demo.drop_idle_keys();
        }
        self.sizes
            .failure_keys
            .set(self.auth_failure_limiter.drop_idle_keys() as f64);
    }
}
