//! From the queue to the endpoints: claim, send, mark.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use metrics::{Counter, counter};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use tokio_util::sync::CancellationToken;

use super::hands::{Hand, Hands};
use super::plan::Next;
use super::sender::{Report, Sender};
use super::{Liaison, READER, Settings, verdict};
use crate::db::webhook_claims::{self, Claimed, Mark, Room};
use crate::db::{Connection, DbError, Pool, webhook_attempts, webhook_queue};
use crate::domain::order::OrderId;
use crate::domain::webhook::{DeliveryId, DeliveryState, EndpointId};
use crate::feed::Doorbell;
use crate::hub::News;

/// Attempts that a process makes at once.
const MAX_AT_ONCE: usize = 512;
/// The same at one endpoint; and at one that took nothing lately, so that many dead ones do not take all places.
const MAX_PER_ENDPOINT: i64 = 8;
const MAX_PER_FAILING_ENDPOINT: i64 = 2;
/// And at all of those together: half of the places are for the others, however many fail.
const MAX_AT_FAILING_ENDPOINTS: i64 = 256;
/// The most that are claimed with one statement.
const CLAIM: usize = 256;
/// How late what becomes due is noticed.
const TICK: Duration = Duration::from_millis(250);
/// A lease lasts so many times as long as an attempt may: the rest is for claiming and marking.
const LEASE_FACTOR: u32 = 2;
/// How long attempts in hand are waited for at a stop; less than the process waits for its chores.
const STOP_LIMIT: Duration = Duration::from_millis(2500);

/// See the module's head.
#[derive(Debug)]
pub struct Worker {
    pool: Pool,
    settings: Settings,
    sender: Sender,
    liaison: Arc<Liaison>,
    bells: Bells,
    /// Attempts that are being made.
    attempts: JoinSet<Finished>,
    /// Attempts that are over and not marked yet.
    finished: Vec<Finished>,
    hands: Hands,
    counters: Counters,
}

/// Whom to tell when the worker itself writes into the log.
#[derive(Debug)]
pub struct Bells {
    pub news: Arc<News>,
    pub doorbell: Arc<Doorbell>,
}

#[derive(Debug)]
struct Counters {
    delivered: Counter,
    failed: Counter,
    given_up: Counter,
    overtaken: Counter,
    failures: Counter,
}

/// An attempt that is over.
#[derive(Debug)]
pub(super) struct Finished {
    /// Until it is marked.
    _hand: Hand,
    pub(super) delivery: Claimed,
    pub(super) report: Report,
    pub(super) next: Next,
}

impl Worker {
    pub fn new(pool: Pool, settings: Settings, liaison: Arc<Liaison>, bells: Bells) -> reqwest::Result<Self> {
        let outcome = |outcome| counter!("payquery_webhook_attempts_total", "outcome" => outcome);
        Ok(Self {
            pool,
            sender: Sender::new(&settings)?,
            settings,
            liaison,
            bells,
            attempts: JoinSet::new(),
            finished: Vec::new(),
            hands: Hands::default(),
            counters: Counters {
                delivered: outcome("delivered"),
                failed: outcome("failed"),
                given_up: outcome("given_up"),
                overtaken: outcome("overtaken"),
                failures: counter!("payquery_delivery_failures_total", "channel" => READER),
            },
        })
    }

    /// Marks what is over, claims what is due, and sets out to send it. Says whether there may be more to claim at once.
    pub async fn step(&mut self) -> Result<bool, DbError> {
        while let Some(finished) = self.attempts.try_join_next() {
            self.finished.extend(finished);
        }
        self.mark().await?;
        if self.liaison.is_idle.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let total = CLAIM.min(MAX_AT_ONCE.saturating_sub(self.attempts.len()));
        let room = Room {
            total: i64::try_from(total).unwrap_or(0),
            per_endpoint: MAX_PER_ENDPOINT,
            per_failing_endpoint: MAX_PER_FAILING_ENDPOINT,
            failing: MAX_AT_FAILING_ENDPOINTS,
            lease_seconds: (self.settings.timeout * LEASE_FACTOR).as_secs_f64(),
        };
        if total == 0 {
            return Ok(false);
        }
        let claimed = webhook_claims::claim(&self.pool, room, &self.hands.count()).await?;
        let is_full = claimed.len() == total;
        for delivery in claimed {
            let hand = self.hands.take(delivery.endpoint);
            let (sender, plan) = (self.sender.clone(), self.settings.retry_plan.clone());
            self.attempts.spawn(async move {
                let report = sender.send(&delivery).await;
                let next = plan.after(delivery.tries, report.outcome, fastrand::f64());
                Finished {
                    _hand: hand,
                    delivery,
                    report,
                    next,
                }
            });
        }
        Ok(is_full)
    }

    /// Writes down what has come of the attempts that are over. If that fails they are kept, and it is tried again.
    async fn mark(&mut self) -> Result<(), DbError> {
        if self.finished.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool.begin().await?;
        verdict::take_back_last_words(&mut transaction, &mut self.finished).await?;
        let marked = mark_all(&mut transaction, &self.finished).await?;
        let ours: Vec<_> = of_those(&self.finished, &marked).collect();
        let told = verdict::pass(&mut transaction, &ours, self.settings.disable_after).await?;
        transaction.commit().await?;
        if !told.is_empty() {
            self.bells.news.tell(told);
            self.bells.doorbell.ring();
        }
        for finished in std::mem::take(&mut self.finished) {
            self.count(&finished, marked.contains(&finished.delivery.id));
        }
        Ok(())
    }

    fn count(&self, finished: &Finished, is_marked: bool) {
        let Report { attempt, .. } = &finished.report;
        tracing::debug!(
            delivery.id = %finished.delivery.id, attempt = attempt.number, status = attempt.status,
            error = attempt.error.as_deref(), duration_ms = attempt.duration_ms, "webhook attempt"
        );
        let counter = match finished.next {
            _ if !is_marked => &self.counters.overtaken,
            Next::Done => &self.counters.delivered,
            Next::TryAgain(_) => &self.counters.failed,
            Next::GiveUp => &self.counters.given_up,
        };
        counter.increment(1);
        if finished.next != Next::Done {
            self.counters.failures.increment(1);
        }
    }

    /// Steps whenever something was queued or an attempt is over, and on every tick.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        while !stop.is_cancelled() {
            let outcome = self.step().await;
            match &outcome {
                Ok(_) if failing => tracing::info!("webhooks are delivered again"),
                Err(error) if !failing => tracing::warn!(%error, "webhooks cannot be claimed or marked, trying on"),
                _ => {}
            }
            failing = outcome.is_err();
            if outcome.is_ok_and(|more| more) {
                continue;
            }
            tokio::select! {
                Some(finished) = self.attempts.join_next(), if !failing => self.finished.extend(finished),
                () = self.liaison.queued.notified(), if !failing => {}
                _ = ticks.tick() => {}
                () = stop.cancelled() => {}
            }
        }
        self.finish().await;
    }

    /// Waits for the attempts in hand, for a while, and marks them. The rest is left to their leases.
    async fn finish(&mut self) {
        let deadline = Instant::now() + STOP_LIMIT;
        while let Ok(Some(finished)) = timeout_at(deadline, self.attempts.join_next()).await {
            self.finished.extend(finished);
        }
        if let Err(error) = self.mark().await {
            tracing::warn!(%error, "the last webhooks cannot be marked; they will be sent again");
        }
    }
}

async fn mark_all(connection: &mut Connection, finished: &[Finished]) -> Result<Vec<DeliveryId>, DbError> {
    let marks: Vec<_> = finished.iter().map(Finished::mark).collect();
    let marked = webhook_claims::mark(&mut *connection, &marks).await?;
    let attempts: Vec<_> = of_those(finished, &marked)
        .map(|finished| (finished.delivery.id, &finished.report.attempt))
        .collect();
    webhook_attempts::insert(&mut *connection, &attempts).await?;
    let over = of_those(finished, &marked).filter(|finished| !matches!(finished.next, Next::TryAgain(_)));
    let lines: Vec<(EndpointId, Option<OrderId>)> = over
        .map(|finished| (finished.delivery.endpoint, finished.delivery.order))
        .collect();
    webhook_queue::release(connection, &lines).await?;
    Ok(marked)
}

fn of_those<'a>(finished: &'a [Finished], ids: &'a [DeliveryId]) -> impl Iterator<Item = &'a Finished> {
    finished.iter().filter(|finished| ids.contains(&finished.delivery.id))
}

impl Finished {
    fn mark(&self) -> Mark {
        let (state, delay) = match self.next {
            Next::Done => (DeliveryState::Delivered, Duration::ZERO),
            Next::GiveUp => (DeliveryState::Failed, Duration::ZERO),
            Next::TryAgain(delay) => (DeliveryState::Pending, delay),
        };
        Mark {
            id: self.delivery.id,
            token: self.delivery.token,
            state,
            delay_seconds: delay.as_secs_f64(),
        }
    }
}
