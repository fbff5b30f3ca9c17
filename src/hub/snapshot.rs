//! An order's document at one version, rendered once for all who ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

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
    status: Status,
    /// The commit that made the order final; None for an order that was final when it was first read.
    final_commit: Option<Arc<FinalCommit>>,
}

/// A payer waits for this one. Shared by all versions of the order that have the same final status.
#[derive(Debug)]
struct FinalCommit {
    at: Timestamp,
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
            status: order.status,
            final_commit: None,
        }
    }

    /// The order as it was committed after this process had read it last: by this process a moment ago, or by another, of
    /// which the order's own time tells when.
    pub fn changed(order: &Order) -> Self {
        let commit = || {
            Arc::new(FinalCommit {
                at: order.updated_at,
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

    /// For the first answer that carries a final status: the time since its commit ("pay-to-seen"), to the millisecond. None
    /// for every other. `now` is asked for only then.
    pub fn pay_to_seen(&self, now: impl FnOnce() -> Timestamp) -> Option<Duration> {
        let FinalCommit { at, seen } = &**self.final_commit.as_ref()?;
        // Read before written: all but the first find it set, and must not fight over the cache line.
        let first = !seen.load(Ordering::Relaxed) && !seen.swap(true, Ordering::Relaxed);
        // A committing replica whose clock is ahead counts as none at all.
        first.then(|| now().since(*at).to_std().unwrap_or_default())
    }
}
