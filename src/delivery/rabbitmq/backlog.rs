//! How far behind the reader is: what an operator looks at first.

use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{READER, Turn};
use crate::db::event_log::LogError;
use crate::db::{DbError, Pool, event_log, event_readers};
use crate::domain::time::Timestamp;

const TICK: Duration = Duration::from_secs(2);
/// More than that are not counted: it is a lot.
const MOST_COUNTED: u32 = 100_000;

/// Measures on every replica, whichever of them sends: so it is known, too, when none does.
#[derive(Debug)]
pub struct Backlog {
    pool: Pool,
    now: fn() -> Timestamp,
    events: Gauge,
    lag: Gauge,
}

impl Backlog {
    pub fn new(pool: Pool, now: fn() -> Timestamp) -> Self {
        Self {
            pool,
            now,
            events: gauge!("payquery_delivery_backlog", "channel" => READER),
            lag: gauge!("payquery_delivery_lag_seconds", "channel" => READER),
        }
    }

    /// While the database is away the last figures stay, and the log has a line of others about it.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Some(Err(error)) = stop.run_until_cancelled(self.measure()).await {
                tracing::debug!(%error, "cannot tell how many events wait for rabbitmq");
            }
        }
    }

    async fn measure(&self) -> Result<(), LogError> {
        let mut connection = self.pool.acquire().await.map_err(DbError::from)?;
        let waiting = match event_readers::find(&mut *connection, READER).await {
            // (An operator took it away, and the sender may be waiting for its broker: whoever looks first begins anew.)
            Ok(None) => {
                drop(connection); // the pool may have no other
                return Ok(Turn::take(&self.pool, READER).await.map(drop)?);
            }
            Ok(Some(cursor)) => event_log::count_after(&mut connection, &cursor, MOST_COUNTED).await,
            Err(error) => Err(error.into()),
        };
        if let Err(LogError::CursorAhead | LogError::Database(DbError::Unreadable(_))) = waiting {
            // Nothing goes out from such a place, until somebody decides where to go on.
            self.lag.set(f64::INFINITY);
        }
        let waiting = waiting?;
        let age = waiting
            .oldest
            .map_or(0, |oldest| (self.now)().unix_ms() - oldest.unix_ms());
        self.events.set(f64::from(waiting.count));
        self.lag.set(age.max(0) as f64 / 1000.0);
        Ok(())
    }
}
