//! What became of the streams. Every handle is looked up once, at the start: counting costs one addition.

use std::sync::Arc;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::Streams;
use crate::hub::Snapshot;
use crate::service::now;

/// By which transport a stream goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Sse,
    WebSocket,
    Echo,
    Stomp,
    SockJs,
}

const TRANSPORTS: [(Transport, &str); 5] = [
    (Transport::Sse, "sse"),
    (Transport::WebSocket, "websocket"),
    (Transport::Echo, "echo"),
    (Transport::Stomp, "stomp"),
    (Transport::SockJs, "sockjs"),
];

/// See the module's head.
#[derive(Debug)]
pub(super) struct StreamMetrics {
    transports: [TransportMetrics; TRANSPORTS.len()],
    pay_to_seen: Histogram,
}

#[derive(Debug)]
struct TransportMetrics {
    open: Gauge,
    told: Counter,
}

impl StreamMetrics {
    pub(super) fn new() -> Self {
        Self {
            transports: TRANSPORTS.map(|(_, name)| TransportMetrics {
                open: gauge!("payquery_streams", "transport" => name),
                told: counter!("payquery_stream_documents_total", "transport" => name),
            }),
            pay_to_seen: histogram!("payquery_pay_to_seen_seconds"),
        }
    }
}

/// One open stream: counted while it is kept.
#[derive(Debug)]
pub struct OpenStream {
    streams: Arc<Streams>,
    transport: Transport,
    /// A stop waits for it.
    _counted: TaskTrackerToken,
}

impl OpenStream {
    pub(super) fn new(streams: Arc<Streams>, transport: Transport) -> Self {
        let open = Self {
            _counted: streams.opened.token(),
            streams,
            transport,
        };
        open.metrics().open.increment(1);
        open
    }

    /// Counts a document that is sent to a payer now, and measures pay-to-seen as polls do.
    pub fn count_told(&self, snapshot: &Snapshot) {
        self.count_sent();
        if let Some(latency) = snapshot.pay_to_seen(now) {
            self.streams.metrics.pay_to_seen.record(latency);
        }
    }

    /// Counts a document that is sent to somebody who is not waiting to pay.
    pub fn count_sent(&self) {
        self.metrics().told.increment(1);
    }

    fn metrics(&self) -> &TransportMetrics {
        &self.streams.metrics.transports[self.transport as usize]
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics().open.decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_transport_is_counted_under_its_own_name() {
        for (at, (transport, _)) in TRANSPORTS.into_iter().enumerate() {
            assert_eq!(transport as usize, at);
        }
    }
}
