//! The door for streams.

pub mod sockjs;
pub mod stomp;
