//! Table `order_events` as the feed reads it: whatever was committed since the last look.
//!
//! The cursor is a snapshot (`pg_current_snapshot()`): which transactions were over, which were running, which were yet to
//! come. What is new since then was written by transactions that were running or yet to come, and is visible now. So every
//! row is seen exactly once, whatever order transactions commit in, and a transaction that stays open for long, here or in
//! another database of the cluster, holds nothing up: it is one more id to ask for. (PgQ of Skype's SkyTools works so, too.)

use std::time::Duration;

use sqlx::PgExecutor;
use sqlx::postgres::PgListener;
use tokio::time::timeout;

use super::DbError;
use crate::domain::order::{MerchantId, OrderId, Version};

/// How far the feed has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Transaction ids only grow, unless another server took over that lacks the last ones (an asynchronous standby, a
    /// restored backup) and gives their ids out again: then nothing is known of what they wrote.
    fn is_behind(&self, before: &Self) -> bool {
        let next = |cursor: &Self| cursor.0.split(':').nth(1).and_then(|id| id.parse::<u64>().ok());
        next(self) < next(before)
    }
}

/// What was committed since a cursor.
#[derive(Debug)]
pub enum Changes {
    Known {
        /// The orders that something happened to.
        orders: Vec<Change>,
        /// Which transactions wrote events of which merchants, also events that are of no order.
        written: Vec<(MerchantId, u64)>,
        cursor: Cursor,
    },
    /// More than [`MAX_EVENTS`]: cheaper to look at what is in memory than at what happened.
    TooMany,
}

/// An order of which the log says something new.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub order_id: OrderId,
    pub merchant_id: MerchantId,
    /// The highest among the events.
    pub version: Version,
    /// False: all of it were rejected moves.
    pub accepted: bool,
}

/// The most events in one reading.
const MAX_EVENTS: i64 = 20_000;

/// A cursor before which everything is committed or rolled back, and after which everything is still to be read.
pub async fn read_cursor(executor: impl PgExecutor<'_>) -> Result<Cursor, DbError> {
    let snapshot = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#)
        .fetch_one(executor)
        .await?;
    Ok(Cursor(snapshot))
}

/// What happened to orders since `cursor`. One statement, so that the rows and the new cursor are of one snapshot.
pub async fn read_changes(executor: impl PgExecutor<'_>, cursor: &Cursor) -> Result<Changes, DbError> {
    let row = sqlx::query!(
        r#"with since as (select $1::text::pg_snapshot as snapshot),
                -- Those yet to come, and those that were running: two halves, each a look into the index. Order and limit
                -- keep the planner to it, which would else expect a third of the table; so does the offset, which would
                -- else join with all of it.
                later as (
                    select order_id, merchant_id, version, accepted, xid from order_events
                    where xid >= (select pg_snapshot_xmax(snapshot) from since)
                      -- After a restore by pg_dump old rows have ids that this server has not given out yet.
                      and xid < pg_snapshot_xmax(pg_current_snapshot())
                    order by xid limit $2),
                running as (
                    select e.order_id, e.merchant_id, e.version, e.accepted, e.xid
                    from since cross join pg_snapshot_xip(snapshot) as xip
                         cross join lateral (
                             select order_id, merchant_id, version, accepted, xid from order_events
                             where xid = xip.xip offset 0) as e),
                changed as (
                    select order_id, merchant_id, max(version) as version, bool_or(accepted) as accepted
                    from (table later union all table running) as event
                    where order_id is not null
                    group by order_id, merchant_id),
                written as (
                    select distinct merchant_id, xid::text::bigint as xid
                    from (table later union all table running) as event)
           select pg_current_snapshot()::text as "snapshot!",
                  (select count(*) from later) as "later!",
                  coalesce((select array_agg(order_id order by order_id) from changed), '{}') as "order_ids!",
                  coalesce((select array_agg(merchant_id order by order_id) from changed), '{}') as "merchant_ids!",
                  coalesce((select array_agg(version order by order_id) from changed), '{}') as "versions!",
                  coalesce((select array_agg(accepted order by order_id) from changed), '{}') as "accepted!",
                  coalesce((select array_agg(merchant_id order by merchant_id, xid) from written), '{}') as "writers!",
                  coalesce((select array_agg(xid order by merchant_id, xid) from written), '{}') as "transactions!""#,
        cursor.0,
        MAX_EVENTS,
    )
    .fetch_one(executor)
    .await?;
    let now = Cursor(row.snapshot);
    if row.later == MAX_EVENTS || now.is_behind(cursor) {
        return Ok(Changes::TooMany);
    }
    let ids = row.order_ids.into_iter().zip(row.merchant_ids);
    let changes = ids.zip(row.versions.into_iter().zip(row.accepted));
    let changes = changes.map(|((order, merchant), (version, accepted))| Change {
        order_id: OrderId(order),
        merchant_id: MerchantId(merchant),
        version: Version(version),
        accepted,
    });
    Ok(Changes::Known {
        orders: changes.collect(),
        written: row
            .writers
            .into_iter()
            .zip(row.transactions)
            .map(|(merchant, id)| (MerchantId(merchant), id.unsigned_abs()))
            .collect(),
        cursor: now,
    })
}

/// The channel on which replicas tell each other that there is something to read.
pub const CHANNEL: &str = "payquery_events";

/// The server's process that serves a session: whoever rings can be told by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backend(pub u32);

/// Rings the doorbell of every replica; says by which session. Carries nothing, and is never part of a transaction that
/// writes: a commit with a notification waits for all others of its kind.
pub async fn ring(executor: impl PgExecutor<'_>) -> Result<Backend, DbError> {
    let row = sqlx::query!(
        r#"select pg_notify($1, '') as rung, pg_backend_pid() as "backend!""#,
        CHANNEL
    )
    .fetch_one(executor)
    .await?;
    Ok(Backend(row.backend.cast_unsigned()))
}

/// A session of its own that hears the doorbell. What it misses, the feed's tick finds.
#[derive(Debug)]
pub struct Listener(PgListener);

/// How long the line may be silent before it is checked. A connection that fell into a black hole says nothing, ever.
const HEARTBEAT: Duration = Duration::from_secs(10);
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Listener {
    /// Listens at `url`, which must lead to the server itself: behind a transaction pooler nobody hears anything.
    pub async fn connect(url: &str) -> Result<Self, DbError> {
        let connect = async {
            let mut listener = PgListener::connect(url).await?;
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok(Self(listener))
        };
        // A line into a black hole may connect and never say another word.
        timeout(CONNECT_TIMEOUT, connect)
            .await
            .unwrap_or(Err(DbError::Unavailable(sqlx::Error::PoolTimedOut)))
    }

    /// Ends when the bell rang, and says by which session; or, without one, when the line was found in order after a silence.
    /// An error means that the line is dead: connect anew, and catch up.
    pub async fn hear(&mut self) -> Result<Option<Backend>, DbError> {
        match timeout(HEARTBEAT, self.0.try_recv()).await {
            Ok(Ok(Some(ring))) => Ok(Some(Backend(ring.process_id()))),
            Ok(Ok(None)) => Err(DbError::Unavailable(sqlx::Error::WorkerCrashed)),
            Ok(Err(error)) => Err(error.into()),
            Err(_silence) => {
                let beat = sqlx::query_scalar!("select 1 as one").fetch_one(&mut self.0);
                timeout(HEARTBEAT_TIMEOUT, beat)
                    .await
                    .map_err(|_| DbError::Unavailable(sqlx::Error::PoolTimedOut))??;
                Ok(None)
            }
        }
    }
}
