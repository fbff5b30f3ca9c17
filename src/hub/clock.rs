//! A bounded map that forgets what was not asked for lately: the CLOCK algorithm (Corbató, "A Paging Experiment with the
//! Multics System", 1968), an approximation of least-recently-used with one bit per entry and no list to reorder.

use indexmap::IndexMap;

use crate::domain::order::OrderId;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Clock<V> {
    entries: IndexMap<OrderId, Entry<V>>,
    hand: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    /// Asked for since the hand last came by.
    touched: bool,
}

/// How far the hand moves for one insertion. With every entry in use the map grows instead; it shrinks again by later insertions.
const MAX_STEPS: usize = 32;

impl<V> Clock<V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: IndexMap::new(),
            hand: 0,
            capacity,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn ids(&self) -> Vec<OrderId> {
        self.entries.keys().copied().collect()
    }

    /// The entry, which counts as asked for.
    pub(super) fn touch(&mut self, id: &OrderId) -> Option<&mut V> {
        let entry = self.entries.get_mut(id)?;
        entry.touched = true;
        Some(&mut entry.value)
    }

    /// The entry, without counting as asked for.
    pub(super) fn get_mut(&mut self, id: &OrderId) -> Option<&mut V> {
        self.entries.get_mut(id).map(|entry| &mut entry.value)
    }

    pub(super) fn remove(&mut self, id: &OrderId) -> Option<V> {
        self.entries.swap_remove(id).map(|entry| entry.value)
    }

    /// Puts an entry in, and others out if the map is over its capacity: only such as `may_go`.
    pub(super) fn insert(&mut self, id: OrderId, value: V, may_go: impl Fn(&V) -> bool) {
        for _ in 0..MAX_STEPS {
            if self.entries.len() < self.capacity {
                break;
            }
            self.step(&may_go);
        }
        self.entries.insert(id, Entry { value, touched: false });
    }

    /// Looks at one entry: gives it a second chance, or drops it.
    fn step(&mut self, may_go: impl Fn(&V) -> bool) {
        if self.hand >= self.entries.len() {
            self.hand = 0;
        }
        let Some((_, entry)) = self.entries.get_index_mut(self.hand) else {
            return;
        };
        if !std::mem::take(&mut entry.touched) && may_go(&entry.value) {
            // The last entry takes the place of the dropped one, so the hand stays where it is.
            self.entries.swap_remove_index(self.hand);
        } else {
            self.hand += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> OrderId {
        OrderId(Uuid::from_u128(n))
    }

    #[test]
    fn what_was_not_asked_for_goes_first() {
        let mut clock = Clock::new(3);
        for n in 0..3 {
            clock.insert(id(n), n, |_| true);
        }
        clock.touch(&id(0));
        clock.touch(&id(2));
        clock.insert(id(3), 3, |_| true);
        let kept: Vec<bool> = (0..4).map(|n| clock.get_mut(&id(n)).is_some()).collect();
        assert_eq!(kept, [true, false, true, true]);
    }

    #[test]
    fn what_is_in_use_stays_and_the_map_shrinks_again_when_it_is_not() {
        let mut clock = Clock::new(2);
        for n in 0..10 {
            clock.insert(id(n), n, |_| false);
        }
        assert_eq!(clock.len(), 10);
        clock.insert(id(10), 10, |_| true);
        assert_eq!(clock.len(), 2);
    }
}
