//! SockJS (protocol 0.3.3) under `/ws`: for browsers and networks where a WebSocket does not come through.

pub mod frames;
