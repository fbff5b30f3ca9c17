//! What an endpoint was not sent of a merchant's log: read in windows, so that no statement takes long whatever was asked for.

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use uuid::Uuid;

use super::order_events::{EventRow, LoggedEvent};
use super::{Connection, DbError};
use crate::domain::listing::{LogPlace, TimeRange};
use crate::domain::webhook::{DeliveryId, Endpoint};

/// What is looked for: events of that time after a place in the log, and how many at most.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub range: TimeRange,
    pub after: Option<LogPlace>,
    pub limit: i64,
}

/// An event that the endpoint was not sent.
#[derive(Debug)]
pub struct Unsent {
    pub event: LoggedEvent,
    /// The delivery that was given up; None: there never was one.
    pub given_up: Option<DeliveryId>,
}

/// What one look has found.
#[derive(Debug)]
pub struct Window {
    pub unsent: Vec<Unsent>,
    /// Up to here all of it was looked at; None: up to the end of the time.
    pub end: Option<LogPlace>,
}

/// Events, of whatever merchant, that one look passes along: some 50 ms.
const WINDOW: i64 = 20_000;

/// Of the next events of that time, along the log's primary key, those that the endpoint was not sent: given up, or never to be
/// sent although it wants them. In the order of their times, so in the order of each order.
///
/// There is no index of a merchant's events by time: every report would pay for it. So the events of all are passed along.
pub async fn find_unsent(connection: &mut Connection, endpoint: &Endpoint, span: Span) -> Result<Window, DbError> {
    let from = span.range.from.map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
    let start = match span.after {
        Some(place) if read_time(place)? >= from => (read_time(place)?, place.seq),
        _ => (from, -1),
    };
    let until = span.range.to.map_or(DateTime::<Utc>::MAX_UTC, DateTime::<Utc>::from);
    let last = find_last(&mut *connection, start, until).await?;
    let end = last.unwrap_or((until, -1));
    let rows = select(connection, endpoint, (start, end), span.limit).await?;
    let is_cut = i64::try_from(rows.len()).is_ok_and(|found| found == span.limit);
    let cut = rows.last().filter(|_| is_cut).map(|row| (row.event.at, row.event.seq));
    Ok(Window {
        end: cut.or(last).map(place),
        unsent: rows.into_iter().filter_map(UnsentRow::read).collect(),
    })
}

/// A row as it was read, before it becomes an event.
struct UnsentRow {
    event: EventRow,
    given_up: Option<Uuid>,
}

impl UnsentRow {
    fn read(self) -> Option<Unsent> {
        Some(Unsent {
            event: self.event.read_or_pass_over()?,
            given_up: self.given_up.map(DeliveryId),
        })
    }
}

/// A time and a sequence number: the log's primary key.
type Key = (DateTime<Utc>, i64);

fn place((at, seq): Key) -> LogPlace {
    LogPlace {
        at_us: at.timestamp_micros(),
        seq,
    }
}

fn read_time(place: LogPlace) -> Result<DateTime<Utc>, DbError> {
    DateTime::from_timestamp_micros(place.at_us).ok_or_else(|| DbError::Unreadable("time of a place in the log".into()))
}

/// The last event of a window that begins after `start`; None when it is not full.
async fn find_last(executor: impl PgExecutor<'_>, start: Key, until: DateTime<Utc>) -> Result<Option<Key>, DbError> {
    let row = sqlx::query!(
        "select at, seq from order_events where at >= $1 and (at, seq) > ($1, $2) and at < $3
         order by at, seq offset $4 limit 1",
        start.0,
        start.1,
        until,
        WINDOW - 1,
    )
    .fetch_optional(executor)
    .await?;
    Ok(row.map(|row| (row.at, row.seq)))
}

/// Linear in the window, whatever the planner expects of an endpoint that its statistics do not know, or of a time they end
/// before: what the log and the endpoint have is read once each, and a full join is never a loop within a loop. Behind `(select …)`
/// the planner does not see which endpoint it is; so it takes the index by event, and not one along all that the endpoint has.
/// Ids of events sort by time: those of a window are near each other.
async fn select(
    executor: impl PgExecutor<'_>,
    endpoint: &Endpoint,
    (start, end): (Key, Key),
    limit: i64,
) -> Result<Vec<UnsentRow>, DbError> {
    let rows = sqlx::query!(
        r#"with log as materialized (
               select at, seq, id, kind from order_events
               where merchant_id = $1 and at >= $3 and (at, seq) > ($3, $4) and at <= $5 and (at, seq) <= ($5, $6)),
           had as materialized (
               select id, event_id, state from webhook_deliveries
               where endpoint_id = (select $2::uuid)
                 and event_id >= (select id from log order by id limit 1)
                 and event_id <= (select id from log order by id desc limit 1)),
           pair as materialized (
               select log.at, log.seq, log.kind, had.id as delivery, had.state from log full join had on had.event_id = log.id),
           unsent as materialized (
               select at, seq, delivery as given_up from pair
               where at is not null
                 and case when delivery is null then cardinality($7::text[]) = 0 or kind = any($7) else state = 'failed' end
               order by at, seq limit $8)
           select e.seq, e.id, e.kind, e.order_id, e.merchant_id, e.out_trade_no, e.version, e.from_status, e.to_status,
                  e.source, e.accepted, e.reason, e.at, e.data, unsent.given_up as "given_up?"
           from unsent cross join lateral (
                    select * from order_events where at = unsent.at and seq = unsent.seq limit 1) as e
           order by unsent.at, unsent.seq"#,
        endpoint.merchant_id.0,
        endpoint.id.0,
        start.0,
        start.1,
        end.0,
        end.1,
        endpoint.filter.types(),
        limit,
    )
    .fetch_all(executor)
    .await?;
    let rows = rows.into_iter().map(|row| UnsentRow {
        given_up: row.given_up,
        event: EventRow {
            seq: row.seq,
            id: row.id,
            kind: row.kind,
            order_id: row.order_id,
            merchant_id: row.merchant_id,
            out_trade_no: row.out_trade_no,
            version: row.version,
            from_status: row.from_status,
            to_status: row.to_status,
            source: row.source,
            accepted: row.accepted,
            reason: row.reason,
            at: row.at,
            data: row.data,
        },
    });
    Ok(rows.collect())
}
