//! The merchant's event feed: the log, read on from a cursor, and the wait for what comes.
//!
//! A reader listens, then reads, then waits, and reads again after each bell; so no wake-up is lost. What it has read is in its
//! cursor and nowhere else. It has a connection while it reads a page, none while it waits.

mod stay;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Service;
use super::wait::Ending;
use crate::db::event_log::{self, LogError, LogPage, Selection};
use crate::db::order_events::LoggedEvent;
use crate::db::{DbError, PooledConnection};
use crate::domain::event::EventKind;
use crate::domain::log_cursor::LogCursor;
use crate::domain::order::MerchantId;
use crate::hub::MerchantListener;
pub(super) use stay::FeedPlaces;
pub use stay::Stay;
pub(super) use turns::LogTurns;

/// Where a reader begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the oldest event that is kept.
    Oldest,
    /// With whatever is committed from now on.
    Now,
    After(LogCursor),
}

/// One who reads a merchant's events.
#[derive(Debug)]
pub struct EventReader {
    service: Arc<Service>,
    merchant: MerchantId,
    /// Empty: all types.
    kinds: Vec<String>,
    cursor: LogCursor,
    /// Found by a wait, and not taken yet: the page after the cursor.
    ahead: Option<LogPage>,
    news: MerchantListener,
}

/// Events as one page of the feed.
#[derive(Debug)]
pub struct EventPage {
    pub events: Vec<LoggedEvent>,
    /// After all of them, and after what was passed over.
    pub cursor: LogCursor,
    /// There may be more at once.
    pub has_more: bool,
}

/// How long a page is looked for when all that is found is of other types: then the client is told how far that went.
const SEARCH_LIMIT: Duration = Duration::from_secs(5);
/// The same when something was found: it is told soon rather than in a full page.
const FILL_LIMIT: Duration = Duration::from_millis(250);
/// Between two looks of one who waits: news of other types must not make it ask without end.
const PAUSE: Duration = Duration::from_millis(50);
/// The same while the database is away.
const OUTAGE_PAUSE: Duration = Duration::from_millis(500);

impl Service {
    /// Opens the feed of a merchant's events of these types; of all types, when none is named.
    pub async fn read_events(
        self: &Arc<Self>,
        merchant: MerchantId,
        kinds: &[EventKind],
        start: Start,
    ) -> Result<EventReader, DbError> {
        // Before the first look.
        let news = self.hub.news.listen_to(merchant);
        let cursor = match start {
            Start::Oldest => LogCursor::start(),
            Start::After(cursor) => cursor,
            Start::Now => self.end_of_log(merchant).await?,
        };
        Ok(EventReader {
            service: Arc::clone(self),
            merchant,
            kinds: kinds.iter().map(ToString::to_string).collect(),
            cursor,
            ahead: None,
            news,
        })
    }

    async fn end_of_log(&self, merchant: MerchantId) -> Result<LogCursor, DbError> {
        let mut connection = self.connection().await?;
        self.reading(event_log::end(&mut *connection, Some(merchant))).await
    }

    /// A quarter of the connections is for readers of the log, however many there are: they must not keep reports waiting.
    async fn read_log(&self, cursor: &LogCursor, selection: Selection<'_>) -> Result<LogPage, LogError> {
        let mut connection: PooledConnection = self.connection().await?;
        let page = async {
            match event_log::read(&mut connection, cursor, selection).await {
                Ok(page) => Ok(Ok(page)),
                Err(LogError::Database(error)) => Err(error),
                Err(error) => Ok(Err(error)),
            }
        };
        let page = self.reading(page).await??;
        if page.has_gap {
            return Err(LogError::CursorExpired);
        }
        Ok(page)
    }
}

impl EventReader {
    /// A place to wait in; None when there is none.
    pub fn stay(&self) -> Option<Stay> {
        self.service.feed_places.stay(&self.service.holds, self.merchant)
    }

    /// How far it has read.
    pub fn cursor(&self) -> &LogCursor {
        &self.cursor
    }

    /// The next events, as far as one look goes: perhaps none though there are more, when most are of other types.
    pub async fn look(&mut self, limit: u16) -> Result<LogPage, LogError> {
        let page = match self.ahead.take() {
            Some(page) => page,
            None => self.read_on(limit).await?,
        };
        self.cursor = page.cursor.clone();
        Ok(page)
    }

    /// The next page: empty only at the end of the log, or if nothing but other types was found for seconds.
    pub async fn next_page(&mut self, limit: u16) -> Result<EventPage, LogError> {
        let start = Instant::now();
        let mut page = EventPage {
            events: Vec::new(),
            cursor: self.cursor.clone(),
            has_more: true,
        };
        loop {
            let room = limit - u16::try_from(page.events.len()).unwrap_or(limit);
            match self.look(room).await {
                Ok(found) => {
                    page.events.extend(found.events);
                    (page.cursor, page.has_more) = (found.cursor, found.has_more);
                }
                // What was found is told; the rest may be asked for again.
                Err(_) if !page.events.is_empty() => return Ok(page),
                Err(error) => return Err(error),
            }
            let patience = if page.events.is_empty() {
                SEARCH_LIMIT
            } else {
                FILL_LIMIT
            };
            if !page.has_more || page.events.len() >= usize::from(limit) || start.elapsed() >= patience {
                return Ok(page);
            }
        }
    }

    /// Waits until there is something for it in the log, its time is up, or the process stops. The database may be away
    /// meanwhile. What woke it is what the next look finds.
    pub async fn wait(&mut self, limit: u16, stay: &mut Stay) -> Result<Ending, LogError> {
        let mut is_due = false;
        loop {
            let turn = async {
                if !is_due {
                    let read = self.cursor.horizon();
                    self.news.heard(|transaction| read.is_over(transaction)).await;
                }
                self.peek(limit).await
            };
            let peeked = tokio::select! {
                peeked = turn => peeked,
                () = &mut stay.deadline => return Ok(Ending::TimedOut),
                () = &mut stay.drained => return Ok(Ending::Drained),
            };
            let pause = match peeked {
                Ok(_) if self.ahead.is_some() => return Ok(Ending::Woken),
                Ok(has_more) => {
                    is_due = has_more;
                    PAUSE
                }
                Err(LogError::Database(DbError::Unavailable(_))) => {
                    is_due = true;
                    OUTAGE_PAUSE
                }
                Err(error) => return Err(error),
            };
            tokio::select! {
                () = sleep(pause) => {}
                () = &mut stay.deadline => return Ok(Ending::TimedOut),
                () = &mut stay.drained => return Ok(Ending::Drained),
            }
        }
    }

    /// Looks without taking; says whether there may be more after what was passed over.
    async fn peek(&mut self, limit: u16) -> Result<bool, LogError> {
        let page = self.read_on(limit).await?;
        let has_more = page.has_more;
        if page.events.is_empty() {
            self.cursor = page.cursor;
        } else {
            self.ahead = Some(page);
        }
        Ok(has_more)
    }

    async fn read_on(&self, limit: u16) -> Result<LogPage, LogError> {
        let selection = Selection {
            merchant: Some(self.merchant),
            kinds: &self.kinds,
            limit,
        };
        let _turn = self.service.log_turns.take(self.merchant).await?;
        // (Onto the heap: whoever is held for long should not keep room for it.)
        Box::pin(self.service.read_log(&self.cursor, selection)).await
    }
}
