//! Waiting for an order to move on: the held request, and the one account of all who wait, whatever transport holds them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::domain::order::Version;
use crate::hub::{HotOrder, Snapshot};

/// Bounds of those who wait in this process: held requests, and orders that streams follow.
#[derive(Debug, Clone)]
pub struct Settings {
    pub max_held: usize,
    pub max_held_per_order: usize,
    /// When the process stops, its held requests are answered spread over this time, so that their clients do not all come
    /// back elsewhere in the same instant.
    pub drain_spread: Duration,
}

/// The account of held requests and of streams: each of them has one place in it for as long as it lasts.
#[derive(Debug)]
pub struct Holds {
    settings: Settings,
    held: AtomicUsize,
    /// The process is about to stop: whoever chooses between replicas should choose another one.
    retiring: AtomicBool,
    /// The same as `drain` being cancelled; it must not take a lock.
    draining: AtomicBool,
    drain: CancellationToken,
    /// By when all who wait must have been let go, once the process is stopping.
    drained_by: OnceLock<Instant>,
    emptied: Notify,
    gauge: Gauge,
}

/// What a held request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Another version than this one. Equality, never "newer": whoever shows a version that isn't ours is answered.
    MovedFrom(Version),
    /// A final status.
    Final,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// What was waited for came.
    Woken,
    TimedOut,
    /// There was no place to wait in; answered at once.
    Degraded,
    /// The process is stopping.
    Drained,
}

impl Until {
    pub fn is_met_by(self, snapshot: &Snapshot) -> bool {
        match self {
            Self::MovedFrom(version) => snapshot.version != version,
            Self::Final => snapshot.is_final,
        }
    }
}

impl Holds {
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            settings: settings.clone(),
            held: AtomicUsize::new(0),
            retiring: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            drain: CancellationToken::new(),
            drained_by: OnceLock::new(),
            emptied: Notify::new(),
            gauge: gauge!("payquery_held_requests"),
        })
    }

    /// How many places are taken now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// How much of the room for held requests is taken: 0 to 100 percent.
    pub fn occupancy_percent(&self) -> usize {
        self.held() * 100 / self.settings.max_held.max(1)
    }

    /// From here on balancers and clients are told to go elsewhere; whoever comes all the same is served as ever.
    pub fn retire(&self) {
        self.retiring.store(true, Ordering::Relaxed);
    }

    /// Asked on every answer.
    pub fn is_retiring(&self) -> bool {
        self.retiring.load(Ordering::Relaxed)
    }

    /// From here on nothing is held, and what is held is answered within [`Settings::drain_spread`].
    pub fn drain(&self) {
        self.retire();
        self.drained_by
            .get_or_init(|| Instant::now() + self.settings.drain_spread);
        self.draining.store(true, Ordering::Relaxed);
        self.drain.cancel();
    }

    /// The process is stopping: nothing is held any more.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Holds a request until what it waits for comes or its time is up; says how it ended and the order's latest snapshot.
    ///
    /// Costs a place in the account, a waiter on the order and a timer; no task, no connection, no copy of the document.
    /// Dropping the future (the client hung up) gives the place back at once.
    pub async fn hold(self: &Arc<Self>, hot: &Arc<HotOrder>, until: Until, wait: Duration) -> (Ending, Arc<Snapshot>) {
        if self.is_draining() {
            return (Ending::Drained, hot.snapshot());
        }
        let Some(_place) = self.take_place_for(hot) else {
            return (Ending::Degraded, hot.snapshot());
        };
        let mut waiter = hot.register();
        let deadline = tokio::time::sleep_until(Instant::now() + shortened(wait));
        let drained = Arc::clone(self).drained();
        tokio::pin!(deadline, drained);
        loop {
            let snapshot = waiter.read();
            if until.is_met_by(&snapshot) {
                return (Ending::Woken, snapshot);
            }
            tokio::select! {
                () = waiter.changed() => {}
                () = &mut deadline => return (Ending::TimedOut, waiter.read()),
                () = &mut drained => return (Ending::Drained, waiter.read()),
            }
        }
    }

    /// Ends when no place is taken (any more).
    pub async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            tokio::pin!(emptied);
            emptied.as_mut().enable();
            if self.held() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Ends at a moment of its own within [`Settings::drain_spread`] after the process was told to stop. Whoever waits must go
    /// then, politely; whoever comes while the process is stopping, too. To be called once for each stream, and kept: each call
    /// draws another moment.
    pub async fn drained(self: Arc<Self>) {
        self.drain.cancelled().await;
        let end = self.drained_by.get().expect("is set before the token is cancelled");
        let rest = end.saturating_duration_since(Instant::now());
        tokio::time::sleep(rest.mul_f64(fastrand::f64())).await;
    }

    /// A place for one that waits on no single order; None when all are taken, or the process is stopping.
    pub fn take_place(self: &Arc<Self>) -> Option<Place> {
        if self.is_draining() {
            return None;
        }
        let room = self.settings.max_held;
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                (held < room).then_some(held + 1)
            })
            .ok()?;
        self.gauge.increment(1);
        Some(Place {
            holds: Arc::clone(self),
            hot: None,
        })
    }

    /// A place for one that waits on that order; it keeps the order hot. None when all of the process's places are taken, or
    /// all of the order's.
    pub fn take_place_for(self: &Arc<Self>, hot: &Arc<HotOrder>) -> Option<Place> {
        let mut place = self.take_place()?;
        if hot.take_place(self.settings.max_held_per_order) {
            place.hot = Some(Arc::clone(hot));
            return Some(place);
        }
        None
    }

    fn free_place(&self) {
        if self.held.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_waiters();
        }
        self.gauge.decrement(1);
    }
}

/// A place in the account, given back when it goes.
#[derive(Debug)]
pub struct Place {
    holds: Arc<Holds>,
    hot: Option<Arc<HotOrder>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(hot) = &self.hot {
            hot.free_place();
        }
        self.holds.free_place();
    }
}

/// The wait, shortened by up to a sixteenth at random: requests that came together do not all come back together. Never
/// lengthened, since proxies and clients have their own limits.
pub(super) fn shortened(wait: Duration) -> Duration {
    wait.mul_f64(1.0 - fastrand::f64() / 16.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::order::Order;
    use crate::hub::Hub;

    /// The moment between a request's look at the order and its registration, which no test through the port can hit at will.
    #[tokio::test]
    async fn a_change_between_the_look_and_the_registration_ends_the_wait_at_once() {
        let (order, hub) = (Order::sample(), Hub::new(1));
        let read = std::future::ready(Ok(Some(order.clone())));
        let hot = hub.get_or_load(order.id, || read);
        let hot = hot.await.expect("is read").expect("is there");
        let seen = hot.snapshot().version;
        hub.publish(&Order {
            version: seen.next(),
            ..order
        });
        let holds = Holds::new(&Settings {
            max_held: 1,
            max_held_per_order: 1,
            drain_spread: Duration::ZERO,
        });
        let wait = holds.hold(&hot, Until::MovedFrom(seen), Duration::from_secs(50));
        let (ending, snapshot) = tokio::time::timeout(Duration::from_secs(5), wait)
            .await
            .expect("is not held");
        assert_eq!((ending, snapshot.version), (Ending::Woken, seen.next()));
        assert_eq!(holds.held(), 0);
    }

    /// Or it would be cut off with nothing, when all the others have gone.
    #[tokio::test]
    async fn whoever_comes_while_the_process_is_stopping_goes_with_those_who_were_there() {
        let holds = Holds::new(&Settings {
            max_held: 1,
            max_held_per_order: 1,
            drain_spread: Duration::from_hours(24),
        });
        // It was told to stop a day ago.
        holds.drained_by.set(Instant::now()).expect("is told the first time");
        holds.drain();
        let drained = tokio::time::timeout(Duration::from_secs(5), Arc::clone(&holds).drained());
        assert_eq!(drained.await, Ok(()));
    }

    #[test]
    fn a_wait_is_shortened_by_a_sixteenth_at_most_and_never_lengthened() {
        let wait = Duration::from_secs(16);
        for _ in 0..10_000 {
            let shorter = shortened(wait);
            assert!(shorter <= wait && shorter >= Duration::from_secs(15), "{shorter:?}");
        }
    }
}
