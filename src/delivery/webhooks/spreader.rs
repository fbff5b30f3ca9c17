//! From the log into the queue: one delivery for each event and each endpoint that wants it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::entries::{Entry, put_in};
use super::{Liaison, READER};
use crate::db::event_log::{LogError, LogPage};
use crate::db::webhook_listeners::{self, Listening};
use crate::db::webhook_queue::{EventSlip, NewDelivery};
use crate::db::{Connection, DbError, Pool, event_readers};
use crate::delivery::{Gaps, Turn};
use crate::domain::event::EventDocument;
use crate::domain::order::MerchantId;
use crate::hub::News;

/// Events that are read with one statement.
const PAGE: u16 = 500;
/// The longest that an event of another replica waits when nobody told of it.
const TICK: Duration = Duration::from_secs(1);
/// Events that come within this time are read together.
const PACE: Duration = Duration::from_millis(20);

/// See the module's head.
#[derive(Debug)]
pub struct Spreader {
    pool: Pool,
    news: Arc<News>,
    liaison: Arc<Liaison>,
    failures: Counter,
    gaps: Gaps,
}

/// What a step has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nobody wants events: the log is not even read.
    NobodyListens,
    CaughtUp,
    ThereIsMore,
}

impl Spreader {
    pub fn new(pool: Pool, news: Arc<News>, liaison: Arc<Liaison>) -> Self {
        let failures = counter!("payquery_delivery_failures_total", "channel" => READER);
        Self {
            pool,
            news,
            liaison,
            failures,
            gaps: Gaps::of(READER),
        }
    }

    /// Queues what the next page of the log calls for, and moves on, as one. Another replica may be at it: then that is that.
    pub async fn step(&self) -> Result<Step, LogError> {
        let is_idle = !webhook_listeners::any_enabled(&self.pool).await?;
        self.liaison.is_idle.store(is_idle, Ordering::Relaxed);
        if is_idle {
            return Ok(Step::NobodyListens);
        }
        let Some(mut turn) = Turn::take(&self.pool, READER).await? else {
            return Ok(Step::CaughtUp);
        };
        let page = match turn.read(PAGE, &self.gaps).await {
            Err(LogError::CursorAhead) => {
                event_readers::skip_to_end(turn.connection(), READER).await?;
                turn.commit().await?;
                tracing::warn!(
                    "the database was put back to an earlier state: webhooks go on from now; recover what is missing"
                );
                return Ok(Step::CaughtUp);
            }
            page => page?,
        };
        if page.events.is_empty() && !page.has_more && !page.has_gap {
            return Ok(Step::CaughtUp);
        }
        if queue(turn.connection(), &page).await? > 0 {
            turn.finish(&page.cursor).await?;
            self.liaison.queued.notify_one();
        } else {
            turn.finish(&page.cursor).await?;
        }
        Ok(if page.has_more {
            Step::ThereIsMore
        } else {
            Step::CaughtUp
        })
    }

    /// Steps whenever there is news, and on every tick.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Nobody listens for news as long as there is nobody to send it to.
        let mut listener = None;
        let mut failing = false;
        while !stop.is_cancelled() {
            let outcome = self.step().await;
            match &outcome {
                Ok(_) if failing => tracing::info!("webhooks are queued again"),
                Err(error) if !failing => tracing::warn!(%error, "webhooks cannot be queued, trying on"),
                _ => {}
            }
            failing = outcome.is_err();
            match outcome {
                Ok(Step::ThereIsMore) => continue,
                Ok(Step::NobodyListens) => listener = None,
                Ok(Step::CaughtUp) if listener.is_none() => {
                    // First listen, then read.
                    listener = Some(self.news.listen());
                    continue;
                }
                Ok(Step::CaughtUp) => {}
                Err(_) => self.failures.increment(1),
            }
            let pause = async {
                match &mut listener {
                    Some(listener) if !failing => {
                        sleep(PACE).await;
                        listener.heard().await;
                    }
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = self.liaison.endpoints_changed.notified() => {}
                _ = ticks.tick() => {}
                () = stop.cancelled() => {}
            }
        }
    }
}

/// Queues a page's events; says how many deliveries came of them.
async fn queue(connection: &mut Connection, page: &LogPage) -> Result<u64, DbError> {
    let mut merchants: Vec<_> = page.events.iter().map(|logged| logged.event.merchant_id().0).collect();
    merchants.sort_unstable();
    merchants.dedup();
    let mut listening: HashMap<MerchantId, Vec<Listening>> = HashMap::new();
    for endpoint in webhook_listeners::find_listening(&mut *connection, &merchants).await? {
        listening.entry(endpoint.merchant).or_default().push(endpoint);
    }
    let mut new = Vec::new();
    for logged in &page.events {
        let event = &logged.event;
        let endpoints = listening.get(&event.merchant_id()).into_iter().flatten();
        let mut wanting = endpoints
            .filter(|endpoint| endpoint.filter.wants(event.kind()))
            .peekable();
        if wanting.peek().is_some() {
            let slip = EventSlip::of(event, EventDocument::of(event).to_text());
            new.extend(wanting.map(|endpoint| Entry::New(NewDelivery::new(endpoint.id, slip.clone()))));
        }
    }
    put_in(connection, &new).await
}
