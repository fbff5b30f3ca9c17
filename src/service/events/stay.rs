//! Places of those who read the event feed while they wait: one of the process's, and one of their merchant's.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};

use crate::domain::order::MerchantId;
use crate::service::wait::{Ending, Holds, Place, shortened};

/// Held feeds and answers by lines of one merchant, in one process: each event of his wakes all of them, and each then looks
/// into the database. As many as he may have sockets.
const MAX_PER_MERCHANT: usize = 64;

/// How many places each merchant's readers have taken.
#[derive(Debug, Default)]
pub struct FeedPlaces {
    /// Only those who have any.
    by_merchant: Mutex<HashMap<MerchantId, usize>>,
}

/// A reader's place in both accounts, and how long it may wait in it.
#[expect(missing_debug_implementations, reason = "a future has none")]
pub struct Stay {
    _place: Place,
    _share: Share,
    pub(super) deadline: Pin<Box<Sleep>>,
    pub(super) drained: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// One of the merchant's places, given back when it goes.
#[derive(Debug)]
struct Share {
    places: Arc<FeedPlaces>,
    merchant: MerchantId,
}

impl FeedPlaces {
    fn take(self: &Arc<Self>, merchant: MerchantId) -> Option<Share> {
        let mut by_merchant = self.by_merchant.lock();
        let taken = by_merchant.entry(merchant).or_default();
        if *taken >= MAX_PER_MERCHANT {
            return None;
        }
        *taken += 1;
        Some(Share {
            places: Arc::clone(self),
            merchant,
        })
    }

    /// A place for a reader of the merchant's events; its time begins when it begins to wait. None when all of the merchant's
    /// are taken, or all of the process's.
    pub fn stay(self: &Arc<Self>, holds: &Arc<Holds>, merchant: MerchantId) -> Option<Stay> {
        let share = self.take(merchant)?;
        Some(Stay {
            _place: holds.take_place()?,
            _share: share,
            deadline: Box::pin(sleep(Duration::ZERO)),
            drained: Box::pin(Arc::clone(holds).drained()),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut by_merchant = self.places.by_merchant.lock();
        if let Some(taken) = by_merchant.get_mut(&self.merchant) {
            *taken -= 1;
            if *taken == 0 {
                by_merchant.remove(&self.merchant);
            }
        }
    }
}

impl Holds {
    /// Why there was no place.
    pub fn no_place(&self) -> Ending {
        if self.is_draining() {
            Ending::Drained
        } else {
            Ending::Degraded
        }
    }
}

impl Stay {
    /// Its time ends after `wait`, shortened at random as every hold is.
    pub fn begin(&mut self, wait: Duration) {
        self.deadline.as_mut().reset(Instant::now() + shortened(wait));
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_merchants_places_are_bounded_and_given_back_and_no_other_merchants() {
        let places = Arc::new(FeedPlaces::default());
        let (one, other) = (MerchantId(Uuid::from_u128(1)), MerchantId(Uuid::from_u128(2)));
        let mut taken: Vec<_> = (0..MAX_PER_MERCHANT).map(|_| places.take(one)).collect();
        assert!(taken.iter().all(Option::is_some) && places.take(one).is_none());
        assert!(places.take(other).is_some());
        taken.pop();
        assert!(places.take(one).is_some());
        drop(taken);
        assert!(places.by_merchant.lock().is_empty());
    }
}
