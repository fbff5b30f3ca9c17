//! Those who follow all orders of a merchant. The feed tells them: it finds each change once, whether the order is hot or not.
//!
//! What stays true: a follower is told the latest state of each order that changed, and never an older one after a newer one;
//! what waits for it is bounded, and a follower that let too much pile up, or of whom the feed lost track, is told so.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use indexmap::IndexMap;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{Hub, Snapshot};
use crate::domain::order::{MerchantId, OrderId, Version};

/// Followers of one process.
const MAX_FOLLOWERS: usize = 256;
/// Of them, those of one merchant: it cannot keep the others out.
const MAX_PER_MERCHANT: usize = 64;
/// Orders that may wait for one follower.
const MAX_PENDING: usize = 1000;
/// Orders whose last told version is remembered: the feed may come by the same version twice within a short time.
const MAX_TOLD: usize = 1000;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Followers {
    /// Looked at before the lock: mostly there are none.
    count: AtomicUsize,
    mailboxes: Mutex<HashMap<MerchantId, Vec<Arc<Mailbox>>>>,
}

#[derive(Debug, Default)]
struct Mailbox {
    pending: Mutex<Pending>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct Pending {
    latest: IndexMap<OrderId, Arc<Snapshot>>,
    missed: bool,
}

/// One who follows; not any more when it is dropped.
#[derive(Debug)]
pub struct Follower {
    hub: Arc<Hub>,
    merchant: MerchantId,
    mailbox: Arc<Mailbox>,
    told: IndexMap<OrderId, Version>,
}

/// The follower may have missed changes. It must begin anew, and read what it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("changes may have been missed")]
pub struct Missed;

impl Hub {
    /// Follows a merchant's orders from here on; None when there are too many followers, or too many of this merchant's.
    pub fn follow_merchant(self: &Arc<Self>, merchant: MerchantId) -> Option<Follower> {
        let followers = &self.followers;
        let mut mailboxes = followers.mailboxes.lock();
        let of_merchant = mailboxes.get(&merchant).map_or(0, Vec::len);
        if followers.count.load(Ordering::Relaxed) >= MAX_FOLLOWERS || of_merchant >= MAX_PER_MERCHANT {
            return None;
        }
        let mailbox = Arc::new(Mailbox::default());
        mailboxes.entry(merchant).or_default().push(Arc::clone(&mailbox));
        followers.count.fetch_add(1, Ordering::Release);
        Some(Follower {
            hub: Arc::clone(self),
            merchant,
            mailbox,
            told: IndexMap::new(),
        })
    }

    /// Whether anybody follows a merchant.
    pub fn has_followers(&self) -> bool {
        self.followers.count.load(Ordering::Acquire) > 0
    }

    /// Whether anybody follows that merchant.
    pub fn is_followed(&self, merchant: MerchantId) -> bool {
        self.has_followers() && self.followers.mailboxes.lock().contains_key(&merchant)
    }

    /// Tells a merchant's followers of an order's state.
    pub fn tell_followers(&self, merchant: MerchantId, order: OrderId, snapshot: &Arc<Snapshot>) {
        for mailbox in self.followers.mailboxes.lock().get(&merchant).into_iter().flatten() {
            mailbox.put(order, snapshot);
        }
    }

    /// Tells all followers that they may have missed changes.
    pub fn tell_followers_that_they_missed(&self) {
        if self.has_followers() {
            for mailbox in self.followers.mailboxes.lock().values().flatten() {
                mailbox.miss();
            }
        }
    }
}

impl Mailbox {
    fn put(&self, order: OrderId, snapshot: &Arc<Snapshot>) {
        let mut pending = self.pending.lock();
        if pending.missed {
            return;
        }
        let waiting = pending.latest.get(&order);
        if waiting.is_some_and(|waiting| waiting.version >= snapshot.version) {
            return;
        }
        pending.latest.insert(order, Arc::clone(snapshot));
        let overflows = pending.latest.len() > MAX_PENDING;
        drop(pending);
        if overflows {
            self.miss();
        } else {
            self.bell.notify_one();
        }
    }

    fn miss(&self) {
        let mut pending = self.pending.lock();
        pending.missed = true;
        pending.latest = IndexMap::new();
        drop(pending);
        self.bell.notify_one();
    }
}

impl Follower {
    /// The next order that changed, and its latest state. May be dropped while it waits, and called again.
    pub async fn next(&mut self) -> Result<(OrderId, Arc<Snapshot>), Missed> {
        loop {
            {
                let mut pending = self.mailbox.pending.lock();
                if pending.missed {
                    return Err(Missed);
                }
                while let Some((order, snapshot)) = pending.latest.shift_remove_index(0) {
                    if self.told.get(&order).is_none_or(|told| *told < snapshot.version) {
                        drop(pending);
                        self.remember(order, snapshot.version);
                        return Ok((order, snapshot));
                    }
                }
            }
            // A bell that rang since the look is kept.
            self.mailbox.bell.notified().await;
        }
    }

    fn remember(&mut self, order: OrderId, version: Version) {
        self.told.insert(order, version);
        if self.told.len() > MAX_TOLD {
            self.told.swap_remove_index(0);
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let followers = &self.hub.followers;
        let mut mailboxes = followers.mailboxes.lock();
        if let Some(of_merchant) = mailboxes.get_mut(&self.merchant) {
            of_merchant.retain(|mailbox| !Arc::ptr_eq(mailbox, &self.mailbox));
            if of_merchant.is_empty() {
                mailboxes.remove(&self.merchant);
            }
        }
        followers.count.fetch_sub(1, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::Order;
    use futures_util::FutureExt as _;

    fn state(version: i64) -> Arc<Snapshot> {
        Arc::new(Snapshot::changed(&Order {
            version: Version(version),
            ..Order::sample()
        }))
    }

    #[tokio::test]
    async fn a_follower_is_told_the_latest_state_of_each_order_and_no_state_twice() {
        let (hub, merchant) = (Hub::new(1), Order::sample().merchant_id);
        let (one, other) = (OrderId::generate(), OrderId::generate());
        let mut follower = hub.follow_merchant(merchant).expect("there is room");
        for (order, version) in [(one, 1), (other, 1), (one, 3), (one, 2)] {
            hub.tell_followers(merchant, order, &state(version));
        }
        hub.tell_followers(MerchantId(uuid::Uuid::nil()), one, &state(9));
        let mut told = Vec::new();
        while let Some(Ok((order, snapshot))) = follower.next().now_or_never() {
            told.push((order, snapshot.version.0));
        }
        assert_eq!(told, [(one, 3), (other, 1)]);
        for version in [3, 2] {
            hub.tell_followers(merchant, one, &state(version));
            assert!(follower.next().now_or_never().is_none(), "{version} is no news");
        }
        drop(follower);
        assert!(!hub.is_followed(merchant) && !hub.has_followers());
    }

    #[tokio::test]
    async fn a_follower_that_lets_too_much_pile_up_is_told_that_it_missed_something() {
        let (hub, merchant) = (Hub::new(1), Order::sample().merchant_id);
        let mut follower = hub.follow_merchant(merchant).expect("there is room");
        for _ in 0..=MAX_PENDING {
            hub.tell_followers(merchant, OrderId::generate(), &state(1));
        }
        assert_eq!(follower.next().await.map(drop), Err(Missed));
        assert_eq!(follower.mailbox.pending.lock().latest.len(), 0);
    }

    #[tokio::test]
    async fn followers_are_bounded_and_one_merchant_cannot_keep_the_others_out() {
        let (hub, one) = (Hub::new(1), Order::sample().merchant_id);
        let of_one: Vec<_> = (0..MAX_PER_MERCHANT).map(|_| hub.follow_merchant(one)).collect();
        assert!(of_one.iter().all(Option::is_some) && hub.follow_merchant(one).is_none());
        let others: Vec<_> = (MAX_PER_MERCHANT..MAX_FOLLOWERS)
            .map(|_| hub.follow_merchant(Order::sample().merchant_id))
            .collect();
        assert!(others.iter().all(Option::is_some));
        let late = MerchantId(uuid::Uuid::max());
        assert!(hub.follow_merchant(late).is_none());
        drop(of_one);
        assert!(hub.follow_merchant(late).is_some());
    }
}
