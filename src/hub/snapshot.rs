//! An order's document at one version, rendered once for all who ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::domain::document::StatusDocument;
use crate::domain::order::{Order, Version};
use crate::domain::time::Timestamp;

/// See the module's head.
#[derive(Debug)]
pub struct Snapshot {
    pub version: Version,
    /// The order is answered; a poller stops here.
    pub is_final: bool,
    pub created_at: Timestamp,
    /// The status document as JSON.
    pub body: Bytes,
    /// The version as a strong entity tag, quotes included.
    pub etag: Bytes,
    /// When a final status was committed by this process; None for what was read from the database.
    committed_at: Option<Instant>,
    seen: AtomicBool,
}

impl Snapshot {
    /// The order as it was read from the database.
    pub fn stored(order: &Order) -> Self {
        Self {
            version: order.version,
            is_final: order.status.is_final(),
            created_at: order.created_at,
            body: StatusDocument::of(order).render().into(),
            etag: format!("\"{}\"", order.version).into(),
            committed_at: None,
            seen: AtomicBool::new(false),
        }
    }

    /// The order as this process committed it a moment ago.
    pub fn just_committed(order: &Order) -> Self {
        Self {
            committed_at: order.status.is_final().then(Instant::now),
            ..Self::stored(order)
        }
    }

    /// For the first answer that carries a final status: the time since its commit ("pay-to-seen"). None for every other.
    pub fn pay_to_seen(&self) -> Option<Duration> {
        let committed_at = self.committed_at?;
        // Read before written: all but the first find it set, and must not fight over the cache line.
        let first = !self.seen.load(Ordering::Relaxed) && !self.seen.swap(true, Ordering::Relaxed);
        first.then(|| committed_at.elapsed())
    }
}
