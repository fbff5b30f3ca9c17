//! The SockJS sessions of this process, by their names. A session lives on one replica: behind a balancer all of its requests
//! must come to the same one.
//!
//! Anybody may begin a session, so there are as many as may be at most, and of those the ones in which nothing was opened yet
//! make room for others, the oldest first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::session::Session;

/// See the module's head.
#[derive(Debug)]
pub struct Sessions {
    table: Mutex<Table>,
    most: usize,
}

#[derive(Debug, Default)]
struct Table {
    by_name: HashMap<Box<str>, Kept>,
    /// The names of those in which nothing was opened yet, by their numbers.
    unproven: BTreeMap<u64, Box<str>>,
    last_number: u64,
}

#[derive(Debug)]
struct Kept {
    session: Arc<Session>,
    /// A name may be given anew while whoever had it before is on its way out.
    number: u64,
}

/// A session's place in the table, given back when it goes.
#[derive(Debug)]
pub(super) struct Place {
    sessions: Arc<Sessions>,
    name: Box<str>,
    number: u64,
}

/// What became of the wish to receive in a session.
#[derive(Debug)]
pub(super) enum Found {
    Known(Arc<Session>),
    /// A new one, whose conversation is to be begun.
    New(Arc<Session>, Place),
    /// There are as many as may be, and something was opened in each.
    Full,
}

impl Sessions {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::default(),
            most,
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Session>> {
        let table = self.table.lock();
        table.by_name.get(name).map(|kept| Arc::clone(&kept.session))
    }

    pub(super) fn find_or_open(self: &Arc<Self>, name: &str) -> Found {
        let mut table = self.table.lock();
        if let Some(known) = table.by_name.get(name) {
            return Found::Known(Arc::clone(&known.session));
        }
        if table.by_name.len() >= self.most && !table.make_room() {
            return Found::Full;
        }
        table.last_number += 1;
        let (session, number) = (Session::new(), table.last_number);
        let kept = Kept {
            session: Arc::clone(&session),
            number,
        };
        table.by_name.insert(name.into(), kept);
        table.unproven.insert(number, name.into());
        let place = Place {
            sessions: Arc::clone(self),
            name: name.into(),
            number,
        };
        Found::New(session, place)
    }
}

impl Table {
    /// Puts out the oldest session in which nothing was opened; false when there is none.
    fn make_room(&mut self) -> bool {
        let Some((_, name)) = self.unproven.pop_first() else {
            return false;
        };
        if let Some(kept) = self.by_name.remove(&name) {
            kept.session.put_out();
        }
        true
    }
}

impl Place {
    /// Something was opened in the session: it makes room for nobody any more.
    pub(super) fn prove(&self) {
        self.sessions.table.lock().unproven.remove(&self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.sessions.table.lock();
        table.unproven.remove(&self.number);
        if table
            .by_name
            .get(&self.name)
            .is_some_and(|kept| kept.number == self.number)
        {
            table.by_name.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(sessions: &Arc<Sessions>, name: &str) -> Place {
        match sessions.find_or_open(name) {
            Found::New(_, place) => place,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn the_oldest_in_which_nothing_was_opened_makes_room_and_what_was_proven_stays() {
        let sessions = Sessions::new(3);
        let [a, b, c] = ["a", "b", "c"].map(|name| open(&sessions, name));
        a.prove();
        let d = open(&sessions, "d");
        let there = |name| sessions.find(name).is_some();
        assert_eq!(["a", "b", "c", "d"].map(there), [true, false, true, true]);
        // Its name again is another session, which the end of the first one leaves alone.
        let b_again = open(&sessions, "b");
        drop(b);
        assert_eq!(["a", "b", "c", "d"].map(there), [true, true, false, true]);
        for place in [&d, &b_again] {
            place.prove();
        }
        assert!(matches!(sessions.find_or_open("e"), Found::Full));
        drop(c);
        assert!(matches!(sessions.find_or_open("e"), Found::Full));
        drop((a, d, b_again));
        let table = sessions.table.lock();
        assert!(table.by_name.is_empty() && table.unproven.is_empty());
    }
}
