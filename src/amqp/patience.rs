//! Trying again: how long to wait, and how often to say so.

use std::fmt::Display;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The pauses between tries: longer each time up to a bound, and anywhere between nothing and that ("full jitter"), so that
/// those who lost the same broker do not all come back in the same moment.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    tries: u32,
}

/// The bound of the first pause.
const FIRST: Duration = Duration::from_millis(200);
/// The bound of all pauses: how long a broker may be back before it is noticed.
const LONGEST: Duration = Duration::from_secs(10);

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        bound.mul_f64(fastrand::f64())
    }

    /// It went well: the next pause is a first one again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Says that something does not work, and that it works again: one line each, however many tries there are between.
#[derive(Debug)]
pub struct Outage {
    what: &'static str,
    since: Option<Instant>,
}

impl Outage {
    /// `what` does not work now and then: the subject of both lines.
    pub const fn of(what: &'static str) -> Self {
        Self { what, since: None }
    }

    pub fn failed(&mut self, error: &impl Display) {
        if self.since.is_none() {
            self.since = Some(Instant::now());
            tracing::warn!(%error, "{}: not working, trying on", self.what);
        } else {
            tracing::debug!(%error, "{}: still not working", self.what);
        }
    }

    pub fn works(&mut self) {
        if let Some(since) = self.since.take() {
            let seconds = since.elapsed().as_secs_f64();
            tracing::info!(outage.seconds = seconds, "{}: works again", self.what);
        }
    }
}

/// What is in hand when the process stops may come to its end, but not take longer than this for it. (The composition root
/// waits a little longer.)
const GRACE: Duration = Duration::from_millis(1500);

/// What a future comes to; None if it takes too long once `stop` is cancelled.
pub async fn until_stopped<T>(stop: &CancellationToken, work: impl Future<Output = T>) -> Option<T> {
    let too_long = async {
        stop.cancelled().await;
        sleep(GRACE).await;
    };
    tokio::select! {
        outcome = work => Some(outcome),
        () = too_long => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 1000;

    /// The smallest pause, the mean of all, and the longest.
    fn spread(mut pauses: Vec<Duration>) -> (Duration, Duration, Duration) {
        pauses.sort_unstable();
        let mean = pauses.iter().sum::<Duration>() / DRAWS;
        (pauses[0], mean, pauses[pauses.len() - 1])
    }

    #[test]
    fn pauses_grow_to_a_bound_and_begin_anew_after_a_success() {
        fastrand::seed(1);
        let mut losers = vec![Backoff::default(); DRAWS as usize];
        let bounds = [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000].map(Duration::from_millis);
        for bound in bounds {
            let (shortest, mean, longest) = spread(losers.iter_mut().map(Backoff::pause).collect());
            assert!(longest <= bound, "{longest:?} of {bound:?}");
            // All of whom lost the same broker come back spread over the whole time, so on the average after half of it.
            assert!(
                shortest < bound / 50 && longest > bound * 49 / 50,
                "{shortest:?} to {longest:?} of {bound:?}"
            );
            assert!(mean > bound * 9 / 20 && mean < bound * 11 / 20, "{mean:?} of {bound:?}");
        }
        losers.iter_mut().for_each(Backoff::reset);
        let (_, mean, longest) = spread(losers.iter_mut().map(Backoff::pause).collect());
        assert!(longest <= FIRST && mean > FIRST * 9 / 20, "{mean:?}, {longest:?}");
    }

    #[test]
    fn an_outage_is_never_a_busy_loop_however_the_dice_fall_and_however_long_it_lasts() {
        fastrand::seed(2);
        for _ in 0..DRAWS {
            let mut backoff = Backoff::default();
            let hundred: Duration = (0..100).map(|_| backoff.pause()).sum();
            assert!(hundred > LONGEST * 25, "a hundred tries within {hundred:?}");
        }
        let mut backoff = Backoff { tries: u32::MAX };
        let hundred: Duration = (0..100).map(|_| backoff.pause()).sum();
        assert!(hundred > LONGEST * 25, "a hundred tries within {hundred:?}");
    }
}
