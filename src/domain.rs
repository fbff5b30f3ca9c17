//! What payquery knows about payments, and nothing else.
//!
//! Pure: no async, no I/O, no clock, no randomness; whoever calls hands those in. Imports nothing of the crate's other modules.

pub mod api_key;
pub mod client_secret;
pub mod decision;
pub mod document;
pub mod event;
#[cfg(test)]
mod fuzz;
pub mod idempotency;
pub mod listing;
pub mod log_cursor;
pub mod money;
pub mod order;
pub mod report;
pub mod status;
pub mod text;
pub mod time;
pub mod webhook;
