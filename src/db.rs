//! All SQL: one file per table, and `journal` for the statements that write an order and its event as one.
//!
//! Functions take an executor and return domain types. What holds here: a change and its event are one statement, so there
//! is neither without the other; nothing above this module knows a column's name.

pub mod api_keys;
pub mod event_log;
pub mod event_readers;
pub mod feed;
pub mod idempotency_keys;
pub mod issuing_keys;
pub mod journal;
pub mod merchants;
pub mod order_events;
pub mod orders;
pub mod webhook_attempts;
pub mod webhook_claims;
pub mod webhook_deliveries;
pub mod webhook_endpoints;
pub mod webhook_listeners;
pub mod webhook_queue;
pub mod webhook_recovery;

use std::str::FromStr as _;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use sqlx::Connection as _;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::time::timeout;

/// The connections that everything shares.
pub type Pool = PgPool;
/// One of them, taken out of the pool.
pub type PooledConnection = sqlx::pool::PoolConnection<sqlx::Postgres>;
/// A transaction on one of them; rolled back unless it is committed.
pub type Transaction = sqlx::PgTransaction<'static>;
/// One of them, in a transaction or not.
pub type Connection = sqlx::PgConnection;

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is away, full, or read-only: worth trying again in a moment.
    #[error("the database is not available: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// It answered something that payquery did not expect.
    #[error("the database refused: {0}")]
    Refused(#[source] sqlx::Error),
    /// A row holds what no version of payquery writes.
    #[error("the database holds a row that payquery cannot read: {0}")]
    Unreadable(String),
}

/// SQLSTATE classes that pass by themselves: 08 connection, 53 resources (connections, disk), 57 operator intervention
/// (restart, shutdown, timeout), 40 rolled back (deadlock), 25 transaction state (25006: a standby, or a disk gone
/// read-only), 58 the server's own I/O. PostgreSQL manual, appendix A.
const PASSING_CLASSES: [&str; 6] = ["08", "53", "57", "40", "25", "58"];

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(refusal) => refusal
                .code()
                .is_some_and(|code| PASSING_CLASSES.iter().any(|class| code.starts_with(class))),
            _ => false,
        };
        if passing {
            distrust_connections();
            Self::Unavailable(error)
        } else {
            Self::Refused(error)
        }
    }
}

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    pub max_connections: u32,
    /// How long a request waits for a connection before it is told that the database is not available.
    pub acquire_timeout: Duration,
}

/// How long the very first connection may take: a server that accepts and says nothing would else be waited for without end.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that has been idle for longer is checked before it is used: its server may have gone meanwhile.
const TRUSTED_WHILE_IDLE: Duration = Duration::from_secs(1);
/// When a connection of this process was last found broken. Then the others that were in use before probably are, too.
static LAST_BREAK: Mutex<Option<Instant>> = Mutex::new(None);

/// Has every connection checked before it is used again.
fn distrust_connections() {
    *LAST_BREAK.lock() = Some(Instant::now());
}

fn is_trusted(idle_for: Duration) -> bool {
    let broke_since_its_use = LAST_BREAK.lock().is_some_and(|at| at.elapsed() <= idle_for);
    idle_for <= TRUSTED_WHILE_IDLE && !broke_since_its_use
}

impl DbError {
    /// The database took longer than anybody waits.
    pub fn no_answer() -> Self {
        distrust_connections();
        Self::Unavailable(sqlx::Error::PoolTimedOut)
    }
}

/// Opens a pool. Connects once, so that a wrong URL is found at the start.
pub async fn connect(settings: &Settings) -> Result<Pool, DbError> {
    let options = PgConnectOptions::from_str(&settings.url)?.application_name("payquery");
    // A pool tries on until its time is up, and then says only that; one connection says what is wrong.
    let first = async { sqlx::PgConnection::connect_with(&options).await?.close().await };
    timeout(CONNECT_TIMEOUT, first)
        .await
        .map_err(|_| DbError::Unavailable(sqlx::Error::PoolTimedOut))??;
    Ok(pool_of(settings).connect_with(options).await?)
}

/// A pool like [`connect`]'s that connects when it is first used.
pub fn connect_later(settings: &Settings) -> Result<Pool, DbError> {
    let options = PgConnectOptions::from_str(&settings.url)?.application_name("payquery");
    Ok(pool_of(settings).connect_lazy_with(options))
}

fn pool_of(settings: &Settings) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(settings.acquire_timeout)
        .after_connect(|connection, _| Box::pin(async move { prepare_session(connection).await }))
        // A connection that was used a moment ago is not asked whether it is there: that would be a third of a report's way.
        .test_before_acquire(false)
        .before_acquire(|connection, usage| {
            Box::pin(async move {
                if !is_trusted(usage.idle_for) {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
}

/// A 2xx means committed, also where the server's default is to answer before the disk has it; stronger settings stay. The
/// server itself ends what nobody waits for any more. No query here is worth compiling, and each finds few rows by an index:
/// a plan that was made while a table was small (a new installation, a new month of the log) is kept when it has grown, and
/// must not be one that reads all of it for each batch.
async fn prepare_session(connection: &mut sqlx::PgConnection) -> sqlx::Result<()> {
    sqlx::query!(
        "select set_config('statement_timeout', '6s', false) as statement_timeout, set_config('jit', 'off', false) as jit,
                set_config('enable_seqscan', 'off', false) as seqscan, set_config('enable_hashjoin', 'off', false) as hashjoin,
                set_config('enable_mergejoin', 'off', false) as mergejoin,
                set_config('synchronous_commit',
                           case when current_setting('synchronous_commit') in ('off', 'local') then 'on'
                                else current_setting('synchronous_commit') end, false) as synchronous_commit"
    )
    .fetch_one(connection)
    .await
    .map(|_| ())
}

/// The schema's history. Landed files are never rewritten.
static MIGRATIONS: Migrator = Migrator {
    // A schema that is newer than this program is one that it can work with: changes that an older version could not bear
    // come a version later. So replicas of both versions may be started while they are exchanged, or the new one taken back.
    ignore_missing: true,
    ..sqlx::migrate!()
};

/// Brings the schema up to date. Safe to run from several replicas at once: they take turns.
pub async fn migrate(pool: &Pool) -> Result<(), sqlx::migrate::MigrateError> {
    let mut connection = pool.acquire().await?;
    // An index on a large table takes what it takes.
    sqlx::query!("select set_config('statement_timeout', '0', false) as setting")
        .fetch_one(&mut *connection)
        .await?;
    let outcome = MIGRATIONS.run(&mut *connection).await;
    // With its setting the session goes, too.
    connection.close().await?;
    outcome
}

/// Whether the database answers.
pub async fn ping(pool: &Pool) -> Result<(), DbError> {
    sqlx::query_scalar!("select 1 as one").fetch_one(pool).await?;
    Ok(())
}
