//! How long a client takes for the heads of requests that the web framework reads. actix-http has a limit for the first head of
//! a connection; this is for those that come after it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::HEAD_LIMIT;

/// What a connection and the requests that come on it know of each other.
#[derive(Debug, Default)]
pub struct HeadClock {
    /// The first head was read.
    runs: Cell<bool>,
    /// Requests whose head was read and whose answer is not at its end.
    in_progress: Cell<usize>,
    /// When the head that is not at its end began.
    begun: Cell<Option<Instant>>,
}

/// A request's head was read; until this goes, what comes is no head, or not yet to be read.
#[derive(Debug)]
pub struct InProgress(Rc<HeadClock>);

impl HeadClock {
    /// Something came.
    pub(super) fn heard(&self) {
        if self.runs.get() && self.in_progress.get() == 0 && self.begun.get().is_none() {
            self.begun.set(Some(Instant::now()));
        }
    }

    /// A head is at its end.
    pub fn head_ends(self: &Rc<Self>) -> InProgress {
        self.runs.set(true);
        self.begun.set(None);
        self.in_progress.set(self.in_progress.get() + 1);
        InProgress(Rc::clone(self))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.in_progress.set(self.0.in_progress.get() - 1);
    }
}

impl InProgress {
    /// Goes with the body if that is of unknown length: a stream, or a socket. An answer that is at hand goes on its way at once.
    pub fn until_end_of(self, body: BoxBody) -> BoxBody {
        match body.size() {
            BodySize::Stream => BoxBody::new(Streaming {
                body,
                _in_progress: self,
            }),
            _ => body,
        }
    }
}

struct Streaming {
    body: BoxBody,
    _in_progress: InProgress,
}

impl MessageBody for Streaming {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

/// The timer of a connection. It is set when a head does not come in one piece, and not before the last time is over: most
/// heads do, and cost nothing.
#[derive(Debug, Default)]
pub(super) struct HeadTimer(Option<Pin<Box<Sleep>>>);

impl HeadTimer {
    /// Whether a head takes too long; if not, the task is woken when it does.
    pub(super) fn is_over(&mut self, clock: &HeadClock, context: &mut Context<'_>) -> bool {
        let Some(begun) = clock.begun.get() else { return false };
        let due = begun + HEAD_LIMIT;
        let timer = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        while timer.as_mut().poll(context).is_ready() {
            if Instant::now() >= due {
                return true;
            }
            timer.as_mut().reset(due);
        }
        false
    }
}
