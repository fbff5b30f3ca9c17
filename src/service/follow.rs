//! Following an order: the one wait of every stream, whatever transport it is on.
//!
//! What stays true: a stream is told only what differs from what it was told last (equality, never "newer"); versions never go
//! backwards on it; and only the latest state is kept for it, so whoever reads slowly misses versions in between, never the
//! last one, and costs no memory meanwhile.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::FuturesUnordered;

use super::wait::{Holds, Place};
use crate::domain::order::{MerchantId, OrderId, Version};
use crate::hub::{Follower, HotOrder, Hub, Missed, Snapshot, Waiter};

/// One stream's following of one order. Has a place in the account until it is dropped, and keeps the order hot.
#[derive(Debug)]
pub struct Following {
    waiter: Waiter,
    told: Option<Version>,
    id: OrderId,
    _place: Place,
}

impl Holds {
    /// Follows an order; None when there is no place to wait in, or the process is stopping. `shown` is the version that the
    /// client shows to have: it is not told that one again.
    ///
    /// Of a client that shows a version higher than ours the order must have been read again before
    /// ([`Service::catch_up`](super::Service::catch_up)), or it would be told an older one.
    pub fn follow(self: &Arc<Self>, hot: &Arc<HotOrder>, shown: Option<Version>) -> Option<Following> {
        let place = self.take_place_for(hot)?;
        Some(Following {
            // Registered here, read later: what changes in between is found.
            waiter: hot.register(),
            told: shown,
            id: hot.id,
            _place: place,
        })
    }
}

/// One stream's following of all orders of a merchant, from its beginning on: what was before is read, not told.
#[derive(Debug)]
pub struct MerchantFollowing {
    follower: Follower,
    _place: Place,
}

impl Holds {
    /// Follows a merchant's orders; None when there is no place, or the process is stopping.
    pub fn follow_merchant(self: &Arc<Self>, hub: &Arc<Hub>, merchant: MerchantId) -> Option<MerchantFollowing> {
        let place = self.take_place()?;
        Some(MerchantFollowing {
            follower: hub.follow_merchant(merchant)?,
            _place: place,
        })
    }
}

impl MerchantFollowing {
    /// The next order that changed, and its latest state. An error means that changes may have been missed: the stream must
    /// be ended, so that its client begins anew. May be dropped while it waits, and called again: nothing is lost.
    pub async fn next(&mut self) -> Result<(OrderId, Arc<Snapshot>), Missed> {
        self.follower.next().await
    }
}

impl Following {
    /// The order's latest snapshot, as soon as it is another than the one told last; it counts as told from here on. May be
    /// dropped while it waits, and called again: nothing is lost.
    pub async fn next(&mut self) -> Arc<Snapshot> {
        loop {
            let snapshot = self.waiter.read();
            if self.told != Some(snapshot.version) {
                self.told = Some(snapshot.version);
                return snapshot;
            }
            self.waiter.changed().await;
        }
    }

    pub fn order_id(&self) -> OrderId {
        self.id
    }
}

/// The orders that one connection follows, under the names that it has for them.
#[derive(Debug)]
pub struct Followings<K> {
    waiting: FuturesUnordered<Abortable<BoxFuture<'static, News<K>>>>,
    handles: HashMap<K, AbortHandle>,
}

#[derive(Debug)]
struct News<K> {
    key: K,
    following: Following,
    snapshot: Arc<Snapshot>,
}

impl<K> Default for Followings<K> {
    fn default() -> Self {
        Self {
            waiting: FuturesUnordered::new(),
            handles: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Followings<K> {
    /// How many orders are followed.
    pub fn len(&self) -> usize {
        self.handles.len()
    }

    pub fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.handles.contains_key(key)
    }

    /// Follows under that name; what was followed under it before is not any more.
    pub fn insert(&mut self, key: K, following: Following) {
        self.remove(&key);
        let (handle, registration) = AbortHandle::new_pair();
        self.handles.insert(key.clone(), handle);
        self.wait(key, following, registration);
    }

    /// Stops following; false when nothing was followed under that name. Its place is given back at the next
    /// [`Followings::next`].
    pub fn remove(&mut self, key: &K) -> bool {
        self.handles.remove(key).is_some_and(|handle| {
            handle.abort();
            true
        })
    }

    /// The next order that has something to tell, by its name, and its latest snapshot. Waits for ever when nothing is
    /// followed. May be dropped while it waits, and called again: nothing is lost.
    pub async fn next(&mut self) -> (K, Arc<Snapshot>) {
        loop {
            match self.waiting.next().await {
                Some(Ok(news)) => {
                    let News {
                        key,
                        following,
                        snapshot,
                    } = news;
                    let (handle, registration) = AbortHandle::new_pair();
                    self.handles.insert(key.clone(), handle);
                    self.wait(key.clone(), following, registration);
                    return (key, snapshot);
                }
                // One that is not followed any more.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn wait(&self, key: K, mut following: Following, registration: futures_util::future::AbortRegistration) {
        let news = async move {
            let snapshot = following.next().await;
            News {
                key,
                following,
                snapshot,
            }
        };
        self.waiting.push(Abortable::new(Box::pin(news), registration));
    }
}
