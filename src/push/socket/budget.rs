//! How many messages one client may send: enough for any page, too few to keep a thread busy.

use std::time::Duration;

use tokio::time::Instant;

/// Messages at once.
const BURST: u32 = 200;
/// After the burst one in this time.
const PERIOD: Duration = Duration::from_millis(50);

/// See the module's head. (GCRA, for one key.)
#[derive(Debug)]
pub struct Budget {
    /// When it would be full again.
    full_at: Instant,
}

impl Budget {
    pub fn new() -> Self {
        Self {
            full_at: Instant::now(),
        }
    }

    /// Takes one message; false when the client sends too many.
    pub fn take(&mut self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + PERIOD;
        let within = full_at - now <= PERIOD * BURST;
        if within {
            self.full_at = full_at;
        }
        within
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heart_beats_however_eager_are_never_too_many() {
        let (mut budget, start) = (Budget::new(), Instant::now());
        let tenth = Duration::from_millis(100);
        assert!((0..100_000).all(|beat| budget.take_at(start + tenth * beat)));
    }

    #[test]
    fn a_burst_is_taken_and_then_one_in_each_period() {
        let (mut budget, now) = (Budget::new(), Instant::now());
        assert_eq!((0..1000).filter(|_| budget.take_at(now)).count(), BURST as usize);
        let later = now + PERIOD * 3;
        assert_eq!((0..1000).filter(|_| budget.take_at(later)).count(), 3);
    }
}
