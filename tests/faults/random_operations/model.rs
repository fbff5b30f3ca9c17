//! The order table as one would explain it at a whiteboard. Knows nothing of payquery's source.

use std::time::{Duration, Instant};

/// An order as it must be.
#[derive(Debug, Clone)]
pub struct ModelOrder {
    pub status: &'static str,
    pub version: i64,
    /// When the latest change was acknowledged.
    pub moved_at: Instant,
    /// The deadline, for those that have one soon; not before this.
    pub expires_at: Option<Instant>,
}

/// What a report comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Expected {
    Changed,
    Unchanged,
    Rejected,
}

pub const STATUSES: [&str; 6] = ["pending", "processing", "succeeded", "failed", "closed", "refunded"];

/// So close to its deadline it may be closed at any moment.
const EDGE: Duration = Duration::from_millis(1200);
pub const MILLISECOND: Duration = Duration::from_millis(1);

impl ModelOrder {
    /// An order whose creation was asked for at `asked_at`.
    pub fn new(asked_at: Instant, expires_in: Option<Duration>) -> Self {
        Self {
            status: "pending",
            version: 1,
            moved_at: asked_at,
            expires_at: expires_in.map(|seconds| asked_at + seconds),
        }
    }

    pub fn is_final(&self) -> bool {
        !matches!(self.status, "pending" | "processing")
    }

    /// The time is near, or past, at which the service closes it by itself.
    pub fn is_expiring(&self) -> bool {
        !self.is_final() && self.expires_at.is_some_and(|at| Instant::now() + EDGE > at)
    }

    /// Its time is up, so that the service may have closed it already. (Its deadline is a whole millisecond, which may have begun
    /// before it was asked for.)
    pub fn may_be_closed(&self) -> bool {
        !self.is_final() && self.expires_at.is_some_and(|at| Instant::now() + MILLISECOND >= at)
    }

    /// As it is when the service has closed it.
    pub fn closed(&self) -> Self {
        let mut closed = self.clone();
        closed.move_to("closed");
        closed
    }

    pub fn expect(&self, report: &str) -> Expected {
        let allowed: &[&str] = match self.status {
            "pending" => &["processing", "succeeded", "failed", "closed"],
            "processing" => &["pending", "succeeded", "failed", "closed"],
            "failed" | "closed" => &["succeeded"],
            "succeeded" => &["refunded"],
            _ => &[],
        };
        match report {
            same if same == self.status => Expected::Unchanged,
            other if allowed.contains(&other) => Expected::Changed,
            _ => Expected::Rejected,
        }
    }

    pub fn move_to(&mut self, status: &'static str) {
        self.status = status;
        self.version += 1;
        self.moved_at = Instant::now();
    }
}
