//! The feed: every replica tails the order events, so that its hub learns what the others committed.
//!
//! Reading is what counts: [`Feed::step`] finds each committed change once, whatever happened to the doorbell. The doorbell
//! (`NOTIFY`, empty, outside of every writing transaction, a few milliseconds apart) makes it quick; the tick makes it sure.

mod doorbell;
mod trust;

pub use doorbell::{Doorbell, Line, listen, ring_out};
pub use trust::{FeedHealth, Trust};

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::db::feed::{Change, Changes, Cursor, read_changes, read_cursor};
use crate::db::{DbError, Pool, orders};
use crate::domain::order::OrderId;
use crate::hub::{Hub, Snapshot};

/// The longest that a change of another replica stays unseen while the database is well, doorbell or not.
const TICK: Duration = Duration::from_millis(200);
/// A step that takes longer is given up: the database is away, or as good as.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// Orders that are read again with one statement.
const CHUNK: usize = 500;

/// See the module's head.
#[derive(Debug)]
pub struct Feed {
    pool: Pool,
    hub: Arc<Hub>,
    /// None: nothing is known of what happened so far; the next step looks at everything in memory.
    cursor: Option<Cursor>,
    health: Arc<FeedHealth>,
    rereads: Counter,
    resyncs: Counter,
}

impl Feed {
    pub fn new(pool: Pool, hub: Arc<Hub>, health: Arc<FeedHealth>) -> Self {
        let (rereads, resyncs) = (
            counter!("payquery_feed_rereads_total"),
            counter!("payquery_feed_resyncs_total"),
        );
        Self {
            pool,
            hub,
            cursor: None,
            health,
            rereads,
            resyncs,
        }
    }

    /// Takes in everything that was committed since the last step that succeeded. The cursor moves only when all of it has
    /// reached the hub; a step that failed is simply done again.
    pub async fn step(&mut self) -> Result<(), DbError> {
        let changes = match &self.cursor {
            Some(cursor) => read_changes(&self.pool, cursor).await?,
            None => Changes::TooMany,
        };
        let cursor = match changes {
            Changes::Known {
                orders,
                written,
                cursor,
            } => {
                let lacking = orders
                    .iter()
                    .filter(|change| self.hub.lacks(change.order_id, change.version));
                self.read_again(&lacking.map(|change| change.order_id).collect::<Vec<_>>())
                    .await?;
                self.tell_followers(&orders).await?;
                self.hub.news.tell_of(written);
                cursor
            }
            Changes::TooMany => {
                // The cursor first: what is committed while the orders are read is found by the next step.
                let cursor = read_cursor(&self.pool).await?;
                self.resyncs.increment(1);
                self.read_again(&self.hub.ids()).await?;
                self.hub.tell_followers_that_they_missed();
                self.hub.news.tell_all();
                cursor
            }
        };
        self.cursor = Some(cursor);
        Ok(())
    }

    /// Tells those who follow a merchant: from the hub where it has the order, else from the database.
    async fn tell_followers(&self, changes: &[Change]) -> Result<(), DbError> {
        if !self.hub.has_followers() {
            return Ok(());
        }
        let mut cold = Vec::new();
        let accepted = changes.iter().filter(|change| change.accepted);
        for change in accepted.filter(|change| self.hub.is_followed(change.merchant_id)) {
            match self.hub.peek(change.order_id) {
                Some(hot) => self.hub.tell_followers(hot.merchant_id, hot.id, &hot.snapshot()),
                None => cold.push(change.order_id),
            }
        }
        for chunk in cold.chunks(CHUNK) {
            for order in orders::find_all(&self.pool, chunk).await?.orders {
                let snapshot = Arc::new(Snapshot::changed(&order));
                self.hub.tell_followers(order.merchant_id, order.id, &snapshot);
            }
        }
        Ok(())
    }

    async fn read_again(&self, ids: &[OrderId]) -> Result<(), DbError> {
        for chunk in ids.chunks(CHUNK) {
            self.hub.publish_all(&orders::find_all(&self.pool, chunk).await?.orders);
            self.rereads.increment(chunk.len() as u64);
        }
        Ok(())
    }

    /// Steps whenever the bell rings, and on every tick.
    pub async fn run(mut self, doorbell: Arc<Doorbell>, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = doorbell.rung() => {}
                () = stop.cancelled() => return,
            }
            self.health.step_begins();
            let outcome = timeout(STEP_TIMEOUT, self.step()).await;
            match outcome.unwrap_or_else(|_| Err(DbError::no_answer())) {
                Ok(()) => self.health.step_succeeded(),
                Err(error) => self.health.step_failed(&error),
            }
        }
    }
}
