//! What became of the polls. Every handle is looked up once, at the start: counting costs one addition.

use std::time::Duration;

use metrics::{Counter, Histogram, counter, histogram};

/// How a request for a status ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollOutcome {
    /// 200, answered at once.
    Full,
    /// 304, answered at once.
    NotModified,
    /// Held, and answered because the order moved on.
    Woken,
    /// Held until its time was up.
    TimedOut,
    /// Would have been held, but there was no place.
    Degraded,
    /// Answered early because the process is stopping.
    Drained,
    /// 429.
    Limited,
    /// 401 or 404.
    Denied,
    /// 400.
    Invalid,
    /// 5xx.
    Failed,
    /// A stream of events was opened instead.
    Streamed,
}

const OUTCOMES: [(PollOutcome, &str); 11] = [
    (PollOutcome::Full, "full"),
    (PollOutcome::NotModified, "not_modified"),
    (PollOutcome::Woken, "woken"),
    (PollOutcome::TimedOut, "timed_out"),
    (PollOutcome::Degraded, "degraded"),
    (PollOutcome::Drained, "drained"),
    (PollOutcome::Limited, "limited"),
    (PollOutcome::Denied, "denied"),
    (PollOutcome::Invalid, "invalid"),
    (PollOutcome::Failed, "failed"),
    (PollOutcome::Streamed, "streamed"),
];

/// See the module's head.
#[derive(Debug)]
pub struct PollMetrics {
    outcomes: [Counter; OUTCOMES.len()],
    pay_to_seen: Histogram,
}

impl PollMetrics {
    pub fn new() -> Self {
        Self {
            outcomes: OUTCOMES.map(|(_, name)| counter!("payquery_polls_total", "outcome" => name)),
            pay_to_seen: histogram!("payquery_pay_to_seen_seconds"),
        }
    }

    pub fn count(&self, outcome: PollOutcome) {
        self.outcomes[outcome as usize].increment(1);
    }

    /// From the commit of a final status to the first answer that carried it.
    pub fn record_pay_to_seen(&self, latency: Duration) {
        self.pay_to_seen.record(latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_under_its_own_name() {
        for (at, (outcome, _)) in OUTCOMES.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }
}
