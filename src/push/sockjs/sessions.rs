//! The SockJS sessions of this process, by their names. A session lives on one replica: behind a balancer all of its requests
//! must come to the same one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use parking_lot::Mutex;

use super::session::Session;

/// See the module's head.
#[derive(Debug)]
pub struct Sessions {
    by_name: Mutex<HashMap<Box<str>, Arc<Session>>>,
    most: usize,
}

/// A session's place in the table, given back when it goes.
#[derive(Debug)]
pub(super) struct Place {
    sessions: Arc<Sessions>,
    name: Box<str>,
}

/// What became of the wish to receive in a session.
#[derive(Debug)]
pub(super) enum Found {
    Known(Arc<Session>),
    /// A new one, whose conversation is to be begun.
    New(Arc<Session>, Place),
    /// There are as many as may be.
    Full,
}

impl Sessions {
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            by_name: Mutex::default(),
            most,
        })
    }

    pub(super) fn find(&self, name: &str) -> Option<Arc<Session>> {
        self.by_name.lock().get(name).cloned()
    }

    pub(super) fn find_or_open(self: &Arc<Self>, name: &str) -> Found {
        let mut by_name = self.by_name.lock();
        let is_full = by_name.len() >= self.most;
        match by_name.entry(name.into()) {
            Entry::Occupied(known) => Found::Known(Arc::clone(known.get())),
            Entry::Vacant(_) if is_full => Found::Full,
            Entry::Vacant(vacant) => {
                let session = Arc::clone(vacant.insert(Session::new()));
                let place = Place {
                    sessions: Arc::clone(self),
                    name: name.into(),
                };
                Found::New(session, place)
            }
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sessions.by_name.lock().remove(&self.name);
    }
}
