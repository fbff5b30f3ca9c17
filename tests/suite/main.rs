//! Tests through the real door: the real application on a real port, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod attacks;
mod polling;
mod private_postgres;
mod replicas;
mod reporting_faults;
mod retention;
mod retiring;
mod support;
mod with_postgres;
