//! Webhooks (Standard Webhooks): what happens to a merchant's orders is posted to the endpoints that it named.
//!
//! Two tasks of every replica share the work. [`Spreader`] reads the log, in turns with the other replicas, and queues a
//! delivery for each event and endpoint that wants it, in the transaction that moves its place in the log. [`Worker`] claims
//! what is due, sends it, and marks what came of it. Each may be killed at any point: what is read and not queued is
//! read again, what is claimed and not marked is claimed again when the lease is over. So everything arrives at least once.

mod chores;
mod entries;
mod guard;
mod hands;
mod lookups;
mod plan;
mod sender;
mod spreader;
mod verdict;
mod worker;

pub use chores::Chores;
pub use entries::{Entry, put_in};
pub use guard::{Guard, GuardError};
pub use plan::{RetryPlan, RetryPlanError, parse_duration};
pub use spreader::Spreader;
pub use worker::{Bells, Worker};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::Notify;

/// The name of this reader of the log.
pub const READER: &str = "webhooks";
/// How long the secret before the last rotation signs, too.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);
/// Endpoints that a merchant may have.
pub const MAX_ENDPOINTS: i64 = 20;

/// What each means is said where the configuration is documented.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Networks besides the public ones that may be reached.
    pub allow: Vec<IpNet>,
    pub retry_plan: RetryPlan,
    /// Of one attempt, from the look-up of the name to the answer.
    pub timeout: Duration,
    /// An endpoint that took nothing for so long is disabled.
    pub disable_after: Duration,
    /// Days that deliveries are kept; 0 is for ever.
    pub retention_days: u16,
}

/// What the journeys need of the deliveries: whom may be sent to, and bells to hurry with.
#[derive(Debug)]
pub struct Liaison {
    pub guard: Guard,
    pub retention_days: u16,
    /// No endpoint is enabled: there is nothing to claim, so nobody asks.
    pub is_idle: AtomicBool,
    /// Somebody wants events who did not before.
    pub endpoints_changed: Notify,
    /// Something was queued.
    pub queued: Notify,
}

impl Liaison {
    pub fn new(settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            guard: Guard::new(settings.allow.clone()),
            retention_days: settings.retention_days,
            is_idle: AtomicBool::new(false),
            endpoints_changed: Notify::new(),
            queued: Notify::new(),
        })
    }
}
