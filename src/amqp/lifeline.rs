//! Whether the broker still counts on a connection, as far as that can be known on this side of it.
//!
//! A broker that hears nothing for two heartbeats takes back what it has handed out, and hands it to somebody else. A process that
//! was frozen for so long finds its memory as it was, and the broker's last bytes waiting: it must not go on with what it has in
//! hand. So a line on which nothing was heard for a heartbeat (the broker says something twice in that time) counts as dead here,
//! and stays dead.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use tokio::time::sleep;

/// Between two looks of who waits for the end.
const LOOK: Duration = Duration::from_secs(1);

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Lifeline(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    heard: Moment,
    /// None while it is not agreed upon, or where there are no heartbeats.
    longest_silence: Option<Duration>,
    is_over: bool,
}

/// By the clock that nobody sets, and by the one that goes on while a machine sleeps.
#[derive(Debug, Clone, Copy)]
struct Moment(Instant, SystemTime);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), SystemTime::now())
    }

    fn elapsed(self) -> Duration {
        self.0.elapsed().max(self.1.elapsed().unwrap_or_default())
    }
}

impl State {
    fn is_alive(&self) -> bool {
        !self.is_over
            && self
                .longest_silence
                .is_none_or(|longest| self.heard.elapsed() < longest)
    }
}

impl Lifeline {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            heard: Moment::now(),
            longest_silence: None,
            is_over: false,
        })))
    }

    /// Something is to be heard at least this often from here on; zero is no such promise.
    pub(super) fn expect_heartbeats(&self, every: Duration) {
        let mut state = self.0.lock();
        state.heard = Moment::now();
        state.longest_silence = Some(every).filter(|every| !every.is_zero());
    }

    /// Something was heard. An error if that is too late.
    pub(super) fn hear(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        if !state.is_alive() {
            state.is_over = true;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "nothing was heard of the broker for too long",
            ));
        }
        state.heard = Moment::now();
        Ok(())
    }

    pub(super) fn end(&self) {
        self.0.lock().is_over = true;
    }

    pub fn is_alive(&self) -> bool {
        self.0.lock().is_alive()
    }

    /// Ends when it is not alive any more, or a second later.
    pub async fn ended(&self) {
        while self.is_alive() {
            sleep(LOOK).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_silent_for_too_long_is_dead_and_stays_so() {
        let line = Lifeline::new();
        line.0.lock().heard = Moment(Instant::now(), SystemTime::now() - Duration::from_mins(1));
        assert!(line.is_alive() && line.hear().is_ok(), "nothing is promised yet");
        line.expect_heartbeats(Duration::from_mins(10));
        line.0.lock().heard = Moment(Instant::now(), SystemTime::now() - Duration::from_mins(9));
        assert!(line.is_alive() && line.hear().is_ok());
        line.0.lock().heard = Moment(Instant::now(), SystemTime::now() - Duration::from_mins(11));
        assert!(!line.is_alive(), "a machine that slept");
        line.hear().expect_err("too late");
        line.0.lock().heard = Moment::now();
        assert!(!line.is_alive() && line.hear().is_err());
        let other = Lifeline::new();
        other.expect_heartbeats(Duration::ZERO);
        other.0.lock().heard = Moment(Instant::now(), SystemTime::now() - Duration::from_secs(1000));
        assert!(
            other.is_alive(),
            "where there are no heartbeats nothing follows from silence"
        );
        other.end();
        assert!(!other.is_alive());
    }
}
