//! Tests through the real door: the real application on a real port, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]
// Metrics are floating-point numbers that count; subtracting one `Instant` from a later one is what tests of time do.
#![allow(clippy::float_cmp, clippy::unchecked_time_subtraction)]

mod client_addresses;
mod cors;
mod drain;
mod expiry;
mod holds;
mod hot_orders;
mod log_lines;
mod long_poll;
mod long_poll_time;
mod pace;
mod poll_metrics;
mod polling;
mod preconditions;
mod private_postgres;
mod rate_limits;
mod refusals;
mod status_document;
mod support;
mod wake_ups;
