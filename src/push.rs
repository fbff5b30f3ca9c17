//! The door for streams: whoever can keep a connection open gets the same document, with the same versions, the moment it
//! changes. One file for each protocol; what they share stands in `gate` (who may follow what), `socket` (WebSocket frames
//! with their limits and their heartbeat) and `stream_metrics`.
//!
//! What stays true:
//! - Every stream waits through `service::follow`, and has a place in the same account as held requests for as long as it
//!   follows anything.
//! - Opening, quotas and refusals are the polls' own: [`Gate`] is implemented by the door for requests.
//! - Nothing waits without a limit, and nothing grows with what a client sends or leaves unread.
//! - When the process stops, every stream is ended in its protocol's own polite way.

pub mod echo;
pub mod gate;
pub mod socket;
pub mod sockjs;
pub mod sse;
pub mod stomp;
mod stream_metrics;
mod wire;
pub mod ws;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::hub::Hub;
use crate::service::Service;
use crate::service::wait::Holds;
use echo::Echoes;
pub use gate::Gate;
use stream_metrics::StreamMetrics;
pub use stream_metrics::{OpenStream, Transport};

/// How streams are kept; what each means is said where the configuration is documented.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Silence on a stream after which something is sent, or the client asked whether it is still there.
    pub heartbeat: Duration,
    /// The longest that a stream of events lasts before its client is to come again.
    pub lifetime: Duration,
    /// The most SockJS sessions over HTTP at once.
    pub max_sessions: usize,
    /// Where browsers find the SockJS client's script, for its iframe page; empty when there is none.
    pub sockjs_client: String,
}

/// All that streams need; shared by every one of them.
#[derive(Debug)]
pub struct Streams {
    pub gate: Arc<dyn Gate>,
    pub holds: Arc<Holds>,
    pub hub: Arc<Hub>,
    pub settings: Settings,
    sockjs: Arc<sockjs::Sessions>,
    metrics: StreamMetrics,
    /// The streams that are open, whether they follow anything or not.
    opened: TaskTracker,
    echoes: Echoes,
}

impl Streams {
    pub fn new(gate: Arc<dyn Gate>, service: &Service, settings: Settings) -> Self {
        Self {
            gate,
            holds: Arc::clone(&service.holds),
            hub: Arc::clone(&service.hub),
            sockjs: sockjs::Sessions::new(settings.max_sessions),
            settings,
            metrics: StreamMetrics::new(),
            opened: TaskTracker::new(),
            echoes: Echoes::default(),
        }
    }

    /// Counts a stream in for as long as the value is kept. To be asked for each thing that it sends, too.
    pub fn open(self: &Arc<Self>, transport: Transport) -> OpenStream {
        OpenStream::new(Arc::clone(self), transport)
    }

    /// Ends when no stream is open (any more). To be asked when the process is stopping: then each ends in its time.
    pub async fn ended(&self) {
        self.opened.close();
        self.opened.wait().await;
    }
}
