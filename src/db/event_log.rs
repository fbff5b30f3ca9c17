//! Table `order_events` as those read it who must not miss an event: pages after a cursor.

use sqlx::PgExecutor;
use sqlx::types::chrono::{DateTime, Utc};
use uuid::Uuid;

use super::order_events::{EventRow, LoggedEvent};
use super::{Connection, DbError};
use crate::domain::log_cursor::{Horizon, LogCursor, LogPosition};
use crate::domain::order::MerchantId;

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
}

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The cursor has seen transactions that this server never had: it is of another database, or of one that was put back
    /// to an earlier state.
    #[error("the cursor is of another database, or of a later state of this one")]
    CursorAhead,
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

/// The cursor after everything that is committed now.
pub async fn end(executor: impl PgExecutor<'_>) -> Result<LogCursor, DbError> {
    horizon(executor).await.map(LogCursor::at)
}

async fn horizon(executor: impl PgExecutor<'_>) -> Result<Horizon, DbError> {
    let snapshot = sqlx::query_scalar!(r#"select pg_current_snapshot()::text as "snapshot!""#)
        .fetch_one(executor)
        .await?;
    Horizon::parse(&snapshot).ok_or_else(|| DbError::Unreadable(format!("snapshot {snapshot:?}")))
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

/// The statement, for one merchant or for all. The innermost part walks along an index, from the first transaction that was
/// not over; the next finds its last row, which is the cursor's whether it is wanted or not.
macro_rules! select_rows {
    ($whose:literal, $between:expr, $after:expr, $kinds:expr, $scan:expr, $limit:expr $(, $merchant:expr)?) => {
        sqlx::query_as!(
            PageRow,
            r#"select seq, xid::text::bigint as "transaction!", id, kind, order_id, merchant_id, out_trade_no, version,
                      from_status, to_status, source, accepted, reason, at, data,
                      is_wanted as "is_wanted!", scanned as "scanned!"
               from (select *, cardinality($4::text[]) = 0 or kind = any($4) as is_wanted, count(*) over () as scanned,
                            row_number() over (order by xid, seq) as place
                     from (select * from order_events
                           where xid >= pg_snapshot_xmin($1::text::pg_snapshot)
                             and xid < pg_snapshot_xmax($2::text::pg_snapshot)
                             and not pg_visible_in_snapshot(xid, $1::text::pg_snapshot)
                             and pg_visible_in_snapshot(xid, $2::text::pg_snapshot)
                             and seq > $3
                             and "# + $whose + r#"
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
    let now = horizon(&mut *connection).await?;
    if cursor.horizon().is_ahead_of(&now) {
        return Err(LogError::CursorAhead);
    }
    let (mut events, mut cursor) = (Vec::new(), cursor.clone());
    if let Some(within) = cursor.within() {
        let (since, until) = Horizon::around(within.transaction);
        let rest = select(&mut *connection, (&since, &until), within.seq, selection).await?;
        if let Some(last) = rest.cut {
            return Ok(LogPage {
                events: rest.events,
                cursor: cursor.moved_within(last),
                has_more: true,
            });
        }
        events = rest.events;
        cursor = cursor.past_within();
    }
    let room = Selection {
        // (A page that is not cut has room.)
        limit: selection
            .limit
            .saturating_sub(u16::try_from(events.len()).unwrap_or(u16::MAX)),
        ..selection
    };
    let found = select(connection, (cursor.horizon(), &now), 0, room).await?;
    events.extend(found.events);
    Ok(LogPage {
        events,
        cursor: found
            .cut
            .map_or_else(|| LogCursor::at(now.clone()), |last| cursor.cut_at(last, &now)),
        has_more: found.cut.is_some(),
    })
}

/// What lies between two horizons, as far as it was read.
struct Found {
    events: Vec<LoggedEvent>,
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
    let wanted = rows.into_iter().filter(|row| row.is_wanted);
    Ok(Found {
        events: wanted.map(PageRow::read).collect::<Result<_, _>>()?,
        cut,
    })
}

impl PageRow {
    fn position(&self) -> Result<LogPosition, DbError> {
        let transaction = u64::try_from(self.transaction)
            .map_err(|_| DbError::Unreadable(format!("transaction {}", self.transaction)))?;
        Ok(LogPosition {
            transaction,
            seq: self.seq,
        })
    }

    fn read(self) -> Result<LoggedEvent, DbError> {
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
        .try_into()
    }
}
