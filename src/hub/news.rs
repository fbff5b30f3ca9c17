//! Who waits for the log to grow: readers of one merchant's events, and readers of all.
//!
//! News carries nothing. Whoever hears it reads the log, and whoever listens before he reads misses nothing that this process
//! knows of: what it commits itself it tells at once, what others commit the feed tells. The feed comes by this process's own
//! events, too, and tells them a second time; but it knows their transactions, so a listener who has read them hears nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::order::MerchantId;

/// See the module's head.
#[derive(Debug, Default)]
pub struct News {
    /// Looked at before the lock: mostly nobody listens.
    listeners: AtomicUsize,
    of_all: watch::Sender<()>,
    by_merchant: Mutex<HashMap<MerchantId, watch::Sender<Told>>>,
}

/// What was told of a merchant, numbered from 1.
#[derive(Debug, Default)]
struct Told {
    last: u64,
    /// The last of which no transaction is known (any more): who has not heard it must look.
    last_unknown: u64,
    /// Those after it, with the ids of their transactions.
    known: VecDeque<(u64, u64)>,
}

/// What is told with a transaction's id is remembered for those who have not heard it yet; so much of it.
const MAX_KNOWN: usize = 64;

impl Told {
    fn add(&mut self, transaction: Option<u64>) {
        self.last += 1;
        if let Some(id) = transaction {
            self.known.push_back((self.last, id));
        } else {
            self.last_unknown = self.last;
            self.known.clear();
        }
        if self.known.len() > MAX_KNOWN
            && let Some((number, _)) = self.known.pop_front()
        {
            self.last_unknown = number;
        }
    }

    /// Whether anything was told since `heard` that is not of a transaction that was read.
    fn is_news(&self, heard: u64, has_read: impl Fn(u64) -> bool) -> bool {
        let since = self.known.iter().filter(|(number, _)| *number > heard);
        self.last_unknown > heard || since.into_iter().any(|(_, id)| !has_read(*id))
    }
}

/// One who listens; not any more when it is dropped.
#[derive(Debug)]
pub struct Listener {
    news: Arc<News>,
    receiver: watch::Receiver<()>,
}

/// The same of one merchant's.
#[derive(Debug)]
pub struct MerchantListener {
    news: Arc<News>,
    merchant: MerchantId,
    receiver: watch::Receiver<Told>,
    heard: u64,
}

impl News {
    /// Listens from here on, to everything.
    pub fn listen(self: &Arc<Self>) -> Listener {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        Listener {
            news: Arc::clone(self),
            receiver: self.of_all.subscribe(),
        }
    }

    /// Listens from here on, to what is of one merchant.
    pub fn listen_to(self: &Arc<Self>, merchant: MerchantId) -> MerchantListener {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        let receiver = self.by_merchant.lock().entry(merchant).or_default().subscribe();
        let heard = receiver.borrow().last;
        MerchantListener {
            news: Arc::clone(self),
            merchant,
            receiver,
            heard,
        }
    }

    /// Whether anybody listens.
    pub fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// Events of these merchants were committed.
    pub fn tell(&self, merchants: impl IntoIterator<Item = MerchantId>) {
        self.tell_each(merchants.into_iter().map(|merchant| (merchant, None)));
    }

    /// The same of events whose transactions are known.
    pub fn tell_of(&self, transactions: impl IntoIterator<Item = (MerchantId, u64)>) {
        let each = transactions.into_iter();
        self.tell_each(each.map(|(merchant, transaction)| (merchant, Some(transaction))));
    }

    fn tell_each(&self, each: impl Iterator<Item = (MerchantId, Option<u64>)>) {
        if !self.has_listeners() {
            return;
        }
        let mut each = each.peekable();
        if each.peek().is_some() {
            self.of_all.send_replace(());
            let by_merchant = self.by_merchant.lock();
            for (merchant, transaction) in each {
                if let Some(sender) = by_merchant.get(&merchant) {
                    sender.send_modify(|told| told.add(transaction));
                }
            }
        }
    }

    /// Events of anybody may have been committed.
    pub fn tell_all(&self) {
        if self.has_listeners() {
            self.of_all.send_replace(());
            for sender in self.by_merchant.lock().values() {
                sender.send_modify(|told| told.add(None));
            }
        }
    }
}

impl Listener {
    /// Ends when there was news since the last call, or since the listening began. May be dropped while it waits, and called
    /// again: nothing is lost.
    pub async fn heard(&mut self) {
        // (The sender lives as long as this one listens.)
        let _ = self.receiver.changed().await;
    }
}

impl MerchantListener {
    /// The same; passes over news of transactions that the listener has read.
    pub async fn heard(&mut self, has_read: impl Fn(u64) -> bool) {
        loop {
            let _ = self.receiver.changed().await;
            let told = self.receiver.borrow_and_update();
            let heard = std::mem::replace(&mut self.heard, told.last);
            if told.is_news(heard, &has_read) {
                return;
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.news.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for MerchantListener {
    fn drop(&mut self) {
        let mut by_merchant = self.news.by_merchant.lock();
        // This one still counts.
        let is_last = |sender: &watch::Sender<Told>| sender.receiver_count() <= 1;
        if by_merchant.get(&self.merchant).is_some_and(is_last) {
            by_merchant.remove(&self.merchant);
        }
        self.news.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    fn merchants() -> (MerchantId, MerchantId) {
        (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)))
    }

    fn nothing(_: u64) -> bool {
        false
    }

    #[tokio::test]
    async fn each_hears_of_its_own_merchant_and_nothing_twice() {
        let (news, (one, other)) = (Arc::new(News::default()), merchants());
        news.tell([one]);
        let (mut of_one, mut of_other, mut of_all) = (news.listen_to(one), news.listen_to(other), news.listen());
        let mut heard = || {
            let of_merchants = [&mut of_one, &mut of_other].map(|listener| listener.heard(nothing).now_or_never());
            let [one, other] = of_merchants.map(|heard| heard.is_some());
            [one, other, of_all.heard().now_or_never().is_some()]
        };
        assert_eq!(heard(), [false, false, false], "what was before is read, not heard");
        news.tell([one, one]);
        assert_eq!(heard(), [true, false, true]);
        assert_eq!(heard(), [false, false, false]);
        news.tell([]);
        assert_eq!(heard(), [false, false, false]);
        news.tell_of([(other, 7)]);
        assert_eq!(heard(), [false, true, true]);
        news.tell_all();
        assert_eq!(heard(), [true, true, true]);
        let second = news.listen_to(one);
        drop(of_one);
        assert_eq!(news.by_merchant.lock().len(), 2, "one still listens");
        drop((second, of_other, of_all));
        assert!(news.by_merchant.lock().is_empty() && !news.has_listeners());
    }

    #[tokio::test]
    async fn only_what_was_not_read_is_heard_of_and_in_doubt_it_was_not() {
        let (news, (one, _)) = (Arc::new(News::default()), merchants());
        let mut listener = news.listen_to(one);
        let mut heard = || listener.heard(|id| id < 100).now_or_never().is_some();
        news.tell_of([(one, 7), (one, 99)]);
        assert!(!heard());
        news.tell_of([(one, 7), (one, 100), (one, 8)]);
        assert!(heard() && !heard());
        news.tell_of([(one, 7)]);
        news.tell([one]);
        news.tell_of([(one, 8)]);
        assert!(heard() && !heard(), "of the one in the middle nothing is known");
        let many = u64::try_from(MAX_KNOWN).expect("is small");
        news.tell_of((0..many).map(|_| (one, 7)));
        assert!(!heard());
        news.tell_of((0..=many).map(|n| (one, if n == 0 { 100 } else { 7 })));
        assert!(heard(), "what is not remembered may be anything");
        assert!(listener.news.by_merchant.lock()[&one].borrow().known.len() <= MAX_KNOWN);
    }
}
