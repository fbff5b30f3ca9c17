//! One timer for each connection, for all of its limits. A later limit costs nothing: the timer finds out when it goes off.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// See the module's head.
#[derive(Debug)]
pub(super) struct Alarm<'a> {
    timer: Pin<&'a mut Sleep>,
    due: Instant,
}

/// A timer that is to be pinned and given to [`Alarm::over`].
pub(super) fn timer() -> Sleep {
    sleep_until(Instant::now())
}

impl<'a> Alarm<'a> {
    pub(super) fn over(timer: Pin<&'a mut Sleep>, limit: Duration) -> Self {
        let mut alarm = Self {
            timer,
            due: Instant::now(),
        };
        alarm.timer.as_mut().reset(alarm.due + limit);
        alarm.due += limit;
        alarm
    }

    /// Goes off `limit` after `from`.
    pub(super) fn set(&mut self, from: Instant, limit: Duration) {
        self.due = from + limit;
        if self.due < self.timer.deadline() {
            self.timer.as_mut().reset(self.due);
        }
    }

    /// Ready once the time is up.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if Instant::now() >= self.due {
                return Poll::Ready(());
            }
            let due = self.due;
            self.timer.as_mut().reset(due);
        }
    }
}
