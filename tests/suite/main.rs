//! Tests through the real door: the real application on a real port, each test with a database of its own.
#![allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]

mod long_poll;
mod long_poll_time;
mod polling;
mod preconditions;
mod private_postgres;
mod status_document;
mod support;
