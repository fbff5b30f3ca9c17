//! One hot order: what opens it, its latest snapshot, and the bell for those who wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{Mutex, watch};

use super::Snapshot;
use crate::domain::client_secret::ClientSecret;
use crate::domain::order::{MerchantId, Order, OrderId};

/// See the module's head.
#[derive(Debug)]
pub struct HotOrder {
    pub id: OrderId,
    pub merchant_id: MerchantId,
    pub client_secret: ClientSecret,
    latest: watch::Sender<Arc<Snapshot>>,
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
            latest: watch::Sender::new(Arc::new(snapshot)),
            held: AtomicUsize::new(0),
            last_reading: Mutex::new(Reading {
                began_at: Instant::now(),
                failed_at: None,
            }),
        }
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.latest.borrow())
    }

    /// Moves to a newer snapshot and wakes the waiters; an older one, or the same again, changes nothing.
    pub(super) fn advance(&self, mut snapshot: Snapshot) {
        self.latest.send_if_modified(|latest| {
            let newer = snapshot.version > latest.version;
            if newer {
                snapshot.succeed(latest);
                *latest = Arc::new(snapshot);
            }
            newer
        });
    }

    /// Registers a waiter. Whatever changes from here on ends its [`Waiter::changed`].
    pub fn register(&self) -> Waiter {
        Waiter(self.latest.subscribe())
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
pub struct Waiter(watch::Receiver<Arc<Snapshot>>);

impl Waiter {
    /// The latest snapshot. A change after this read ends the next [`Waiter::changed`].
    pub fn read(&mut self) -> Arc<Snapshot> {
        Arc::clone(&self.0.borrow_and_update())
    }

    /// Ends when the snapshot is another than the one last read. A reason to read again, no more. May be dropped and called again.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The order went while somebody waited on it. Whoever holds a place holds the order, so this does not happen;
            // if it did, the wait would end with its time.
            std::future::pending::<()>().await;
        }
    }
}
