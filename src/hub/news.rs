//! Who waits for the log to grow: readers of one merchant's events, and readers of all.
//!
//! News carries nothing. Whoever hears it reads the log, and whoever listens before he reads misses nothing that this process
//! knows of: what it commits itself it tells at once, what others commit the feed tells.

use std::collections::HashMap;
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
    by_merchant: Mutex<HashMap<MerchantId, watch::Sender<()>>>,
}

/// One who listens; not any more when it is dropped.
#[derive(Debug)]
pub struct Listener {
    news: Arc<News>,
    merchant: Option<MerchantId>,
    receiver: watch::Receiver<()>,
}

impl News {
    /// Listens from here on; to everything, or to what is of one merchant.
    pub fn listen(self: &Arc<Self>, merchant: Option<MerchantId>) -> Listener {
        self.listeners.fetch_add(1, Ordering::SeqCst);
        let receiver = match merchant {
            None => self.of_all.subscribe(),
            Some(merchant) => self.by_merchant.lock().entry(merchant).or_default().subscribe(),
        };
        Listener {
            news: Arc::clone(self),
            merchant,
            receiver,
        }
    }

    /// Whether anybody listens.
    pub fn has_listeners(&self) -> bool {
        self.listeners.load(Ordering::SeqCst) > 0
    }

    /// Events of these merchants were committed.
    pub fn tell(&self, merchants: impl IntoIterator<Item = MerchantId>) {
        if !self.has_listeners() {
            return;
        }
        let mut merchants = merchants.into_iter().peekable();
        if merchants.peek().is_some() {
            self.of_all.send_replace(());
            let by_merchant = self.by_merchant.lock();
            for sender in merchants.filter_map(|merchant| by_merchant.get(&merchant)) {
                sender.send_replace(());
            }
        }
    }

    /// Events of anybody may have been committed.
    pub fn tell_all(&self) {
        if self.has_listeners() {
            self.of_all.send_replace(());
            for sender in self.by_merchant.lock().values() {
                sender.send_replace(());
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

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(merchant) = self.merchant {
            let mut by_merchant = self.news.by_merchant.lock();
            // This one still counts.
            if by_merchant
                .get(&merchant)
                .is_some_and(|sender| sender.receiver_count() <= 1)
            {
                by_merchant.remove(&merchant);
            }
        }
        self.news.listeners.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn each_hears_of_its_own_merchant_and_nothing_twice() {
        let news = Arc::new(News::default());
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        news.tell([one]);
        let (mut of_one, mut of_other, mut of_all) =
            (news.listen(Some(one)), news.listen(Some(other)), news.listen(None));
        let mut heard =
            || [&mut of_one, &mut of_other, &mut of_all].map(|listener| listener.heard().now_or_never().is_some());
        assert_eq!(heard(), [false, false, false], "what was before is read, not heard");
        news.tell([one, one]);
        assert_eq!(heard(), [true, false, true]);
        assert_eq!(heard(), [false, false, false]);
        news.tell([]);
        assert_eq!(heard(), [false, false, false]);
        news.tell_all();
        assert_eq!(heard(), [true, true, true]);
        let second = news.listen(Some(one));
        drop(of_one);
        assert_eq!(news.by_merchant.lock().len(), 2, "one still listens");
        drop((second, of_other, of_all));
        assert!(news.by_merchant.lock().is_empty() && !news.has_listeners());
    }
}
