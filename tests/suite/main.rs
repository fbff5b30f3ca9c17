//! Tests through the real door: the real application on a real port, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod authentication;
mod bad_fields;
mod bad_json;
mod bad_requests;
mod body_transfers;
mod cli;
mod creating;
mod description;
mod house;
mod idempotency_keys;
mod junk;
mod listing;
mod many_statuses;
mod metadata;
mod order_log;
mod order_paths;
mod outage;
mod polling;
mod private_postgres;
mod process;
mod reading;
mod replicas;
mod report_preconditions;
mod reporting_faults;
mod reports;
mod reports_at_once;
mod retention;
mod support;
mod tenancy;
mod transitions;
mod unreadable_rows;
