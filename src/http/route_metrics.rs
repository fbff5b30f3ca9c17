//! Requests counted by route and outcome.

use std::collections::HashMap;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, histogram};

use super::routes::{self, STATUS, UNMATCHED};

/// What a report by id is counted and logged as: it shares its path with the polls, and nothing else.
const REPORT: &str = "PUT /v1/orders/{id}/status";

/// Requests by route and outcome, and the time they took. The time of polls, and of the feed, is not taken: held ones would
/// drown the rest.
#[derive(Debug)]
pub struct RouteMetrics {
    routes: HashMap<&'static str, RouteCounters>,
    pub(super) polls: RouteCounters,
    /// The polls' path, with the method that is no poll.
    report: RouteCounters,
    unmatched: RouteCounters,
}

#[derive(Debug)]
pub(super) struct RouteCounters {
    pub(super) route: &'static str,
    outcomes: [Counter; 5],
    seconds: Option<Histogram>,
}

const OUTCOMES: [&str; 5] = ["success", "not_modified", "client_error", "limited", "server_error"];

impl RouteMetrics {
    pub fn new() -> Self {
        let routes = routes::table()
            .into_iter()
            .map(|route| (route.path, RouteCounters::new(route.path)));
        Self {
            routes: routes.collect(),
            polls: RouteCounters::new(STATUS),
            report: RouteCounters::new(REPORT),
            unmatched: RouteCounters::new(UNMATCHED),
        }
    }

    pub(super) fn of(&self, request: &HttpRequest) -> &RouteCounters {
        match request.match_name() {
            Some(STATUS) if request.method() == Method::PUT => &self.report,
            Some(STATUS) => &self.polls,
            Some(name) => self.routes.get(name).unwrap_or(&self.unmatched),
            None => &self.unmatched,
        }
    }
}

impl RouteCounters {
    fn new(route: &'static str) -> Self {
        let outcomes =
            OUTCOMES.map(|outcome| counter!("payquery_http_requests_total", "route" => route, "outcome" => outcome));
        let seconds = (![STATUS, routes::FEED].contains(&route) && !routes::is_sockjs(route))
            .then(|| histogram!("payquery_http_seconds", "route" => route));
        Self {
            route,
            outcomes,
            seconds,
        }
    }

    pub(super) fn count(&self, status: StatusCode, start: Instant) {
        let outcome = match status.as_u16() {
            429 => 3,
            500.. => 4,
            400.. => 2,
            304 => 1,
            _ => 0,
        };
        self.outcomes[outcome].increment(1);
        if let Some(seconds) = &self.seconds {
            seconds.record(start.elapsed());
        }
    }
}
