//! What the deliveries need beside delivering: old rows go, disabled endpoints' deliveries are given up, figures are taken.

use std::time::Duration;

use metrics::{Gauge, gauge};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::READER;
use crate::db::event_log::{self, LogError, Selection};
use crate::db::webhook_queue::{self, LinePlace};
use crate::db::{DbError, Pool, event_readers, webhook_deliveries, webhook_endpoints, webhook_listeners};
use crate::domain::time::Timestamp;

const TICK: Duration = Duration::from_secs(2);
/// Every so many ticks the backlog is counted.
const MEASURE_EVERY: u32 = 5;
/// Every so many ticks old rows go.
const CLEAN_EVERY: u32 = 30;
/// Rows that are written with one statement.
const BATCH: i64 = 1000;
/// Lines that are looked at each time in search of stranded deliveries: however many there are, it takes milliseconds.
const LINES: i64 = 5000;

/// See the module's head.
#[derive(Debug)]
pub struct Chores {
    pool: Pool,
    keep_days: u16,
    /// How far the walk in search of stranded deliveries has come.
    walked: Option<LinePlace>,
    lag: Gauge,
    backlog: Gauge,
    oldest: Gauge,
    disabled: Gauge,
}

impl Chores {
    pub fn new(pool: Pool, keep_days: u16) -> Self {
        Self {
            pool,
            keep_days,
            walked: None,
            lag: gauge!("payquery_delivery_lag_seconds", "channel" => READER),
            backlog: gauge!("payquery_delivery_backlog", "channel" => READER),
            oldest: gauge!("payquery_delivery_oldest_seconds", "channel" => READER),
            disabled: gauge!("payquery_webhook_endpoints_disabled"),
        }
    }

    /// Gives up what waits for endpoints that are disabled.
    pub async fn give_up(&self) -> Result<(), DbError> {
        loop {
            let mut transaction = self.pool.begin().await?;
            let lines = webhook_deliveries::give_up_of_disabled(&mut *transaction, BATCH).await?;
            // What is left of them, since somebody was at it, would wait for nobody if the endpoint is enabled before the next time.
            webhook_queue::release(&mut *transaction, &lines).await?;
            transaction.commit().await?;
            if !is_full(lines.len() as u64) {
                return Ok(());
            }
        }
    }

    /// Drops what is old, what is of deleted endpoints, and secrets whose time is over.
    pub async fn clean(&mut self) -> Result<(), DbError> {
        while is_full(webhook_deliveries::drop_old(&self.pool, i32::from(self.keep_days), BATCH).await?) {}
        while is_full(webhook_deliveries::drop_of_deleted(&self.pool, BATCH).await?) {}
        webhook_endpoints::drop_deleted(&self.pool).await?;
        webhook_endpoints::drop_old_secrets(&self.pool).await?;
        let (stranded, place) = webhook_queue::release_stranded(&self.pool, self.walked, LINES).await?;
        self.walked = place;
        if stranded > 0 {
            tracing::warn!(deliveries = stranded, "deliveries that waited for nobody were released");
        }
        Ok(())
    }

    /// Takes the figures for `/metrics`.
    pub async fn measure(&self) -> Result<(), LogError> {
        let backlog = webhook_deliveries::measure_backlog(&self.pool).await?;
        self.backlog.set(backlog.pending as f64);
        self.oldest.set(backlog.oldest_age);
        self.disabled
            .set(webhook_listeners::count_disabled(&self.pool).await? as f64);
        self.lag.set(self.read_lag().await?);
        Ok(())
    }

    /// Seconds since the oldest event that is not queued yet.
    async fn read_lag(&self) -> Result<f64, LogError> {
        let mut connection = self.pool.acquire().await.map_err(DbError::from)?;
        if !webhook_listeners::any_enabled(&mut *connection).await? {
            return Ok(0.0);
        }
        let Some(cursor) = event_readers::find(&mut *connection, READER).await? else {
            return Ok(0.0);
        };
        let first = Selection {
            merchant: None,
            kinds: &[],
            limit: 1,
        };
        let page = event_log::read(&mut connection, &cursor, first).await?;
        let now: Timestamp = webhook_listeners::now(&mut *connection).await?;
        let age = page.events.first().map(|logged| now.since(logged.event.at()));
        Ok(age.map_or(0.0, |age| age.as_seconds_f64().max(0.0)))
    }

    async fn step(&mut self, number: u32) -> Result<(), LogError> {
        self.give_up().await?;
        if number.is_multiple_of(MEASURE_EVERY) {
            self.measure().await?;
        }
        if number.is_multiple_of(CLEAN_EVERY) {
            self.clean().await?;
        }
        Ok(())
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        for number in 0.. {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.cancelled() => return,
            }
            let outcome = self.step(number).await;
            match &outcome {
                Ok(()) if failing => tracing::info!("the webhooks' housekeeping works again"),
                Err(error) if !failing => tracing::warn!(%error, "the webhooks' housekeeping failed, trying on"),
                _ => {}
            }
            failing = outcome.is_err();
        }
    }
}

fn is_full(done: u64) -> bool {
    i64::try_from(done).is_ok_and(|done| done == BATCH)
}
