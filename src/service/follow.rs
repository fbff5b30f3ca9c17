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
    watch: Watch,
    id: OrderId,
    place: Place,
}

/// What a following waits on, and what it has told.
#[derive(Debug)]
struct Watch {
    waiter: Waiter,
    told: Option<Version>,
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
            watch: Watch {
                // Registered here, read later: what changes in between is found.
                waiter: hot.register(),
                told: shown,
            },
            id: hot.id,
            place,
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
        self.watch.next().await
    }

    pub fn order_id(&self) -> OrderId {
        self.id
    }
}

impl Watch {
    async fn next(&mut self) -> Arc<Snapshot> {
        loop {
            let snapshot = self.waiter.read();
            if self.told != Some(snapshot.version) {
                self.told = Some(snapshot.version);
                return snapshot;
            }
            self.waiter.changed().await;
        }
    }
}

/// The orders that one connection follows, under the names that it has for them.
#[derive(Debug)]
pub struct Followings<K> {
    waiting: FuturesUnordered<Abortable<BoxFuture<'static, News<K>>>>,
    followed: HashMap<K, Followed>,
}

/// What is kept beside the wait, so that a place is given back at once, whenever the wait is looked at next.
#[derive(Debug)]
struct Followed {
    wait: AbortHandle,
    _place: Place,
}

#[derive(Debug)]
struct News<K> {
    key: K,
    watch: Watch,
    snapshot: Arc<Snapshot>,
}

impl<K> Default for Followings<K> {
    fn default() -> Self {
        Self {
            waiting: FuturesUnordered::new(),
            followed: HashMap::new(),
        }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> Followings<K> {
    /// How many orders are followed.
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.followed.is_empty()
    }

    pub fn contains(&self, key: &K) -> bool {
        self.followed.contains_key(key)
    }

    /// Follows under that name; what was followed under it before is not any more.
    pub fn insert(&mut self, key: K, following: Following) {
        self.remove(&key);
        let Following { watch, place, .. } = following;
        let wait = self.wait(key.clone(), watch);
        self.followed.insert(key, Followed { wait, _place: place });
    }

    /// Stops following, and gives its place back; false when nothing was followed under that name.
    pub fn remove(&mut self, key: &K) -> bool {
        self.followed.remove(key).is_some_and(|followed| {
            followed.wait.abort();
            true
        })
    }

    /// The next order that has something to tell, by its name, and its latest snapshot. Waits for ever when nothing is
    /// followed. May be dropped while it waits, and called again: nothing is lost.
    pub async fn next(&mut self) -> (K, Arc<Snapshot>) {
        loop {
            match self.waiting.next().await {
                Some(Ok(news)) => {
                    let News { key, watch, snapshot } = news;
                    let wait = self.wait(key.clone(), watch);
                    let followed = self.followed.get_mut(&key);
                    followed.expect("what is not followed any more was aborted").wait = wait;
                    return (key, snapshot);
                }
                // One that is not followed any more.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn wait(&self, key: K, mut watch: Watch) -> AbortHandle {
        let (handle, registration) = AbortHandle::new_pair();
        let news = async move {
            let snapshot = watch.next().await;
            News { key, watch, snapshot }
        };
        self.waiting.push(Abortable::new(Box::pin(news), registration));
        handle
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::order::Order;
    use crate::service::wait::Settings;

    fn holds(max_held_per_order: usize) -> Arc<Holds> {
        Holds::new(&Settings {
            max_held: 3,
            max_held_per_order,
            drain_spread: Duration::ZERO,
        })
    }

    async fn hot(hub: &Arc<Hub>, order: &Order) -> Arc<HotOrder> {
        let read = std::future::ready(Ok(Some(order.clone())));
        let hot = hub.get_or_load(order.id, || read).await;
        hot.expect("is read").expect("is there")
    }

    fn at(order: &Order, version: i64) -> Order {
        Order {
            version: Version(version),
            ..order.clone()
        }
    }

    #[tokio::test]
    async fn only_what_differs_is_told_and_of_many_changes_the_last() {
        let (order, hub) = (at(&Order::sample(), 3), Hub::new(1));
        let hot_order = hot(&hub, &order).await;
        let mut current = holds(3).follow(&hot_order, Some(Version(3))).expect("a place");
        let mut behind = holds(3).follow(&hot_order, Some(Version(2))).expect("a place");
        // Of a version that never was.
        let mut ahead = holds(3).follow(&hot_order, Some(Version(9))).expect("a place");
        assert!(current.next().now_or_never().is_none());
        for following in [&mut behind, &mut ahead] {
            let told = following.next().now_or_never();
            assert_eq!(told.map(|snapshot| snapshot.version), Some(Version(3)));
            assert!(following.next().now_or_never().is_none());
        }
        for version in 4..1000 {
            hub.publish(&at(&order, version));
        }
        for mut following in [current, behind, ahead] {
            let told = following.next().now_or_never();
            assert_eq!(told.map(|snapshot| snapshot.version), Some(Version(999)));
            assert!(following.next().now_or_never().is_none());
        }
    }

    #[tokio::test]
    async fn a_change_at_any_moment_is_told_also_when_the_wait_was_given_up_and_begun_anew() {
        let (order, hub) = (Order::sample(), Hub::new(1));
        let hot = hot(&hub, &order).await;
        let seen = hot.snapshot().version.0;
        let mut following = holds(3).follow(&hot, Some(Version(seen))).expect("a place");
        hub.publish(&at(&order, seen + 1)); // between registration and read
        let told = following.next().now_or_never();
        assert_eq!(told.map(|snapshot| snapshot.version.0), Some(seen + 1));
        for version in seen + 2..seen + 20 {
            assert!(following.next().now_or_never().is_none(), "and is dropped");
            hub.publish(&at(&order, version));
            let told = following.next().now_or_never();
            assert_eq!(told.map(|snapshot| snapshot.version.0), Some(version));
        }
    }

    #[tokio::test]
    async fn each_has_a_place_of_the_process_and_of_its_order_and_gives_it_back() {
        let (one, other, hub) = (Order::sample(), Order::sample(), Hub::new(10));
        let (one, other) = (hot(&hub, &one).await, hot(&hub, &other).await);
        let holds = holds(2);
        let mut places: Vec<_> = (0..2).map(|_| holds.follow(&one, None).expect("a place")).collect();
        assert!(holds.follow(&one, None).is_none(), "the order's places are taken");
        places.push(holds.follow(&other, None).expect("a place"));
        assert!(holds.follow(&other, None).is_none(), "the process's places are taken");
        assert!(holds.follow_merchant(&hub, one.merchant_id).is_none());
        assert_eq!(holds.held(), 3);
        drop(places);
        assert_eq!(holds.held(), 0);
        drop(holds.follow_merchant(&hub, one.merchant_id).expect("a place"));
        assert_eq!(holds.held(), 0);
        holds.drain();
        assert!(holds.follow(&one, None).is_none(), "the process is stopping");
    }

    #[tokio::test]
    async fn of_several_orders_each_is_told_by_its_name_and_those_taken_out_are_not() {
        let hub = Hub::new(10);
        let orders: Vec<_> = (0..3)
            .map(|_| Order {
                id: OrderId::generate(),
                ..Order::sample()
            })
            .collect();
        let holds = holds(3);
        let mut followings = Followings::default();
        for (name, order) in ["a", "b", "c"].iter().zip(&orders) {
            let following = holds.follow(&hot(&hub, order).await, None).expect("a place");
            followings.insert(*name, following);
        }
        let told: Vec<_> = std::iter::from_fn(|| followings.next().now_or_never()).collect();
        let mut names: Vec<_> = told.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(names, ["a", "b", "c"]);
        hub.publish(&at(&orders[1], 50));
        hub.publish(&at(&orders[2], 60));
        assert!(followings.remove(&"b") && !followings.remove(&"b") && !followings.contains(&"b"));
        assert_eq!(holds.held(), 2, "its place is free at once");
        let told = followings.next().now_or_never();
        assert_eq!(told.map(|(name, snapshot)| (name, snapshot.version.0)), Some(("c", 60)));
        assert!(followings.next().now_or_never().is_none());
        assert_eq!((followings.len(), holds.held()), (2, 2));
        // The same name again is another following, which is told where it begins.
        let again = holds.follow(&hot(&hub, &orders[0]).await, None).expect("a place");
        followings.insert("a", again);
        assert_eq!(holds.held(), 2);
        assert!(followings.next().now_or_never().is_some_and(|(name, _)| name == "a"));
        assert!(followings.next().now_or_never().is_none());
        assert_eq!((followings.len(), holds.held()), (2, 2));
        drop(followings);
        assert_eq!(holds.held(), 0);
    }
}
