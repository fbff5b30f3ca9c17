//! One hot order: what opens it, its latest snapshot, and the bell for those who wait.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::RwLock;
use tokio::sync::{Mutex, Notify};

use super::Snapshot;
use crate::domain::client_secret::ClientSecret;
use crate::domain::order::{MerchantId, Order, OrderId, Version};

/// See the module's head.
#[derive(Debug)]
pub struct HotOrder {
    pub id: OrderId,
    pub merchant_id: MerchantId,
    pub client_secret: ClientSecret,
    latest: RwLock<Arc<Snapshot>>,
    /// Rings after `latest` has changed. (A `watch` channel would do both, and take three times the memory.)
    bell: Notify,
    held: AtomicUsize,
    /// Locked while it is being read again.
    pub(super) last_reading: Mutex<Reading>,
}

/// Readings of a hot order from the database.
#[derive(Debug)]
pub(super) struct Reading {
    /// When the last one that succeeded began: it found all that was committed before.
    pub(super) began_at: Instant,
    /// When the last one that failed had failed.
    pub(super) failed_at: Option<Instant>,
}

impl HotOrder {
    pub(super) fn new(order: &Order, snapshot: Snapshot) -> Self {
        Self {
            id: order.id,
            merchant_id: order.merchant_id,
            client_secret: order.client_secret.clone(),
            latest: RwLock::new(Arc::new(snapshot)),
            bell: Notify::new(),
            held: AtomicUsize::new(0),
            last_reading: Mutex::new(Reading {
                began_at: Instant::now(),
                failed_at: None,
            }),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.read())
    }

    /// The version that the order stands at, as far as is known here.
    pub fn version(&self) -> Version {
        self.latest.read().version
    }

    /// Moves to a newer snapshot and wakes the waiters; an older one, or the same again, changes nothing.
    pub(super) fn advance(&self, mut snapshot: Snapshot) {
        {
            let mut latest = self.latest.write();
            if snapshot.version <= latest.version {
                return;
            }
            snapshot.succeed(&latest);
            *latest = Arc::new(snapshot);
        }
        self.bell.notify_waiters();
    }

    /// Registers a waiter. Whatever changes from here on ends its [`Waiter::changed`].
    pub fn register(self: &Arc<Self>) -> Waiter {
        Waiter {
            seen: self.version(),
            hot: Arc::clone(self),
        }
    }

    /// Takes one of `max` places for held requests of this order; false when all are taken.
    pub fn take_place(&self, max: usize) -> bool {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < max).then_some(held + 1)
            })
            .is_ok()
    }

    /// Gives a place back.
    pub fn free_place(&self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A registered waiter: register, then read, then wait, then look again.
#[derive(Debug)]
pub struct Waiter {
    hot: Arc<HotOrder>,
    /// Versions only grow, so any other one is a change.
    seen: Version,
}

impl Waiter {
    /// The latest snapshot. A change after this read ends the next [`Waiter::changed`].
    pub fn read(&mut self) -> Arc<Snapshot> {
        let latest = self.hot.snapshot();
        self.seen = latest.version;
        latest
    }

    /// Ends when the snapshot is another than the one last read. A reason to read again, no more. May be dropped and called again.
    pub async fn changed(&mut self) {
        let mut rung = pin!(self.hot.bell.notified());
        // Listening before looking: a change after the look rings, one before it is seen.
        rung.as_mut().enable();
        if self.hot.version() == self.seen {
            rung.await;
        }
    }
}
