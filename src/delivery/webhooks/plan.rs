//! When a delivery is tried again, and when it is given up. Pure: no clock, no dice of its own.

use std::str::FromStr;
use std::time::Duration;

/// The pauses between one try and the next. One more try than pauses; then the delivery is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPlan(Vec<Duration>);

/// The text is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must be pauses between commas, such as 5s,30s,2m,10m,2h,1d; each up to 7d, 50 at most")]
pub struct RetryPlanError;

const MAX_PAUSES: usize = 50;
const MAX_PAUSE: Duration = Duration::from_hours(7 * 24);
/// A pause is made up to a fifth longer or shorter, so that what failed together does not come back together.
const JITTER: f64 = 0.2;
/// No receiver can ask to be left alone for longer.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);

impl FromStr for RetryPlan {
    type Err = RetryPlanError;

    fn from_str(text: &str) -> Result<Self, RetryPlanError> {
        let pauses: Vec<_> = text
            .split(',')
            .map(|part| parse_duration(part.trim()))
            .collect::<Option<_>>()
            .ok_or(RetryPlanError)?;
        let is_fine = pauses.len() <= MAX_PAUSES && pauses.iter().all(|pause| *pause <= MAX_PAUSE);
        is_fine.then_some(Self(pauses)).ok_or(RetryPlanError)
    }
}

/// A number and its unit: ms, s, m, h, d.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text[..digits].parse().ok()?;
    let unit_ms: u64 = match &text[digits..] {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(unit_ms).map(Duration::from_millis)
}

/// What an attempt came to, as far as the plan goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// 410: nothing is to come here any more.
    Gone,
    /// There is no way to send anything there, today or later.
    Hopeless,
    /// With the receiver's own wish (`Retry-After`).
    Failed {
        retry_after: Option<Duration>,
    },
}

/// What is to follow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Next {
    Done,
    GiveUp,
    TryAgain(Duration),
}

impl RetryPlan {
    /// What follows on the try of that number (from 1); `dice` is at random between 0 and 1.
    pub fn after(&self, tries: i32, outcome: Outcome, dice: f64) -> Next {
        let retry_after = match outcome {
            Outcome::Taken => return Next::Done,
            Outcome::Gone | Outcome::Hopeless => return Next::GiveUp,
            Outcome::Failed { retry_after } => retry_after.unwrap_or_default().min(MAX_RETRY_AFTER),
        };
        let pause = usize::try_from(tries - 1).ok().and_then(|index| self.0.get(index));
        pause.map_or(Next::GiveUp, |pause| {
            let pause = pause.mul_f64(1.0 + JITTER * (2.0 * dice - 1.0));
            // Never earlier than the receiver asked for.
            Next::TryAgain(pause.max(retry_after))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One with eleven pauses.
    const PLAN: &str = "5s,30s,2m,10m,30m,2h,5h,10h,14h,20h,24h";
    const FAILED: Outcome = Outcome::Failed { retry_after: None };

    fn plan(text: &str) -> RetryPlan {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_plan_is_read_with_its_units_and_junk_is_refused() {
        assert_eq!(
            plan("50ms, 2s,3m,4h,1d").0,
            [50, 2000, 180_000, 14_400_000, 86_400_000].map(Duration::from_millis)
        );
        for junk in [
            "",
            "5",
            "s",
            "5s,",
            "-5s",
            "5.5s",
            "5 s",
            "8d",
            "99999999999999999999s",
            "18446744073709551615d",
            "5x",
            &"1s,".repeat(51),
        ] {
            assert_eq!(junk.parse::<RetryPlan>(), Err(RetryPlanError), "{junk:?}");
        }
    }

    #[test]
    fn the_dice_make_a_pause_up_to_a_fifth_shorter_and_up_to_a_fifth_longer() {
        for (dice, after) in [(0.0, 80.0), (0.25, 90.0), (0.5, 100.0), (0.75, 110.0), (1.0, 120.0)] {
            let Next::TryAgain(pause) = plan("100s").after(1, FAILED, dice) else {
                panic!("there is a pause");
            };
            assert!((pause.as_secs_f64() - after).abs() < 0.001, "{dice}: {pause:?}");
        }
    }

    proptest! {
        #[test]
        fn each_failed_try_is_followed_by_its_pause_give_or_take_a_fifth_and_the_last_by_none(
            dice in proptest::collection::vec(0.0..=1.0_f64, 12),
        ) {
            let plan = plan(PLAN);
            for ((tries, index), dice) in (1..).zip(0..).zip(dice) {
                match (plan.0.get::<usize>(index), plan.after(tries, FAILED, dice)) {
                    (Some(pause), Next::TryAgain(after)) => {
                        prop_assert!(after >= pause.mul_f64(0.799) && after <= pause.mul_f64(1.201), "{tries}: {after:?}");
                    }
                    (None, next) => prop_assert_eq!(next, Next::GiveUp),
                    (_, next) => prop_assert!(false, "{tries}: {next:?}"),
                }
            }
        }

        #[test]
        fn a_receivers_wish_is_kept_and_no_day_longer(wish in 0..1_000_000_u64, tries in 1..11_i32, dice in 0.0..=1.0_f64) {
            let wish = Duration::from_secs(wish);
            let Next::TryAgain(after) = plan(PLAN).after(tries, Outcome::Failed { retry_after: Some(wish) }, dice) else {
                panic!("there are pauses left");
            };
            prop_assert!(after >= wish.min(MAX_RETRY_AFTER));
            let Next::TryAgain(without) = plan(PLAN).after(tries, FAILED, dice) else {
                panic!("there are pauses left");
            };
            prop_assert_eq!(after, without.max(wish.min(MAX_RETRY_AFTER)));
        }

        #[test]
        fn what_was_taken_or_is_gone_is_never_tried_again(tries in 1..100_i32, dice in 0.0..=1.0_f64) {
            prop_assert_eq!(plan(PLAN).after(tries, Outcome::Taken, dice), Next::Done);
            prop_assert_eq!(plan(PLAN).after(tries, Outcome::Gone, dice), Next::GiveUp);
        }
    }
}
