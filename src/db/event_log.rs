//! Table `order_events` as those read it who must not miss an event: pages after a cursor.

use sqlx::PgExecutor;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::order_events::{EventRow, LoggedEvent};
use super::{Connection, DbError};
use crate::domain::log_cursor::{Forgotten, Horizon, LogCursor, LogPosition};
use crate::domain::order::MerchantId;
use crate::domain::time::Timestamp;

/// What is read of the log.
#[derive(Debug, Clone, Copy)]
pub struct Selection<'a> {
    /// None: every merchant's events.
    pub merchant: Option<MerchantId>,
    /// Events of these types; of all, when there are none.
    pub kinds: &'a [String],
    /// The most events in a page.
    pub limit: u16,
}

/// Events after a cursor, in order.
#[derive(Debug)]
pub struct LogPage {
    pub events: Vec<LoggedEvent>,
    /// After all of them, and after what was passed over.
    pub cursor: LogCursor,
    /// There may be more at once.
    pub has_more: bool,
    /// Events that the cursor had not read yet are not kept any more. (Whoever begins with the oldest misses none.)
    pub has_gap: bool,
    /// Where each event stands.
    positions: Vec<LogPosition>,
    /// Where the page begins, and what was over when it was read.
    before: LogCursor,
    now: Horizon,
}

impl LogPage {
    /// The cursor after the event with that index: from there on the rest of the page comes, and what follows it.
    pub fn cursor_after(&self, index: usize) -> LogCursor {
        let last = self.positions[index];
        match self.before.within() {
            Some(within) if within.transaction == last.transaction => self.before.moved_within(last),
            _ => self.before.past_within().cut_at(last, &self.now),
        }
    }

    /// Adds what was found; says where that ends, if there may be more.
    fn take(&mut self, found: Found) -> Option<LogPosition> {
        for (position, event) in found.events {
            self.positions.push(position);
            self.events.push(event);
        }
        found.cut
    }
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The cursor has seen transactions that this server never had: it is of another database, or of one that was put back
    /// to an earlier state.
    #[error("the cursor is of another database, or of a later state of this one")]
    CursorAhead,
    /// Events that the cursor had not read yet are not kept any more.
    #[error("events after the cursor are not kept any more")]
    CursorExpired,
    #[error(transparent)]
    Database(#[from] DbError),
}

impl From<sqlx::Error> for LogError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

/// Events that are looked at for one page when most of them are of other types: an answer comes in any case.
const MAX_PASSED_OVER: i64 = 5_000;

/// The cursor after everything that is committed now, for one who reads the merchant's events (everybody's).
pub async fn end(executor: impl PgExecutor<'_>, merchant: Option<MerchantId>) -> Result<LogCursor, DbError> {
    let (now, forgotten) = look(executor, merchant).await?;
    Ok(LogCursor::at(now).knowing(forgotten))
}

/// What lies after a cursor.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Up to the number that was asked for.
    pub count: u32,
    pub oldest: Option<Timestamp>,
}

/// How many events lie after `cursor`, counted up to `most`, and when the oldest of them happened.
pub async fn count_after(connection: &mut Connection, cursor: &LogCursor, most: u32) -> Result<Waiting, LogError> {
    let (now, _) = look(&mut *connection, None).await?;
    if cursor.horizon().is_ahead_of(&now) {
        return Err(LogError::CursorAhead);
    }
    // (Transactions are numbered from 3 on.)
    let (transaction, seq) = cursor.within().map_or((0, 0), |at| (at.transaction, at.seq));
    let waiting = sqlx::query!(
        r#"select count(*) as "count!", min(at) as oldest
           from ((select at from order_events
                  where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                    and not (xid = $2::text::xid8 and seq <= $3)
                  order by xid limit $4)
                 union all
                 (select e.at
                  from pg_snapshot_xip($1::text::pg_snapshot) as running
                       cross join lateral (
                           select at from order_events
                           where xid = running and not (xid = $2::text::xid8 and seq <= $3)
                           order by seq limit $4) as e)
                 limit $4) as waiting"#,
        cursor.horizon().to_text(),
        transaction.to_string(),
        seq,
        i64::from(most),
    )
    .fetch_one(connection)
    .await?;
    Ok(Waiting {
        count: u32::try_from(waiting.count).unwrap_or(most),
        oldest: waiting.oldest.map(Into::into),
    })
}

fn read_horizon(snapshot: &str) -> Result<Horizon, DbError> {
    Horizon::parse(snapshot).ok_or_else(|| DbError::Unreadable(format!("snapshot {snapshot:?}")))
}

/// What is over, and what is not kept any more of the merchant's events (of everybody's), if that is any. Notes of transactions
/// that are yet to come are of a database that this one was restored from.
async fn look(
    executor: impl PgExecutor<'_>,
    merchant: Option<MerchantId>,
) -> Result<(Horizon, Option<Forgotten>), DbError> {
    let row = sqlx::query!(
        r#"select pg_current_snapshot()::text as "snapshot!", forgotten.xid::text::bigint as "transaction?",
                  forgotten.seq as "seq?", forgotten.noted::text::bigint as "noted?"
           from (values (1)) as look
                left join lateral (
                    (select xid, seq, noted from order_events_forgotten
                     where merchant_id = $1 and xid < pg_snapshot_xmax(pg_current_snapshot()))
                    union all
                    (select xid, seq, noted from order_events_forgotten
                     where $1 is null and xid < pg_snapshot_xmax(pg_current_snapshot())
                     order by xid desc, seq desc limit 1)) as forgotten on true"#,
        merchant.map(|merchant| merchant.0)
    )
    .fetch_one(executor)
    .await?;
    let forgotten = match (row.transaction, row.seq, row.noted) {
        (Some(transaction), Some(seq), Some(noted)) => Some(Forgotten {
            last: LogPosition {
                transaction: read_id(transaction)?,
                seq,
            },
            noted: read_id(noted)?,
        }),
        _ => None,
    };
    Ok((read_horizon(&row.snapshot)?, forgotten))
}

fn read_id(transaction: i64) -> Result<u64, DbError> {
    u64::try_from(transaction).map_err(|_| DbError::Unreadable(format!("transaction {transaction}")))
}

/// A row, the transaction that wrote it, and what it stands for in its page.
struct PageRow {
    seq: i64,
    transaction: i64,
    id: Uuid,
    kind: String,
    order_id: Option<Uuid>,
    merchant_id: Uuid,
    out_trade_no: Option<String>,
    version: Option<i64>,
    from_status: Option<String>,
    to_status: Option<String>,
    source: String,
    accepted: bool,
    reason: Option<String>,
    at: DateTime<Utc>,
    data: serde_json::Value,
    is_wanted: bool,
    scanned: i64,
}

/// The statement, for one merchant or for all. The innermost part has two halves, each a walk along an index: transactions that
/// were yet to come, and those that were running. (Together, from the oldest that was running on, they would be all that was
/// written since: much, where one is left open for long.) The next part finds the last row, which is the cursor's whether it is
/// wanted or not.
macro_rules! select_rows {
    ($whose:literal, $between:expr, $after:expr, $kinds:expr, $scan:expr, $limit:expr $(, $merchant:expr)?) => {
        sqlx::query_as!(
            PageRow,
            r#"select seq as "seq!", xid::text::bigint as "transaction!", id as "id!", kind as "kind!", order_id,
                      merchant_id as "merchant_id!", out_trade_no, version, from_status, to_status, source as "source!",
                      accepted as "accepted!", reason, at as "at!", data as "data!",
                      is_wanted as "is_wanted!", scanned as "scanned!"
               from (select *, cardinality($4::text[]) = 0 or kind = any($4) as is_wanted, count(*) over () as scanned,
                            row_number() over (order by xid, seq) as place
                     from ((select * from order_events
                            where xid >= pg_snapshot_xmax($1::text::pg_snapshot)
                              and xid < pg_snapshot_xmax($2::text::pg_snapshot)
                              and pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
                              and seq > $3
                              and "# + $whose + r#"
                            order by xid, seq limit $5)
                           union all
                           (select e.*
                            from pg_snapshot_xip($1::text::pg_snapshot) as running
                                 cross join lateral (
                                     select * from order_events
                                     where xid = running
                                       and pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
                                       and seq > $3
                                       and "# + $whose + r#"
                                     order by seq limit $5) as e)
                           order by xid, seq limit $5) as looked_at) as page
               where is_wanted or place = scanned
               order by xid, seq limit $6"#,
            $between.0, $between.1, $after, $kinds, $scan, $limit $(, $merchant)?
        )
    };
}

/// The events after `cursor`, as far as one page goes.
pub async fn read(
    connection: &mut Connection,
    cursor: &LogCursor,
    selection: Selection<'_>,
) -> Result<LogPage, LogError> {
    // What is over is looked up first: rows of transactions that end meanwhile are left for the next page.
    let (now, forgotten) = look(&mut *connection, selection.merchant).await?;
    if cursor.horizon().is_ahead_of(&now) {
        return Err(LogError::CursorAhead);
    }
    let misses = forgotten.is_some_and(|forgotten| cursor.misses(forgotten, &now));
    let has_gap = misses && *cursor != LogCursor::start();
    let cursor = cursor.clone().knowing(forgotten);
    let mut page = LogPage {
        events: Vec::new(),
        cursor: cursor.clone(),
        has_more: false,
        has_gap,
        positions: Vec::new(),
        before: cursor.clone(),
        now,
    };
    if let Some(within) = cursor.within() {
        let (since, until) = Horizon::around(within.transaction);
        let rest = select(&mut *connection, (&since, &until), within.seq, selection).await?;
        if let Some(last) = page.take(rest) {
            page.cursor = cursor.moved_within(last);
            page.has_more = true;
            return Ok(page);
        }
    }
    let read = cursor.past_within();
    let room = Selection {
        // (A page that is not cut has room.)
        limit: selection
            .limit
            .saturating_sub(u16::try_from(page.events.len()).unwrap_or(u16::MAX)),
        ..selection
    };
    let found = select(connection, (read.horizon(), &page.now), 0, room).await?;
    let cut = page.take(found);
    page.has_more = cut.is_some();
    page.cursor = match cut {
        Some(last) => read.cut_at(last, &page.now),
        None => LogCursor::at(page.now.clone()).knowing(forgotten),
    };
    Ok(page)
}

/// What lies between two horizons, as far as it was read.
struct Found {
    events: Vec<(LogPosition, LoggedEvent)>,
    /// Where it ends, if there may be more.
    cut: Option<LogPosition>,
}

async fn select(
    connection: &mut Connection,
    (since, until): (&Horizon, &Horizon),
    after: i64,
    selection: Selection<'_>,
) -> Result<Found, DbError> {
    let limit = i64::from(selection.limit);
    let scan = if selection.kinds.is_empty() {
        limit
    } else {
        MAX_PASSED_OVER.max(limit)
    };
    let (between, kinds) = ((since.to_text(), until.to_text()), selection.kinds);
    let rows = match selection.merchant {
        Some(merchant) => {
            select_rows!("merchant_id = $7", between, after, kinds, scan, limit, merchant.0)
                .fetch_all(connection)
                .await?
        }
        None => {
            select_rows!("true", between, after, kinds, scan, limit)
                .fetch_all(connection)
                .await?
        }
    };
    let scanned = rows.last().map_or(0, |row| row.scanned);
    let is_cut = scanned == scan || i64::try_from(rows.len()).is_ok_and(|found| found == limit);
    let cut = rows.last().filter(|_| is_cut).map(PageRow::position).transpose()?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows.into_iter().filter(|row| row.is_wanted) {
        let position = row.position()?;
        events.extend(row.read().map(|event| (position, event)));
    }
    Ok(Found { events, cut })
}

impl PageRow {
    fn position(&self) -> Result<LogPosition, DbError> {
        Ok(LogPosition {
            transaction: read_id(self.transaction)?,
            seq: self.seq,
        })
    }

    fn read(self) -> Option<LoggedEvent> {
        EventRow {
            seq: self.seq,
            id: self.id,
            kind: self.kind,
            order_id: self.order_id,
            merchant_id: self.merchant_id,
            out_trade_no: self.out_trade_no,
            version: self.version,
            from_status: self.from_status,
            to_status: self.to_status,
            source: self.source,
            accepted: self.accepted,
            reason: self.reason,
            at: self.at,
            data: self.data,
        }
        .read_or_pass_over()
    }
}
