//! Rate limits: GCRA by key, told to clients as the IETF RateLimit header fields
//! (draft-ietf-httpapi-ratelimit-headers-10, structured fields of RFC 9651).
//!
//! A full answer costs two cells, a 304 (or a held request) one: whoever asks the cheap way may ask twice as often. Headers
//! and configuration count full answers.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hash};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use bytes::Bytes;
use governor::clock::{Clock as _, QuantaClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use metrics::{Counter, counter};

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How many requests a key may make: a steady rate, and a burst on top of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Full answers per second, above 0.
    pub per_second: f64,
    /// Full answers at once, at least 1.
    pub burst: u32,
}

impl Rate {
    /// Ten times as much: for what a good client does seldom, and a bad one often.
    pub fn tenfold(self) -> Self {
        Self {
            per_second: self.per_second * 10.0,
            burst: self.burst.saturating_mul(10),
        }
    }
}

/// What a request costs, in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// A 304, or a held request.
    Cheap = 1,
    Full = 2,
}

const CELLS_PER_FULL_ANSWER: u32 = Cost::Full as u32;
/// A burst whose headers are worth keeping ready, in cells. Larger ones are written when they are needed.
const MAX_READY_HEADERS: u32 = 4096;
/// Keys beyond this share [`CROWD`] places: memory stays bounded whatever addresses come.
const MAX_KEYS: usize = 1_000_000;
const CROWD: u64 = 1 << 16;

type Cells = RateLimiter<u64, DashMapStateStore<u64>, QuantaClock, StateInformationMiddleware>;

/// One limit: everybody who has a key of their own has the same quota.
#[derive(Debug)]
pub struct Limiter {
    name: &'static str,
    quota: Option<KeyedQuota>,
    refused: Counter,
}

#[derive(Debug)]
struct KeyedQuota {
    cells: Cells,
    clock: QuantaClock,
    hasher: RandomState,
    burst_cells: u32,
    cells_per_second: f64,
    policy: HeaderValue,
    /// `RateLimit` by remaining cells.
    ready: Vec<HeaderValue>,
    /// There are too many keys to give each new one its own.
    crowded: AtomicBool,
}

/// The request may go on; so many cells are left after it. None where there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance(Option<u32>);

/// The quota is used up.
#[derive(Debug)]
pub struct Refusal {
    pub policy_name: &'static str,
    pub policy: HeaderValue,
    pub limit: HeaderValue,
    /// Whole seconds, rounded up, at least 1.
    pub retry_after: u64,
}

impl Limiter {
    /// A limit of that rate; None is no limit.
    pub fn new(name: &'static str, rate: Option<Rate>) -> Self {
        let refused = counter!("payquery_rate_limited_total", "policy" => name);
        Self {
            name,
            quota: rate.map(|rate| KeyedQuota::new(name, rate)),
            refused,
        }
    }

    /// Takes a request's cells from the key's quota.
    pub fn check(&self, key: impl Hash, cost: Cost) -> Result<Allowance, Box<Refusal>> {
        let Some(quota) = &self.quota else {
            return Ok(Allowance(None));
        };
        match quota.take(quota.place_of(key), cost) {
            Ok(remaining) => Ok(Allowance(Some(remaining))),
            Err(wait) => {
                self.refused.increment(1);
                let retry_after = whole_seconds(wait).max(1);
                let limit = format!("\"{}\";r=0;t={retry_after}", self.name);
                Err(Box::new(Refusal {
                    policy_name: self.name,
                    policy: quota.policy.clone(),
                    limit: HeaderValue::try_from(limit).expect("a name and numbers make a header value"),
                    retry_after,
                }))
            }
        }
    }

    /// The header fields that tell how many more requests may come.
    pub fn write(&self, allowance: Allowance, mut field: impl FnMut(&HeaderName, &[u8])) {
        if let (Some(quota), Some(remaining)) = (&self.quota, allowance.0) {
            field(&RATE_LIMIT_POLICY, quota.policy.as_bytes());
            field(&RATE_LIMIT, quota.header(self.name, remaining).as_bytes());
        }
    }

    /// Forgets keys whose quota is full again; says how many are left.
    pub fn drop_idle_keys(&self) -> usize {
        let Some(quota) = &self.quota else { return 0 };
        let before = quota.cells.len();
        quota.cells.retain_recent();
        let after = quota.cells.len();
        if after < before / 2 {
            quota.cells.shrink_to_fit();
        }
        quota.crowded.store(after > MAX_KEYS, Ordering::Relaxed);
        after
    }
}

impl KeyedQuota {
    fn new(name: &str, rate: Rate) -> Self {
        let cells_per_second = rate.per_second * f64::from(CELLS_PER_FULL_ANSWER);
        let burst_cells = rate.burst.max(1).saturating_mul(CELLS_PER_FULL_ANSWER);
        let period = Duration::from_secs_f64(1.0 / cells_per_second).max(Duration::from_nanos(1));
        let quota = Quota::with_period(period)
            .expect("the period is at least a nanosecond")
            .allow_burst(NonZeroU32::new(burst_cells).expect("the burst is at least 1"));
        let clock = QuantaClock::default();
        let window = whole_seconds(Duration::from_secs_f64(f64::from(rate.burst) / rate.per_second)).max(1);
        let policy = format!("\"{name}\";q={};w={window}", rate.burst.max(1));
        let mut this = Self {
            cells: RateLimiter::dashmap_with_clock(quota, clock.clone()).with_middleware(),
            clock,
            hasher: RandomState::new(),
            burst_cells,
            cells_per_second,
            policy: HeaderValue::try_from(policy).expect("a name and numbers make a header value"),
            ready: Vec::new(),
            crowded: AtomicBool::new(false),
        };
        if burst_cells <= MAX_READY_HEADERS {
            this.ready = (0..=burst_cells)
                .map(|remaining| this.write_header(name, remaining))
                .collect();
        }
        this
    }

    /// A keyed hash that nobody outside can foresee; 64 bits, so that two keys hardly ever meet.
    fn place_of(&self, key: impl Hash) -> u64 {
        let place = self.hasher.hash_one(key);
        if self.crowded.load(Ordering::Relaxed) {
            place % CROWD
        } else {
            place
        }
    }

    /// The remaining cells, or how long until there are enough.
    fn take(&self, place: u64, cost: Cost) -> Result<u32, Duration> {
        let cells = NonZeroU32::new(cost as u32).expect("a request costs something");
        match self.cells.check_key_n(&place, cells) {
            Ok(Ok(state)) => Ok(state.remaining_burst_capacity()),
            Ok(Err(refusal)) => Err(refusal.wait_time_from(self.clock.now())),
            Err(_) => unreachable!("the burst holds at least one full answer"),
        }
    }

    fn header(&self, name: &str, remaining: u32) -> Cow<'_, HeaderValue> {
        match self.ready.get(remaining as usize) {
            Some(ready) => Cow::Borrowed(ready),
            None => Cow::Owned(self.write_header(name, remaining)),
        }
    }

    /// `r`: full answers left; `t`: seconds until the quota is full again.
    fn write_header(&self, name: &str, remaining: u32) -> HeaderValue {
        let missing = f64::from(self.burst_cells.saturating_sub(remaining));
        let full_in = whole_seconds(Duration::from_secs_f64(missing / self.cells_per_second));
        let text = format!("\"{name}\";r={};t={full_in}", remaining / CELLS_PER_FULL_ANSWER);
        HeaderValue::from_maybe_shared(Bytes::from(text)).expect("a name and numbers make a header value")
    }
}

/// Rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: f64, burst: u32) -> Limiter {
        Limiter::new("poll", Some(Rate { per_second, burst }))
    }

    #[test]
    fn a_burst_of_full_answers_is_allowed_and_the_next_is_told_when() {
        let limiter = limiter(0.1, 3);
        for left in [2, 1, 0] {
            let allowance = limiter.check("key", Cost::Full).expect("within the burst");
            let mut told = Vec::new();
            limiter.write(allowance, |_, value| {
                told.push(String::from_utf8_lossy(value).into_owned());
            });
            assert_eq!(told[0], "\"poll\";q=3;w=30");
            assert!(told[1].starts_with(&format!("\"poll\";r={left};t=")), "{told:?}");
        }
        let refusal = limiter.check("key", Cost::Full).expect_err("the burst is used up");
        assert_eq!(refusal.retry_after, 10);
        assert_eq!(refusal.limit, "\"poll\";r=0;t=10");
        limiter
            .check("another key", Cost::Full)
            .expect("has a quota of its own");
    }

    #[test]
    fn cheap_requests_may_come_twice_as_often() {
        let limiter = limiter(0.001, 5);
        let allowed = (0..100)
            .take_while(|_| limiter.check("key", Cost::Cheap).is_ok())
            .count();
        assert_eq!(allowed, 10);
    }

    #[test]
    fn retry_after_is_never_zero() {
        let limiter = limiter(1000.0, 1);
        let refusal = std::iter::from_fn(|| Some(limiter.check("key", Cost::Full))).find_map(Result::err);
        assert_eq!(refusal.map(|refusal| refusal.retry_after), Some(1));
    }

    #[test]
    fn keys_that_are_back_at_full_quota_are_forgotten_and_the_others_are_not() {
        let limiter = limiter(1_000_000.0, 1);
        for key in 0..100 {
            limiter.check(key, Cost::Full).expect("within the burst");
        }
        let slow = self::limiter(0.001, 10);
        slow.check("key", Cost::Full).expect("within the burst");
        let start = std::time::Instant::now();
        while limiter.drop_idle_keys() > 0 {
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "a microsecond's quota is full again by now"
            );
        }
        assert_eq!(slow.drop_idle_keys(), 1);
    }

    #[test]
    fn in_a_crowd_the_number_of_keys_stays_bounded() {
        let limiter = limiter(0.001, 10);
        let quota = limiter.quota.as_ref().expect("there is a limit");
        quota.crowded.store(true, Ordering::Relaxed);
        let places: std::collections::HashSet<u64> = (0..300_000).map(|key| quota.place_of(key)).collect();
        assert!(places.len() <= usize::try_from(CROWD).expect("fits"));
    }
}
