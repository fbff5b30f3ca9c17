//! An order's document at one version, rendered once for all who ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::domain::document::StatusDocument;
use crate::domain::order::{Order, Version};
use crate::domain::status::Status;
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
    status: Status,
    /// The commit that made the order final, if it was this process's; None for what was read from the database.
    final_commit: Option<Arc<FinalCommit>>,
}

/// A payer waits for this one. Shared by all versions of the order that have the same final status.
#[derive(Debug)]
struct FinalCommit {
    at: Instant,
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
            status: order.status,
            final_commit: None,
        }
    }

    /// The order as this process committed it a moment ago.
    pub fn just_committed(order: &Order) -> Self {
        let commit = || {
            Arc::new(FinalCommit {
                at: Instant::now(),
                seen: AtomicBool::new(false),
            })
        };
        Self {
            final_commit: order.status.is_final().then(commit),
            ..Self::stored(order)
        }
    }

    /// Takes the place of an older snapshot. What is added to an order that is final already (a transaction's number, a
    /// partial refund) is not what its payer waits for.
    pub(super) fn succeed(&mut self, older: &Self) {
        if older.is_final && older.status == self.status {
            self.final_commit.clone_from(&older.final_commit);
        }
    }

    /// For the first answer that carries a final status: the time since its commit ("pay-to-seen"). None for every other.
    pub fn pay_to_seen(&self) -> Option<Duration> {
        let FinalCommit { at, seen } = &**self.final_commit.as_ref()?;
        // Read before written: all but the first find it set, and must not fight over the cache line.
        let first = !seen.load(Ordering::Relaxed) && !seen.swap(true, Ordering::Relaxed);
        first.then(|| at.elapsed())
    }
}
