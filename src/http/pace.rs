//! The pace of polling (`X-Poll-Interval`): set by the server, by the order's age and by its own load.

use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::time::{ClockId, clock_gettime};

use crate::domain::time::Timestamp;

/// Seconds between polls, by the order's age in seconds. WeChat Pay tells merchants to ask every 2 s for the first minute;
/// after that the payer has probably put the phone away.
const LADDER: [(i64, u32); 4] = [(60, 2), (5 * 60, 5), (30 * 60, 10), (i64::MAX, 30)];
/// The longest pace: beyond it a page looks dead.
const MAX_INTERVAL: u32 = 60;

/// How busy this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Load {
    Normal = 0,
    /// Most of the processors' time is used, or most places for held requests: everybody is asked to come half as often.
    Busy = 1,
    /// Nearly all is used.
    Strained = 2,
}

/// Percent of the processors' time, or of the places for held requests, from which on the process is busy, and strained.
const BUSY_PERCENT: usize = 75;
const STRAINED_PERCENT: usize = 95;

impl Load {
    fn of(percent: usize) -> Self {
        match percent {
            STRAINED_PERCENT.. => Self::Strained,
            BUSY_PERCENT.. => Self::Busy,
            _ => Self::Normal,
        }
    }

    const fn stretch(self) -> u32 {
        match self {
            Self::Normal => 1,
            Self::Busy => 2,
            Self::Strained => 4,
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Pace {
    load: AtomicU8,
    processors: usize,
    last_sample: Mutex<(Instant, Duration)>,
}

impl Pace {
    /// `processors`: how many this process may use at once.
    pub fn new(processors: usize) -> Self {
        Self {
            load: AtomicU8::new(Load::Normal as u8),
            processors: processors.max(1),
            last_sample: Mutex::new((Instant::now(), processor_time())),
        }
    }

    /// Measures the load since the last call. To be called every second or so.
    pub fn sample(&self, hold_occupancy_percent: usize) {
        let (now, used) = (Instant::now(), processor_time());
        let (before, used_before) = std::mem::replace(&mut *self.last_sample.lock(), (now, used));
        let percent = busy_percent(used.saturating_sub(used_before), now - before, self.processors);
        self.load
            .store(Load::of(percent.max(hold_occupancy_percent)) as u8, Ordering::Relaxed);
    }

    fn load(&self) -> Load {
        match self.load.load(Ordering::Relaxed) {
            0 => Load::Normal,
            1 => Load::Busy,
            _ => Load::Strained,
        }
    }

    /// Seconds until the next poll of an order created at `created_at`. A poller that wanted to be held and could not be is asked to wait at
    /// least as long as under load: it would otherwise come back at once.
    pub fn seconds(&self, created_at: Timestamp, now: Timestamp, degraded: bool) -> u32 {
        let load = if degraded {
            self.load().max(Load::Busy)
        } else {
            self.load()
        };
        interval(now.since(created_at).num_seconds(), load)
    }
}

/// Seconds between polls of an order of that age in seconds; at most [`MAX_INTERVAL`].
fn interval(age: i64, load: Load) -> u32 {
    let (_, seconds) = LADDER
        .into_iter()
        .find(|(until, _)| age < *until)
        .unwrap_or(LADDER[LADDER.len() - 1]);
    (seconds * load.stretch()).min(MAX_INTERVAL)
}

/// The share of the processors' time that was used, in percent.
fn busy_percent(used: Duration, elapsed: Duration, processors: usize) -> usize {
    let available = elapsed.as_micros().saturating_mul(processors as u128).max(1);
    usize::try_from(used.as_micros() * 100 / available).unwrap_or(usize::MAX)
}

/// Time that the processors have spent on this process.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or(0),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_slows_with_the_orders_age_and_the_servers_load() {
        let ages = [0, 59, 60, 299, 300, 1799, 1800, 1_000_000];
        let paces = |load| ages.map(|age| interval(age, load));
        assert_eq!(paces(Load::Normal), [2, 2, 5, 5, 10, 10, 30, 30]);
        assert_eq!(paces(Load::Busy), [4, 4, 10, 10, 20, 20, 60, 60]);
        assert_eq!(paces(Load::Strained), [8, 8, 20, 20, 40, 40, 60, 60]);
        assert_eq!(
            interval(-5, Load::Normal),
            2,
            "a clock that is ahead makes an order young, not old"
        );
    }

    #[test]
    fn the_processors_time_and_the_places_for_held_requests_make_the_load() {
        let second = Duration::from_secs(1);
        let loads =
            [0, 749, 750, 949, 950, 1000].map(|ms| Load::of(busy_percent(Duration::from_millis(ms), second, 1)));
        assert_eq!(
            loads,
            [
                Load::Normal,
                Load::Normal,
                Load::Busy,
                Load::Busy,
                Load::Strained,
                Load::Strained
            ]
        );
        assert_eq!(busy_percent(second, second, 4), 25);
        let pace = Pace::new(1_000_000);
        pace.sample(80);
        assert_eq!(pace.load(), Load::Busy);
        pace.sample(100);
        assert_eq!(pace.load(), Load::Strained);
        pace.sample(0);
        assert_eq!(pace.load(), Load::Normal);
    }

    #[test]
    fn a_hold_that_found_no_place_is_asked_to_slow_down() {
        let pace = Pace::new(1_000_000);
        let (created, now) = (Timestamp::from_unix_ms(0), Timestamp::from_unix_ms(1000));
        assert_eq!(pace.seconds(created, now, false), 2);
        assert_eq!(pace.seconds(created, now, true), 4);
    }
}
