//! What the service does by itself, on a tick. Each step is a function that a test can call.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{STATEMENT_TIMEOUT, Service};
use crate::db::{DbError, idempotency_keys, order_events};

#[derive(Debug, Clone, Copy)]
enum Chore {
    /// Closes overdue orders: "within about a second" of their time.
    Expiry,
    /// Forgets revoked API keys: the tick is how long one may still open.
    Keys,
    /// Drops old idempotency keys; no hurry.
    Cleaning,
    /// Makes the coming partitions of the log and drops the old ones.
    Partitions,
}

const CLEANING_BATCH: i64 = 5000;
/// From noting what is to be forgotten to dropping it: longer than anybody may read who has looked before there was a note.
const FORGETTING_PAUSE: Duration = STATEMENT_TIMEOUT.saturating_add(Duration::from_secs(1));

impl Service {
    /// Drops one batch of old idempotency keys; says whether there may be more.
    pub async fn drop_old_answers(&self) -> Result<bool, DbError> {
        let dropped = self
            .writing(idempotency_keys::drop_old(&self.chores, CLEANING_BATCH))
            .await?;
        Ok(i64::try_from(dropped).is_ok_and(|dropped| dropped == CLEANING_BATCH))
    }

    /// Notes which events the next [keeping](Self::keep_partitions) drops; says whether there are any.
    async fn forget_old_events(&self) -> Result<bool, DbError> {
        self.writing(order_events::forget_old(&self.chores, self.event_retention_days))
            .await
    }

    /// Sees to the partitions of the log; says whether there was anything to do.
    pub async fn keep_partitions(&self) -> Result<bool, DbError> {
        let done = self
            .writing(order_events::keep_partitions(&self.chores, self.event_retention_days))
            .await?;
        if done {
            tracing::info!("partitions of the log were made or dropped");
        }
        Ok(done)
    }
}

/// Starts the chores; they end when `stop` is cancelled.
pub fn start(service: &Arc<Service>, stop: &CancellationToken) -> TaskTracker {
    let tasks = TaskTracker::new();
    for chore in [Chore::Expiry, Chore::Keys, Chore::Cleaning, Chore::Partitions] {
        tasks.spawn(chore.run_on_ticks(Arc::clone(service), stop.clone()));
    }
    tasks.close();
    tasks
}

impl Chore {
    const fn tick(self) -> Duration {
        match self {
            Self::Expiry => Duration::from_millis(500),
            Self::Keys => Duration::from_secs(2),
            Self::Cleaning => Duration::from_mins(1),
            Self::Partitions => Duration::from_hours(1),
        }
    }

    /// One step; says whether there may be more to do at once.
    async fn step(self, service: &Arc<Service>, stop: &CancellationToken) -> Result<bool, DbError> {
        match self {
            Self::Expiry => service.close_overdue().await,
            Self::Keys => service.refresh_keys().await.map(|()| false),
            Self::Cleaning => service.drop_old_answers().await,
            Self::Partitions => {
                let is_noted = service.forget_old_events().await?;
                if !is_noted || stop.run_until_cancelled(sleep(FORGETTING_PAUSE)).await.is_some() {
                    service.keep_partitions().await?;
                }
                Ok(false)
            }
        }
    }

    /// A failure is logged once, not on each tick of an outage; the next tick tries again.
    async fn run_on_ticks(self, service: Arc<Service>, stop: CancellationToken) {
        let mut ticks = interval(self.tick());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        let mut more = false;
        loop {
            if !more {
                tokio::select! {
                    _ = ticks.tick() => {}
                    () = stop.cancelled() => {}
                }
            }
            if stop.is_cancelled() {
                return;
            }
            let outcome = self.step(&service, &stop).await;
            match &outcome {
                Ok(_) if failing => tracing::info!(chore = ?self, "housekeeping works again"),
                Err(error) if !failing => tracing::warn!(chore = ?self, %error, "housekeeping failed, trying on"),
                _ => {}
            }
            failing = outcome.is_err();
            more = matches!(outcome, Ok(true));
        }
    }
}
