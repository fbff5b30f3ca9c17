//! Logs and metrics of the process.

use std::io::IsTerminal as _;

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// The filter is not one that tracing understands.
#[derive(Debug, thiserror::Error)]
#[error("PAYQUERY_LOG is not a log filter: {0:?}; try info, debug, or info,payquery::service=debug")]
pub struct LogFilterError(String);

/// What is left out, unless the filter names it: the database server's notices ("relation exists, skipping"), and what actix-http
/// calls an error of its own: each request or frame that cannot be read. Any stranger can send those, as many as it likes. And
/// what the client of RabbitMQ says at each try, and of each message that nobody wants: an outage has two lines of ours.
const NO_NEWS: &str = "sqlx::postgres::notice=warn,actix_http::h1=off,actix_http::ws=off,lapin=off";

/// Sends log lines to standard error, from here on and for the whole process.
pub fn start_logs(filter: &str, format: LogFormat) -> Result<(), LogFilterError> {
    // A word alone is a level. (tracing would take a mistyped one for the name of a module, and be silent.)
    let is_known = |directive: &str| directive.contains('=') || directive.trim().parse::<LevelFilter>().is_ok();
    let known = filter.split(',').all(is_known);
    let parsed = EnvFilter::try_new(format!("{NO_NEWS},{filter}")).ok();
    let filter = parsed
        .filter(|_| known)
        .ok_or_else(|| LogFilterError(filter.to_owned()))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // A second start in the same process (tests) keeps the first one's settings.
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}

/// The metrics of one service. Not global: two services in one process, as tests have them, count apart.
#[derive(Debug)]
pub struct Metrics {
    recorder: PrometheusRecorder,
}

/// Upper bounds of the buckets in seconds, from a poll's microseconds to an outage.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Jobs in a batch, up to a whole one.
const BATCH_SIZES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

impl Metrics {
    pub fn new() -> Self {
        let recorder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &BUCKETS)
            .and_then(|builder| {
                builder.set_buckets_for_metric(Matcher::Full("payquery_batch_size".into()), &BATCH_SIZES)
            })
            .expect("there are buckets")
            .build_recorder();
        let metrics = Self { recorder };
        metrics.record(describe);
        metrics
    }

    /// Whatever looks up its handles within `build` counts here.
    pub fn record<T>(&self, build: impl FnOnce() -> T) -> T {
        metrics::with_local_recorder(&self.recorder, build)
    }

    pub fn handle(&self) -> PrometheusHandle {
        self.recorder.handle()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn describe() {
    describe_counter!("payquery_polls_total", "Requests for a status, by how they ended");
    describe_counter!("payquery_http_requests_total", "Requests, by route and outcome");
    describe_histogram!(
        "payquery_http_seconds",
        Unit::Seconds,
        "Time to answer, by route; requests for a status and for the event feed are not in it"
    );
    describe_histogram!(
        "payquery_pay_to_seen_seconds",
        Unit::Seconds,
        "From the commit of a final status to the first answer that carried it"
    );
    describe_histogram!(
        "payquery_database_seconds",
        Unit::Seconds,
        "Time of statements and transactions, by kind"
    );
    describe_histogram!(
        "payquery_batch_size",
        "Reports or creations that were carried out with one statement"
    );
    describe_counter!("payquery_database_errors_total", "Statements that failed");
    describe_counter!("payquery_hub_hits_total", "Requests whose order was in memory");
    describe_counter!("payquery_hub_misses_total", "Reads of an order that was not in memory");
    describe_gauge!("payquery_hub_orders", "Orders in memory");
    describe_gauge!(
        "payquery_held_requests",
        "Places taken now: held requests, and orders that streams follow"
    );
    describe_gauge!("payquery_streams", "Streams open now, by transport");
    describe_counter!(
        "payquery_stream_documents_total",
        "Documents sent over streams, by transport"
    );
    describe_counter!(
        "payquery_event_feed_requests_total",
        "Requests for the merchants' event feed, by how they ended"
    );
    describe_counter!(
        "payquery_event_feed_events_total",
        "Events told by the merchants' event feed, by format"
    );
    describe_gauge!("payquery_limiter_keys", "Rate limiter keys in memory, by policy");
    describe_gauge!(
        "payquery_feed_lag_seconds",
        Unit::Seconds,
        "Time since the feed last knew everything"
    );
    describe_counter!(
        "payquery_feed_rereads_total",
        "Hot orders read again because the feed told of a change"
    );
    describe_counter!(
        "payquery_feed_resyncs_total",
        "Times that all hot orders were read again"
    );
    describe_counter!(
        "payquery_rate_limited_total",
        "Requests refused by a rate limit, by policy"
    );
    describe_counter!(
        "payquery_orders_expired_total",
        "Orders closed because their time was up"
    );
    describe_delivery();
}

/// What goes out to the merchants' other systems, and comes in from them.
fn describe_delivery() {
    describe_gauge!(
        "payquery_delivery_lag_seconds",
        Unit::Seconds,
        "Age of the oldest event that is not dealt with yet, by channel"
    );
    describe_gauge!(
        "payquery_delivery_backlog",
        "Events that are not delivered yet, by channel"
    );
    describe_gauge!(
        "payquery_delivery_oldest_seconds",
        Unit::Seconds,
        "Age of the oldest delivery that is neither done nor given up, by channel"
    );
    describe_counter!(
        "payquery_delivery_failures_total",
        "Tries to deliver that failed, by channel"
    );
    describe_counter!(
        "payquery_delivery_gaps_total",
        "Times that events were dropped by their age before they were dealt with, by channel"
    );
    describe_counter!("payquery_webhook_attempts_total", "Attempts at webhooks, by outcome");
    describe_gauge!(
        "payquery_webhook_endpoints_disabled",
        "Endpoints that the service disabled, and nobody enabled since"
    );
    describe_counter!(
        "payquery_rabbitmq_events_total",
        "Events sent to RabbitMQ: confirmed, of those returned because no queue is bound, or nacked"
    );
    describe_gauge!(
        "payquery_rabbitmq_connected",
        "1 while there is a connection to RabbitMQ, by what it is for"
    );
    describe_counter!(
        "payquery_rabbitmq_updates_total",
        "Messages with status reports: applied, dead-lettered, or tried again"
    );
    describe_counter!(
        "payquery_rabbitmq_intake_failures_total",
        "Times that taking messages from RabbitMQ failed and was begun anew"
    );
}
