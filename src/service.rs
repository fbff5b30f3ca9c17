//! The journeys: what a request, whatever door it came through, does to orders and learns of them.
//!
//! Transports translate to and from these functions and decide nothing themselves. No HTTP here: results and errors are
//! typed, and say what happened, not what to answer.

pub mod authenticate;
pub mod create;
pub mod events;
pub mod expire;
pub mod follow;
pub mod housekeeping;
pub mod open;
mod queue;
pub mod read;
pub mod update;
pub mod wait;
pub mod webhooks;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Histogram, counter, histogram};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::db::{DbError, Pool, PooledConnection, Transaction, issuing_keys};
use crate::delivery::webhooks as deliveries;
use crate::domain::client_secret::IssuingKey;
use crate::domain::time::Timestamp;
use crate::feed::{Doorbell, Feed, FeedHealth, Trust};
use crate::hub::Hub;
use authenticate::KnownKeys;
use create::CreationJob;
use events::{FeedPlaces, LogTurns};
use queue::Queue;
use update::ReportJob;
use wait::Holds;

/// All that the journeys need; shared by every request.
#[derive(Debug)]
pub struct Service {
    pub hub: Arc<Hub>,
    pub holds: Arc<Holds>,
    pub known_keys: KnownKeys,
    pub feed_health: Arc<FeedHealth>,
    pub doorbell: Arc<Doorbell>,
    pub webhooks: Arc<deliveries::Liaison>,
    pool: Pool,
    /// Connections that no request can take.
    chores: Pool,
    lists: Semaphore,
    log_turns: LogTurns,
    feed_places: Arc<FeedPlaces>,
    row_waits: Semaphore,
    reports: Arc<Queue<ReportJob>>,
    creations: Arc<Queue<CreationJob>>,
    /// Where writes run: to their end, whoever hangs up meanwhile.
    runtime: Handle,
    issuing_key: IssuingKey,
    random: SystemRandom,
    times: DatabaseTimes,
    event_retention_days: u16,
    expired: Counter,
}

/// Bounds of the service; what each means is said where the configuration is documented.
#[derive(Debug, Clone)]
pub struct Settings {
    pub max_hot: usize,
    /// Lists that may be read at once, and besides them as many pages of the log.
    pub lists: usize,
    /// Connections that may wait at once for rows that somebody has locked.
    pub row_waits: usize,
    /// Days that events are kept; 0 is for ever.
    pub event_retention_days: u16,
    pub holds: wait::Settings,
    pub webhooks: deliveries::Settings,
}

#[derive(Debug, Clone)]
struct DatabaseTimes {
    acquire: Histogram,
    read: Histogram,
    write: Histogram,
    errors: Counter,
}

impl Service {
    /// The installation's key for client secrets; made at the very first start.
    pub async fn issuing_key(pool: &Pool) -> Result<IssuingKey, DbError> {
        issuing_keys::find_or_create(pool, &random_bytes(&SystemRandom::new())).await
    }

    /// Must be called within the runtime that is to talk to the database.
    pub fn new(pool: Pool, chores: Pool, issuing_key: IssuingKey, settings: &Settings) -> Self {
        Self {
            hub: Hub::new(settings.max_hot),
            holds: Holds::new(&settings.holds),
            known_keys: KnownKeys::default(),
            feed_health: Arc::new(FeedHealth::new()),
            doorbell: Arc::new(Doorbell::default()),
            webhooks: deliveries::Liaison::new(&settings.webhooks),
            pool,
            chores,
            lists: Semaphore::new(settings.lists),
            log_turns: LogTurns::new(settings.lists),
            feed_places: Arc::default(),
            row_waits: Semaphore::new(settings.row_waits),
            reports: Queue::new(histogram!("payquery_batch_size", "of" => "reports")),
            creations: Queue::new(histogram!("payquery_batch_size", "of" => "creations")),
            runtime: Handle::current(),
            issuing_key,
            random: SystemRandom::new(),
            times: DatabaseTimes {
                acquire: histogram!("payquery_database_seconds", "kind" => "acquire"),
                read: histogram!("payquery_database_seconds", "kind" => "read"),
                write: histogram!("payquery_database_seconds", "kind" => "write"),
                errors: counter!("payquery_database_errors_total"),
            },
            event_retention_days: settings.event_retention_days,
            expired: counter!("payquery_orders_expired_total"),
        }
    }

    /// The feed that keeps this service's hub up to date with other replicas.
    pub fn feed(&self) -> Feed {
        Feed::new(
            self.chores.clone(),
            Arc::clone(&self.hub),
            Arc::clone(&self.feed_health),
        )
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), DbError> {
        self.reading(crate::db::ping(&self.pool)).await
    }

    async fn connection(&self) -> Result<PooledConnection, DbError> {
        let acquire = async { Ok(self.pool.acquire().await?) };
        self.ask(&self.times.acquire, acquire).await
    }

    /// A transaction of its own. (sqlx's future for that is large, so it goes onto the heap.)
    async fn begin(&self, pool: &Pool) -> Result<Transaction, DbError> {
        Box::pin(self.writing(async { Ok(pool.begin().await?) })).await
    }

    async fn reading<T>(&self, query: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        self.ask(&self.times.read, query).await
    }

    async fn writing<T>(&self, query: impl Future<Output = Result<T, DbError>>) -> Result<T, DbError> {
        self.ask(&self.times.write, query).await
    }

    /// While the database is away only the feed asks it, every tick: all others are told at once, and do not all connect anew
    /// in the moment of its return.
    async fn ask<T>(
        &self,
        histogram: &Histogram,
        query: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        self.must_be_there()?;
        self.times.time(histogram, query).await
    }

    /// An error while the database is away.
    fn must_be_there(&self) -> Result<(), DbError> {
        match self.feed_health.trust() {
            Trust::Away => Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)),
            Trust::Live | Trust::Behind => Ok(()),
        }
    }
}

impl DatabaseTimes {
    async fn time<T>(
        &self,
        histogram: &Histogram,
        query: impl Future<Output = Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let start = Instant::now();
        // A server that was stopped, or fell behind a black hole, would keep its callers for ever.
        let result = timeout(STATEMENT_TIMEOUT, query).await;
        let result = result.unwrap_or_else(|_| Err(DbError::no_answer()));
        histogram.record(start.elapsed());
        if result.is_err() {
            self.errors.increment(1);
        }
        result
    }
}

/// How long a statement may take, and the wait for a connection before it. A merchant's backend has a limit of its own; an
/// honest 503 within it is worth more than an answer after it.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);

/// This process's clock.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

/// Bytes from the operating system's generator.
pub(crate) fn random_bytes<const N: usize>(random: &SystemRandom) -> [u8; N] {
    let mut bytes = [0; N];
    random
        .fill(&mut bytes)
        .expect("the operating system has randomness to give, or nothing here is safe");
    bytes
}
