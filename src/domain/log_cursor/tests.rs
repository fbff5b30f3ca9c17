//! The cursor against a model of a log: transactions that begin, write and end in any order, and a reader with pages of any
//! size that looks at any moment.

use proptest::prelude::*;

use super::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    Begin,
    /// The running transaction with this number (of those that run) writes an event.
    Write(usize),
    /// It ends: its events are there from here on, or, rolled back, never.
    End(usize, bool),
    /// The reader reads a page of this many.
    Read(usize),
    /// The event with this number (of those that are there) is forgotten.
    Forget(usize),
}

#[derive(Debug, Default)]
struct Log {
    next: u64,
    seq: i64,
    running: Vec<u64>,
    written: Vec<LogPosition>,
    committed: Vec<u64>,
    forgotten: Vec<LogPosition>,
    noted: u64,
}

impl Log {
    fn horizon(&self) -> Horizon {
        let mut running = self.running.clone();
        running.sort_unstable();
        Horizon {
            next: self.next,
            running,
        }
    }

    fn take(&mut self, step: &Step) {
        let pick = |at: usize| self.running.get(at % self.running.len().max(1)).copied();
        match *step {
            Step::Begin => {
                self.running.push(self.next);
                self.next += 1;
            }
            Step::Write(at) => {
                if let Some(transaction) = pick(at) {
                    self.seq += 1;
                    self.written.push(LogPosition {
                        transaction,
                        seq: self.seq,
                    });
                }
            }
            Step::End(at, commits) => {
                if let Some(transaction) = pick(at) {
                    self.running.retain(|id| *id != transaction);
                    if commits {
                        self.committed.push(transaction);
                    }
                }
            }
            Step::Forget(at) => {
                let there = self.there();
                if let Some(event) = there.get(at % there.len().max(1)) {
                    self.written.retain(|other| other != event);
                    self.forgotten.push(*event);
                    self.noted = self.next;
                    self.next += 1;
                }
            }
            Step::Read(_) => {}
        }
    }

    fn there(&self) -> Vec<LogPosition> {
        let is_there = |event: &&LogPosition| self.committed.contains(&event.transaction);
        self.written.iter().filter(is_there).copied().collect()
    }

    /// What `db::event_log` does.
    fn read(&self, cursor: &LogCursor, size: usize) -> (Vec<LogPosition>, LogCursor) {
        let (mut page, mut cursor) = (Vec::new(), cursor.clone().knowing(self.note()));
        if let Some(within) = cursor.within() {
            let (since, until) = Horizon::around(within.transaction);
            page = self.select(&since, &until, within.seq, size);
            if page.len() == size {
                return (page.clone(), cursor.moved_within(page[size - 1]));
            }
            cursor = cursor.past_within();
        }
        let (now, rest) = (self.horizon(), size - page.len());
        let found = self.select(cursor.horizon(), &now, 0, rest);
        let next = if found.len() == rest {
            cursor.cut_at(found[rest - 1], &now)
        } else {
            LogCursor::at(now).knowing(self.note())
        };
        page.extend(found);
        (page, next)
    }

    fn note(&self) -> Option<Forgotten> {
        let (last, noted) = (self.forgotten.iter().max(), self.noted);
        last.map(|last| Forgotten { last: *last, noted })
    }

    /// Whether events are gone that the reader has not read.
    fn has_gap(&self, cursor: &LogCursor) -> bool {
        let misses = self.note().is_some_and(|note| cursor.misses(note, &self.horizon()));
        misses && *cursor != LogCursor::start()
    }

    fn select(&self, since: &Horizon, until: &Horizon, after: i64, size: usize) -> Vec<LogPosition> {
        let is_there = |event: &&LogPosition| {
            self.committed.contains(&event.transaction)
                && !since.is_over(event.transaction)
                && until.is_over(event.transaction)
                && event.seq > after
        };
        let mut found: Vec<_> = self.written.iter().filter(is_there).copied().collect();
        found.sort_unstable();
        found.truncate(size);
        found
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..120)
}

fn forgetful_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![9 => step(), 1 => any::<usize>().prop_map(Step::Forget)];
    prop::collection::vec(step, 0..120)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        5 => any::<usize>().prop_map(Step::Write),
        2 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(at, commits)| Step::End(at, commits)),
        3 => (1..4_usize).prop_map(Step::Read),
    ]
}

proptest! {
    #[test]
    fn every_committed_event_is_read_exactly_once_whatever_order_transactions_end_in(steps in steps()) {
        let mut log = Log { next: 3, ..Log::default() };
        let (mut cursor, mut read) = (LogCursor::start(), Vec::new());
        for step in &steps {
            log.take(step);
            if let Step::Read(size) = step {
                let (page, next) = log.read(&cursor, *size);
                read.extend(page);
                // As it goes to the client and comes back.
                cursor = LogCursor::decode(&next.encode()).expect("is read back");
                prop_assert_eq!(&cursor, &next);
            }
        }
        loop {
            let (page, next) = log.read(&cursor, 3);
            cursor = next;
            if page.is_empty() {
                break;
            }
            read.extend(page);
        }
        let mut there: Vec<_> = log.written.iter().copied().filter(|event| log.committed.contains(&event.transaction)).collect();
        there.sort_unstable();
        read.sort_unstable();
        prop_assert_eq!(read, there);
    }

    #[test]
    fn what_is_forgotten_is_never_passed_over_without_a_word(steps in forgetful_steps()) {
        let mut log = Log { next: 3, ..Log::default() };
        let (mut cursor, mut read, mut gone) = (LogCursor::start(), Vec::new(), Vec::new());
        for step in steps.iter().chain([&Step::Read(usize::MAX)]) {
            log.take(step);
            let Step::Read(size) = step else { continue };
            if log.has_gap(&cursor) {
                // It is told so, and begins anew with the oldest that is kept.
                (cursor, read) = (LogCursor::start(), Vec::new());
            }
            if cursor == LogCursor::start() {
                gone.clone_from(&log.forgotten);
            }
            let (page, next) = log.read(&cursor, *size);
            prop_assert!(!log.has_gap(&next), "whoever has just looked misses nothing");
            read.extend(page);
            cursor = LogCursor::decode(&next.encode()).expect("is read back");
            prop_assert_eq!(&cursor, &next);
        }
        // All of it, but for what was gone when it began.
        let mut all = log.there();
        all.extend(log.forgotten.iter().filter(|event| !gone.contains(event)));
        all.sort_unstable();
        read.sort_unstable();
        prop_assert_eq!(read, all);
    }

    #[test]
    fn horizons_are_read_back_as_they_were_written(next in 1..u64::MAX, distances in prop::collection::btree_set(1..1000_u64, 0..20)) {
        let mut running: Vec<_> = distances.iter().filter_map(|distance| next.checked_sub(*distance)).filter(|id| *id > 0).collect();
        running.sort_unstable();
        let horizon = Horizon { next, running };
        prop_assert_eq!(Horizon::parse(&horizon.to_text()), Some(horizon));
    }

    #[test]
    fn junk_is_refused_or_is_what_would_have_been_written(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        if let Ok(cursor) = LogCursor::decode(&text) {
            prop_assert_eq!(cursor.encode(), text);
        }
        for tag in [TAG, AWARE_TAG] {
            let mut tagged = vec![tag];
            tagged.extend_from_slice(&bytes);
            let text = URL_SAFE_NO_PAD.encode(&tagged);
            if let Ok(cursor) = LogCursor::decode(&text) {
                prop_assert_eq!(cursor.encode(), text);
            }
        }
    }
}

#[test]
fn a_horizon_of_a_server_that_counts_anew_is_found_out() {
    let (before, after) = (Horizon::parse("90:100:90,95"), Horizon::parse("40:50:40"));
    let (before, after) = (before.expect("is one"), after.expect("is one"));
    assert!(before.is_ahead_of(&after) && !after.is_ahead_of(&before));
    for junk in ["", ":", "1", "1:x:", "1:2:a"] {
        assert_eq!(Horizon::parse(junk), None, "{junk:?}");
    }
}
