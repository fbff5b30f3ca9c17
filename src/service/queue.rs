//! Jobs that become one statement together: those that arrive while a batch is being committed go into the next one.
//!
//! What stays true in it:
//! - A job that finds nobody at work is taken at once, alone if it is alone. Nothing waits for company.
//! - A batch that takes long keeps no other job waiting: somebody else takes over the queue.
//! - When there is nothing to do nobody is at work: no task, no tick, no connection.
//! - The queue is bounded. A job beyond that is refused, and its sender told.
//! - A job is at work, or waits for somebody who is. One that is dropped tells its sender so by that.

use std::collections::VecDeque;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use metrics::Histogram;
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::db::DbError;

/// Jobs in one batch: enough that the price of a statement and its commit is no part of a job's any more, few enough that a
/// batch is a matter of milliseconds.
pub const MAX_BATCH: usize = 256;
/// Jobs that wait: less than a second's work.
const MAX_WAITING: usize = 8192;
/// Those at work at the same time, while none of them takes long: one is served by the database while the other's answers are
/// sent and the next are read.
const MAX_SHIFTS: usize = 2;
/// A second shift begins when this many wait. Two halves of a batch cost more than the whole.
const CROWD: usize = 32;
/// A batch that takes longer (a connection that went dead, a slow disk) does not count among [`MAX_SHIFTS`] any more.
const LONG: Duration = Duration::from_millis(50);

/// See the module's head.
#[derive(Debug)]
pub struct Queue<J> {
    state: Mutex<State<J>>,
    /// [`LONG`], but for tests.
    long: Duration,
    batch_sizes: Histogram,
}

#[derive(Debug)]
struct State<J> {
    waiting: VecDeque<J>,
    shifts: usize,
}

/// There are too many jobs in the queue already: this one does not go in.
#[derive(Debug)]
pub struct Full<J>(pub J);

/// Somebody at work on the queue: until it is empty, or others do for it.
#[derive(Debug)]
pub struct Shift<J> {
    queue: Arc<Queue<J>>,
    /// Counts among [`MAX_SHIFTS`].
    counts: bool,
}

impl<J> Queue<J> {
    /// An empty queue; the sizes of its batches are recorded in `batch_sizes`.
    pub fn new(batch_sizes: Histogram) -> Arc<Self> {
        Self::with_long(LONG, batch_sizes)
    }

    fn with_long(long: Duration, batch_sizes: Histogram) -> Arc<Self> {
        let state = Mutex::new(State {
            waiting: VecDeque::new(),
            shifts: 0,
        });
        Arc::new(Self {
            state,
            long,
            batch_sizes,
        })
    }

    /// Puts a job into the queue. The caller lets the shift [work](Shift::work) that it is given, if any.
    pub fn add(self: &Arc<Self>, job: J) -> Result<Option<Shift<J>>, Full<J>> {
        let mut state = self.state.lock();
        if state.waiting.len() >= MAX_WAITING {
            return Err(Full(job));
        }
        state.waiting.push_back(job);
        let is_needed = state.needs_another_shift();
        state.shifts += usize::from(is_needed);
        drop(state);
        Ok(is_needed.then(|| self.new_shift()))
    }

    fn new_shift(self: &Arc<Self>) -> Shift<J> {
        Shift {
            queue: Arc::clone(self),
            counts: true,
        }
    }
}

impl<J> State<J> {
    fn needs_another_shift(&self) -> bool {
        match self.shifts {
            0 => !self.waiting.is_empty(),
            shifts => shifts < MAX_SHIFTS && self.waiting.len() >= CROWD,
        }
    }
}

impl<J: Send + 'static> Shift<J> {
    /// Carries out batches until there is nothing left to do here. `carry_out` answers the jobs of one batch, and gives back
    /// those that are to be done once more: they come first in the next one.
    ///
    /// (Boxed, because a shift may start its own relief.)
    pub fn work<F, R>(mut self, carry_out: F) -> Pin<Box<dyn Future<Output = ()> + Send>>
    where
        F: Fn(Vec<J>) -> R + Clone + Send + 'static,
        R: Future<Output = Vec<J>> + Send + 'static,
    {
        Box::pin(async move {
            while let Some(batch) = self.next_batch() {
                let mut work = pin!(carry_out(batch));
                let Ok(again) = timeout(self.queue.long, work.as_mut()).await else {
                    if let Some(relief) = self.step_aside() {
                        tokio::spawn(relief.work(carry_out.clone()));
                    }
                    let again = work.await;
                    self.put_back(again);
                    continue;
                };
                self.put_back(again);
            }
        })
    }

    /// The jobs that have waited longest; None when there are none, or others are at work on them: then the shift is over.
    fn next_batch(&mut self) -> Option<Vec<J>> {
        let mut state = self.queue.state.lock();
        state.shifts -= usize::from(std::mem::take(&mut self.counts));
        if !state.needs_another_shift() {
            return None;
        }
        state.shifts += 1;
        self.counts = true;
        let size = state.waiting.len().min(MAX_BATCH);
        let batch: Vec<J> = state.waiting.drain(..size).collect();
        drop(state);
        self.queue.batch_sizes.record(batch.len() as f64);
        Some(batch)
    }

    fn put_back(&self, jobs: Vec<J>) {
        if !jobs.is_empty() {
            let mut state = self.queue.state.lock();
            for job in jobs.into_iter().rev() {
                state.waiting.push_front(job);
            }
        }
    }

    /// Makes room for another shift; gives it back if there is something to do for it already.
    fn step_aside(&mut self) -> Option<Self> {
        let mut state = self.queue.state.lock();
        state.shifts -= usize::from(std::mem::take(&mut self.counts));
        let is_needed = state.needs_another_shift();
        state.shifts += usize::from(is_needed);
        drop(state);
        is_needed.then(|| self.queue.new_shift())
    }
}

/// A shift that ends in the middle (a panic, the end of the runtime) leaves nobody waiting for it.
impl<J> Drop for Shift<J> {
    fn drop(&mut self) {
        let mut state = self.queue.state.lock();
        state.shifts -= usize::from(self.counts);
        let forsaken = if state.shifts == 0 {
            std::mem::take(&mut state.waiting)
        } else {
            VecDeque::new()
        };
        drop(state);
        drop(forsaken);
    }
}

/// Items that are to be written with one statement; where the database refuses that, with halves of them, and so on: in the
/// end only those are refused that it refuses by themselves.
#[derive(Debug)]
pub struct Parts<T>(Vec<Vec<T>>);

impl<T> Parts<T> {
    pub fn of(items: Vec<T>) -> Self {
        Self(if items.is_empty() { Vec::new() } else { vec![items] })
    }

    /// The next items for a statement of their own; never empty.
    pub fn next(&mut self) -> Option<Vec<T>> {
        self.0.pop()
    }

    /// Takes back a part whose statement failed. Gives out what has failed for good: one item that was refused; or, with a
    /// connection that is as good as gone, all that are left.
    pub fn failed(&mut self, mut part: Vec<T>, error: DbError) -> Option<(Vec<T>, DbError)> {
        match error {
            DbError::Refused(_) if part.len() > 1 => {
                self.0.push(part.split_off(part.len() / 2));
                self.0.push(part);
                None
            }
            DbError::Unavailable(_) => {
                part.extend(self.0.drain(..).flatten());
                Some((part, error))
            }
            DbError::Refused(_) | DbError::Unreadable(_) => Some((part, error)),
        }
    }
}

#[cfg(test)]
mod tests;
