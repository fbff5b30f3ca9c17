//! One reader's turn at the log, among all replicas.

use metrics::{Counter, counter};

use crate::db::event_log::{self, LogError, LogPage, Selection};
use crate::db::{Connection, DbError, Pool, Transaction, event_readers};
use crate::domain::log_cursor::LogCursor;

/// A reader's place in the log, held by this process until it finishes or goes away. A transaction: meant for as long as a page
/// takes, not for waiting on others.
#[derive(Debug)]
pub struct Turn {
    transaction: Transaction,
    reader: &'static str,
    cursor: LogCursor,
}

/// Counts what a reader never gets to see, because it was away for longer than events are kept.
#[derive(Debug)]
pub struct Gaps {
    reader: &'static str,
    counter: Counter,
}

impl Gaps {
    pub fn of(reader: &'static str) -> Self {
        Self {
            reader,
            counter: counter!("payquery_delivery_gaps_total", "channel" => reader),
        }
    }

    fn tell(&self) {
        self.counter.increment(1);
        tracing::warn!(
            reader = self.reader,
            "events were dropped before this reader of the log had dealt with them; it goes on with the oldest that is kept"
        );
    }
}

impl Turn {
    /// Takes the reader's place; None while another replica has it. A reader that has none gets one at the log's end, for good.
    pub async fn take(pool: &Pool, reader: &'static str) -> Result<Option<Self>, DbError> {
        let mut transaction = pool.begin().await?;
        let mut cursor = event_readers::claim(&mut transaction, reader).await?;
        if cursor.is_none() && event_readers::begin_at_end(&mut transaction, reader).await? {
            transaction.commit().await?;
            transaction = pool.begin().await?;
            cursor = event_readers::claim(&mut transaction, reader).await?;
        }
        Ok(cursor.map(|cursor| Self {
            transaction,
            reader,
            cursor,
        }))
    }

    /// The next events of all merchants, up to `limit`. Nothing moves yet. What is not kept any more is told as a gap, once for
    /// each time that the place is not moved past it.
    pub async fn read(&mut self, limit: u16, gaps: &Gaps) -> Result<LogPage, LogError> {
        let selection = Selection {
            merchant: None,
            kinds: &[],
            limit,
        };
        let page = event_log::read(&mut self.transaction, &self.cursor, selection).await?;
        if page.has_gap {
            gaps.tell();
        }
        Ok(page)
    }

    /// For what is to be committed together with the move.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.transaction
    }

    /// Everything before `cursor` is dealt with: moves the place there, for good.
    pub async fn finish(mut self, cursor: &LogCursor) -> Result<(), DbError> {
        event_readers::advance(&mut *self.transaction, self.reader, cursor).await?;
        self.commit().await
    }

    /// Commits what was written over the [connection](Turn::connection), and moves nothing.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.transaction.commit().await?)
    }
}
