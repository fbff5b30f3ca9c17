//! How far a reader of the log has read: a cursor that skips nothing, whatever order transactions commit in.
//!
//! Events are read in the order of their transactions' ids, and those of one transaction in the order of their sequence
//! numbers. A transaction that is still running keeps nothing back: the cursor remembers its id and finds its events when
//! it is over. So the order of all events depends on when one looks; what holds for every reader is that each event comes
//! exactly once, and that the events of one order come in the order in which they happened. (Each change of an order is a
//! statement whose snapshot has seen the one before, so transaction ids ascend along an order's versions.)

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::listing::CursorError;

/// Which transactions are over, for one who looks: all below `next` but those that are `running`. Postgres calls it
/// `pg_snapshot`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// The first id that was not given out yet.
    next: u64,
    /// Ascending, each below `next`.
    running: Vec<u64>,
}

/// See the module's head. Opaque to clients; good over restarts and replicas, since it names transactions and no state of
/// ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCursor {
    /// The events of the transactions that are over have all been read,
    horizon: Horizon,
    /// and of this one, which does not count as over yet (it is running, or the next), those up to a sequence number.
    within: Option<LogPosition>,
    /// What was noted as [forgotten](Forgotten) up to this transaction is nothing that the reader would still have to read. 0
    /// where that is plain, since it has read further.
    aware_of: u64,
}

/// What the log does not keep any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The last event that is gone. Not all before it need be.
    pub last: LogPosition,
    /// The id of the transaction that noted it.
    pub noted: u64,
}

/// Where an event stands in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// The id of the transaction that wrote it.
    pub transaction: u64,
    pub seq: i64,
}

/// Transactions that a cursor may name as running: more than any server has connections.
const MAX_RUNNING: usize = 10_000;
const MAX_ID: u64 = i64::MAX.unsigned_abs();
const TAG: u8 = b'l';
/// Of a cursor that says what it is aware of.
const AWARE_TAG: u8 = b'o';

impl Horizon {
    /// Reads what Postgres writes: `xmin:xmax:xip,xip,…`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let next = parts.next()?.parse().ok()?;
        let running = parts.next()?.split(',').filter(|id| !id.is_empty());
        let running = running.map(|id| id.parse().ok()).collect::<Option<Vec<u64>>>()?;
        Some(Self { next, running })
    }

    /// As Postgres reads it.
    pub fn to_text(&self) -> String {
        let first = self.running.first().unwrap_or(&self.next);
        let running: Vec<_> = self.running.iter().map(u64::to_string).collect();
        format!("{first}:{}:{}", self.next, running.join(","))
    }

    /// Transaction ids only grow, unless another server took over that lacks the last ones: then ids that this horizon calls
    /// over are given out once more.
    pub fn is_ahead_of(&self, now: &Self) -> bool {
        self.next > now.next
    }

    /// Two that have but this transaction between them.
    pub fn around(transaction: u64) -> (Self, Self) {
        let until = |next| Self {
            next,
            running: Vec::new(),
        };
        (until(transaction), until(transaction.saturating_add(1)))
    }

    /// Whether it was over at that look.
    pub fn is_over(&self, transaction: u64) -> bool {
        transaction < self.next && !self.running.contains(&transaction)
    }
}

impl LogCursor {
    /// Before the first event.
    pub fn start() -> Self {
        Self::at(Horizon {
            next: 1,
            running: Vec::new(),
        })
    }

    /// All that was over at a look has been read.
    pub fn at(horizon: Horizon) -> Self {
        Self {
            horizon,
            within: None,
            aware_of: 0,
        }
    }

    /// Whether the log has forgotten what this reader has not read, without its knowing. In doubt it has: of a transaction that
    /// was running when the reader looked last nobody knows whether it wrote what is gone. One that runs to this moment did not.
    pub fn misses(&self, forgotten: Forgotten, now: &Horizon) -> bool {
        let Forgotten { last, noted } = forgotten;
        let has_read = |at: LogPosition| at.transaction == last.transaction && at.seq >= last.seq;
        let read = if self.within.is_some_and(has_read) {
            self.past_within()
        } else {
            self.clone()
        };
        let running = &read.horizon.running;
        let ended = running.iter().filter(|id| !now.running.contains(id));
        noted > self.aware_of && ended.chain([&read.horizon.next]).any(|id| *id <= last.transaction)
    }

    /// The same place, for a reader who looks when this is forgotten already: what it has not read yet is not part of it, or it
    /// begins with what is left.
    #[must_use]
    pub fn knowing(mut self, forgotten: Option<Forgotten>) -> Self {
        let noted = forgotten.map_or(0, |forgotten| forgotten.noted);
        self.aware_of = self.aware_of.max(noted);
        self.tidied()
    }

    /// Behind the note itself it means nothing any more.
    fn tidied(mut self) -> Self {
        let first_unread = self.horizon.running.first().unwrap_or(&self.horizon.next);
        if self.aware_of < *first_unread {
            self.aware_of = 0;
        }
        self
    }

    /// Where the reader is in the middle of a transaction: the rest of it comes next, before all others.
    pub fn within(&self) -> Option<LogPosition> {
        self.within
    }

    /// What is left to read but for that: all that was not over here.
    pub fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// The cursor in the middle of the same transaction, further on.
    #[must_use]
    pub fn moved_within(&self, last: LogPosition) -> Self {
        Self {
            within: Some(last),
            ..self.clone()
        }
    }

    /// The cursor when the transaction that it is in the middle of has been read to its end.
    #[must_use]
    pub fn past_within(&self) -> Self {
        let mut horizon = self.horizon.clone();
        if let Some(LogPosition { transaction, .. }) = self.within {
            horizon.next = horizon.next.max(transaction + 1);
            horizon.running.retain(|id| *id != transaction);
        }
        Self {
            aware_of: self.aware_of,
            ..Self::at(horizon)
        }
        .tidied()
    }

    /// The cursor after a page, read while `now` was over, that ends with `last` though there is more.
    #[must_use]
    pub fn cut_at(&self, last: LogPosition, now: &Horizon) -> Self {
        let cut = last.transaction;
        let before = now.running.iter().filter(|id| **id < cut);
        let from_there = self.horizon.running.iter().filter(|id| **id >= cut);
        Self {
            horizon: Horizon {
                next: self.horizon.next.max(cut),
                running: before.chain(from_there).copied().collect(),
            },
            within: Some(last),
            aware_of: self.aware_of,
        }
        .tidied()
    }

    pub fn encode(&self) -> String {
        let mut bytes = vec![TAG];
        if self.aware_of > 0 {
            bytes = vec![AWARE_TAG];
            put(&mut bytes, self.aware_of);
        }
        put(&mut bytes, self.horizon.next);
        put(&mut bytes, self.horizon.running.len() as u64);
        let mut above = self.horizon.next;
        for id in self.horizon.running.iter().rev() {
            put(&mut bytes, above - id);
            above = *id;
        }
        if let Some(within) = self.within {
            put(&mut bytes, within.transaction);
            put(&mut bytes, within.seq.unsigned_abs());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub fn decode(text: &str) -> Result<Self, CursorError> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| CursorError)?;
        let cursor = Self::read(&bytes).ok_or(CursorError)?;
        // A number may be written in several ways; a cursor in one.
        if cursor.encode() == text {
            Ok(cursor)
        } else {
            Err(CursorError)
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.split_first()?;
        let aware_of = match *tag {
            TAG => 0,
            AWARE_TAG => take(&mut rest)?,
            _ => return None,
        };
        let next = take(&mut rest)?;
        let count = usize::try_from(take(&mut rest)?)
            .ok()
            .filter(|count| *count <= MAX_RUNNING)?;
        let mut running = Vec::with_capacity(count.min(bytes.len()));
        let mut above = next;
        for _ in 0..count {
            let distance = take(&mut rest)?;
            above = above.checked_sub(distance).filter(|id| distance > 0 && *id > 0)?;
            running.push(above);
        }
        running.reverse();
        let within = if rest.is_empty() {
            None
        } else {
            let transaction = take(&mut rest)?;
            let seq = i64::try_from(take(&mut rest)?).ok()?;
            Some(LogPosition { transaction, seq })
        };
        let is_running = |id| id == next || running.binary_search(&id).is_ok();
        // Postgres counts up to 2^64, which nobody will see; we read its numbers as 63 bits.
        let is_whole =
            rest.is_empty() && next > 0 && next < MAX_ID && within.is_none_or(|at| is_running(at.transaction));
        let cursor = Self {
            horizon: Horizon { next, running },
            within,
            aware_of,
        };
        // (Whoever is aware of what means nothing is written without it.)
        (is_whole && aware_of < MAX_ID).then(|| cursor.tidied())
    }
}

/// Seven bits a byte, the lowest first; the eighth says that more follow (LEB128).
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        number |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
