//! The hub: the hot orders of this process, each with its latest document, shared by all who poll it and all who wait on it.
//!
//! What stays true in it:
//! - An order is here once, and its snapshot only ever moves to a higher version.
//! - A change that is published while the order is being read from the database is not lost: the reader finds it in the slot.
//! - An entry that anyone holds is not dropped, so a waiter is always found by the change it waits for.
//! - At most `capacity` orders, and those beyond it that somebody holds at this moment.
//! - Locks are held for a look-up or an insertion, never across an await.

mod clock;
mod followers;
mod hot_order;
mod news;
mod snapshot;

pub use followers::{Follower, Missed};
pub use hot_order::{HotOrder, Waiter};
pub use news::{Listener, MerchantListener, News};
pub use snapshot::Snapshot;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Instant;

use metrics::{Counter, counter};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::db::DbError;
use crate::domain::order::{Order, OrderId, Version};
use clock::Clock;
use followers::Followers;

/// What a first look at an order came to: the order, nothing there, or a database that did not answer.
pub type Loaded = Result<Option<Arc<HotOrder>>, Arc<DbError>>;

/// See the module's head.
#[derive(Debug)]
pub struct Hub {
    shards: Box<[Mutex<Clock<Slot>>]>,
    hasher: RandomState,
    followers: Followers,
    /// Who waits for the log to grow.
    pub news: Arc<News>,
    /// Where reads from the database run: a reader that hangs up does not end a read that others wait for.
    runtime: Handle,
    hits: Counter,
    misses: Counter,
}

#[derive(Debug)]
enum Slot {
    Hot(Arc<HotOrder>),
    Loading(Loading),
}

/// An order that is being read from the database.
#[derive(Debug)]
struct Loading {
    done: watch::Receiver<Option<Loaded>>,
    /// The newest state that was published since the read began.
    overtaken_by: Option<Arc<HotOrder>>,
}

/// Enough that threads rarely meet at one, and few enough that a small capacity is still shared out fairly.
const SHARDS: usize = 64;

impl Hub {
    /// A hub for up to about `capacity` orders. Must be called within the runtime that is to read from the database.
    pub fn new(capacity: usize) -> Arc<Self> {
        let shard_capacity = capacity.div_ceil(SHARDS).max(1);
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| Mutex::new(Clock::new(shard_capacity))).collect(),
            hasher: RandomState::new(),
            followers: Followers::default(),
            news: Arc::default(),
            runtime: Handle::current(),
            hits: counter!("payquery_hub_hits_total"),
            misses: counter!("payquery_hub_misses_total"),
        })
    }

    /// The order, if it is hot.
    pub fn get(&self, id: OrderId) -> Option<Arc<HotOrder>> {
        let mut shard = self.shard(id).lock();
        match shard.touch(&id) {
            Some(Slot::Hot(hot)) => {
                let hot = Arc::clone(hot);
                drop(shard);
                self.hits.increment(1);
                Some(hot)
            }
            _ => None,
        }
    }

    /// The same without counting as asked for.
    pub fn peek(&self, id: OrderId) -> Option<Arc<HotOrder>> {
        match self.shard(id).lock().get_mut(&id) {
            Some(Slot::Hot(hot)) => Some(Arc::clone(hot)),
            _ => None,
        }
    }

    /// Whether the order is hot.
    pub fn has(&self, id: OrderId) -> bool {
        self.peek(id).is_some()
    }

    /// The order, hot or read by `load`. However many ask at once, it is read once.
    pub async fn get_or_load<F, R>(self: &Arc<Self>, id: OrderId, load: F) -> Loaded
    where
        F: FnOnce() -> R,
        R: Future<Output = Result<Option<Order>, DbError>> + Send + 'static,
    {
        let mut done = {
            let mut shard = self.shard(id).lock();
            match shard.touch(&id) {
                Some(Slot::Hot(hot)) => return Ok(Some(Arc::clone(hot))),
                Some(Slot::Loading(loading)) => loading.done.clone(),
                None => {
                    let (report, done) = watch::channel(None);
                    // Registered before the read begins: what is published from here on is found in the slot.
                    shard.insert(
                        id,
                        Slot::Loading(Loading {
                            done: done.clone(),
                            overtaken_by: None,
                        }),
                        Slot::is_idle,
                    );
                    let loader = Loader {
                        hub: Arc::clone(self),
                        id,
                        report,
                    };
                    self.runtime.spawn(loader.run(load()));
                    self.misses.increment(1);
                    done
                }
            }
        };
        match done.wait_for(Option::is_some).await {
            Ok(loaded) => loaded.clone().expect("waited until there is one"),
            // The loader reports before it goes, unless the process is stopping.
            Err(_) => Err(Arc::new(DbError::Unavailable(sqlx::Error::WorkerCrashed))),
        }
    }

    /// Tells the hub of a committed state. Whoever waits on the order is woken; an order that nobody asked for is not kept.
    pub fn publish(&self, order: &Order) {
        let mut shard = self.shard(order.id).lock();
        match shard.get_mut(&order.id) {
            Some(Slot::Hot(hot)) => {
                let hot = Arc::clone(hot);
                drop(shard);
                // What is read is published, too, and is mostly known: nothing is rendered for that.
                if order.version > hot.version() {
                    hot.advance(Snapshot::changed(order));
                }
            }
            Some(Slot::Loading(loading)) => match &loading.overtaken_by {
                Some(hot) => hot.advance(Snapshot::changed(order)),
                None => loading.overtaken_by = Some(Arc::new(HotOrder::new(order, Snapshot::changed(order)))),
            },
            None => {}
        }
    }

    /// Tells the hub of orders that were read.
    pub fn publish_all<'a>(&self, orders: impl IntoIterator<Item = &'a Order>) {
        for order in orders {
            self.publish(order);
        }
    }

    /// Whether the hub has this order, or is reading it, and may not have seen that version yet.
    pub fn lacks(&self, id: OrderId, version: Version) -> bool {
        match self.shard(id).lock().get_mut(&id) {
            Some(Slot::Hot(hot)) => hot.version() < version,
            Some(Slot::Loading(_)) => true,
            None => false,
        }
    }

    /// The orders that are hot or being read.
    pub fn ids(&self) -> Vec<OrderId> {
        self.shards.iter().flat_map(|shard| shard.lock().ids()).collect()
    }

    /// Reads a hot order again. Of many who ask at once one reads, and the others take what it found; so too when it found that
    /// the database does not answer, or they would stand in line for a failure each.
    pub async fn refresh<R>(&self, hot: &HotOrder, read: impl FnOnce() -> R) -> Result<(), DbError>
    where
        R: Future<Output = Result<Option<Order>, DbError>>,
    {
        let asked_at = Instant::now();
        let mut last = hot.last_reading.lock().await;
        if last.began_at >= asked_at {
            return Ok(());
        }
        if last.failed_at.is_some_and(|failed_at| failed_at >= asked_at) {
            return Err(DbError::Unavailable(sqlx::Error::PoolTimedOut));
        }
        let began_at = Instant::now();
        match read().await {
            Ok(order) => {
                if let Some(order) = order {
                    self.publish(&order);
                }
                last.began_at = began_at;
                Ok(())
            }
            Err(error) => {
                last.failed_at = Some(Instant::now());
                Err(error)
            }
        }
    }

    /// How many orders are hot.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, id: OrderId) -> &Mutex<Clock<Slot>> {
        let hash = self.hasher.hash_one(id);
        &self.shards[usize::try_from(hash % SHARDS as u64).expect("less than the number of shards")]
    }
}

impl Slot {
    /// Nobody holds the order: under the shard's lock a count of one means that only the shard has it.
    fn is_idle(&self) -> bool {
        matches!(self, Self::Hot(hot) if Arc::strong_count(hot) == 1)
    }
}

/// Reads one order and puts it into its slot. Dropped before it is done (the process is stopping), it takes the slot away.
struct Loader {
    hub: Arc<Hub>,
    id: OrderId,
    report: watch::Sender<Option<Loaded>>,
}

impl Loader {
    async fn run(self, read: impl Future<Output = Result<Option<Order>, DbError>>) {
        let loaded = read.await;
        let outcome = self.settle(loaded);
        self.report.send_replace(Some(outcome));
    }

    /// Replaces the slot by what was read, or by what was published meanwhile if that is newer.
    fn settle(&self, read: Result<Option<Order>, DbError>) -> Loaded {
        let mut shard = self.hub.shard(self.id).lock();
        let overtaken_by = match shard.remove(&self.id) {
            Some(Slot::Loading(loading)) => loading.overtaken_by,
            _ => None,
        };
        let hot = match (overtaken_by, read) {
            (Some(hot), Ok(Some(order))) => {
                hot.advance(Snapshot::stored(&order));
                hot
            }
            (Some(hot), _) => hot,
            (None, Ok(Some(order))) => Arc::new(HotOrder::new(&order, Snapshot::stored(&order))),
            (None, Ok(None)) => return Ok(None),
            (None, Err(error)) => return Err(Arc::new(error)),
        };
        shard.insert(self.id, Slot::Hot(Arc::clone(&hot)), Slot::is_idle);
        Ok(Some(hot))
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        if self.report.borrow().is_none() {
            self.hub.shard(self.id).lock().remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests;
