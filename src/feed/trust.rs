//! How far the hub may be believed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::{Gauge, gauge};

use crate::db::DbError;

/// What the feed's health means for those who ask the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The hub is as old as a tick at most.
    Live,
    /// The database answers, but the feed has not kept up: what is in memory must be read again before it is told.
    Behind,
    /// The database does not answer. Nobody could tell better; what is in memory is told.
    Away,
}

/// A feed that took longer than this to look is behind.
const BEHIND_AFTER: Duration = Duration::from_secs(2);

/// When the feed last looked, and whether it could.
#[derive(Debug)]
pub struct FeedHealth {
    start: Instant,
    /// Milliseconds since `start` at which the last step that succeeded began: all that was committed before is in the hub.
    looked_at_ms: AtomicU64,
    step_began_ms: AtomicU64,
    failing: AtomicBool,
    refused: AtomicBool,
    lag: Gauge,
}

impl FeedHealth {
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            looked_at_ms: AtomicU64::new(0),
            step_began_ms: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            refused: AtomicBool::new(false),
            lag: gauge!("payquery_feed_lag_seconds"),
        }
    }

    /// How far the hub may be believed now.
    pub fn trust(&self) -> Trust {
        if self.failing.load(Ordering::Relaxed) {
            Trust::Away
        } else if self.lag() > BEHIND_AFTER {
            Trust::Behind
        } else {
            Trust::Live
        }
    }

    /// Time since the feed last knew everything.
    pub fn lag(&self) -> Duration {
        self.start
            .elapsed()
            .saturating_sub(Duration::from_millis(self.looked_at_ms.load(Ordering::Relaxed)))
    }

    /// Writes the lag into the metrics.
    pub fn measure(&self) {
        self.lag.set(self.lag().as_secs_f64());
    }

    pub(super) fn step_begins(&self) {
        self.step_began_ms.store(self.now_ms(), Ordering::Relaxed);
    }

    pub(super) fn step_succeeded(&self) {
        self.looked_at_ms
            .store(self.step_began_ms.load(Ordering::Relaxed), Ordering::Relaxed);
        self.refused.store(false, Ordering::Relaxed);
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("the database answers again; the feed has caught up");
        }
    }

    /// Somebody else asked the database and got no answer, while the feed was still waiting for its own. Counts until a step
    /// succeeds.
    pub fn read_failed(&self, error: &DbError) {
        self.step_failed(error);
    }

    /// Only a database that does not answer is away. One that answers with an error leaves the feed behind: what is in memory
    /// is then read again before it is told.
    pub(super) fn step_failed(&self, error: &DbError) {
        match error {
            DbError::Unavailable(_) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(%error, "the feed cannot read; what is in memory goes on being told");
            }
            DbError::Unavailable(_) => {}
            DbError::Refused(_) | DbError::Unreadable(_) => {
                if !self.refused.swap(true, Ordering::Relaxed) {
                    tracing::error!(%error, "the feed is refused; orders are read one by one until it works");
                }
            }
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for FeedHealth {
    fn default() -> Self {
        Self::new()
    }
}
