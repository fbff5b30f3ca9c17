//! Tests through the real door: the real application on a real port, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod cli;
mod documents;
mod house;
mod polling;
mod private_postgres;
mod process;
mod reporting_faults;
mod support;
