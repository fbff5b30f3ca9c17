//! A SockJS session over HTTP: what is to be told waits here for the next receiver, and what the client sends for whoever
//! holds the conversation.
//!
//! What stays true:
//! - One connection receives at a time; the next one is told so and sent away.
//! - A session without a receiver is over after [`DISCONNECT_DELAY`]; so is one whose receiver broke in the middle.
//! - One in which nothing was opened is kept for nobody: it goes when its time is over, or when another one needs its place.
//! - What waits is bounded in bytes, both ways: whoever would tell more waits, whoever sends more is cut off.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};

use super::frames::{Close, Frame};
use super::sessions::Place;
use crate::push::socket::{Gone, SEND_LIMIT};
use crate::push::wire::{Ending, Wire};

/// How long a session lives without a receiver, and a closed one is kept so that its client hears of it.
pub(super) const DISCONNECT_DELAY: Duration = Duration::from_secs(5);
/// What may wait to be told, in bytes, beside one message that is larger: a dozen documents.
const MAX_OUTBOUND: usize = 8 * 1024;
/// What may wait to be read, in bytes as [`size_of_inbound`] counts them: the largest body, and room to spare.
const MAX_INBOUND: usize = 128 * 1024;

/// See the module's head.
#[derive(Debug)]
pub struct Session {
    state: Mutex<State>,
    /// Rings for the receiver.
    told: Notify,
    /// Rings for whoever holds the conversation.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// The client has not been told yet that the session is open.
    fresh: bool,
    outbound: VecDeque<String>,
    outbound_bytes: usize,
    inbound: VecDeque<String>,
    inbound_bytes: usize,
    has_receiver: bool,
    /// Since when there has been no receiver.
    absent_since: Instant,
    close: Option<Close>,
    /// It made room for another one: its name is not its own any more.
    is_out: bool,
}

impl Session {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                fresh: true,
                outbound: VecDeque::new(),
                outbound_bytes: 0,
                inbound: VecDeque::new(),
                inbound_bytes: 0,
                has_receiver: false,
                absent_since: Instant::now(),
                close: None,
                is_out: false,
            }),
            told: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Takes what a client sent; false when the session is over.
    pub(super) fn push(&self, messages: Vec<String>) -> bool {
        let bytes: usize = messages.iter().map(|message| size_of_inbound(message)).sum();
        let taken = {
            let mut state = self.state.lock();
            if state.close.is_none() && state.inbound_bytes + bytes > MAX_INBOUND {
                state.close = Some(Close::GoAway);
            }
            if state.close.is_none() {
                state.inbound_bytes += bytes;
                state.inbound.extend(messages);
            }
            state.close.is_none()
        };
        self.changed.notify_one();
        self.told.notify_one();
        taken
    }

    /// Becomes the session's receiver; or is told at once why not.
    pub(super) fn attach(self: &Arc<Self>) -> Result<Receiver, Close> {
        let mut state = self.state.lock();
        if state.has_receiver {
            return Err(Close::AnotherConnection);
        }
        // A session that was closed before anything was told of it says so itself: the receiver finds it.
        state.has_receiver = true;
        drop(state);
        Ok(Receiver {
            session: Arc::clone(self),
            is_finished: false,
        })
    }

    /// Ends the session, for another one to have its place in the table.
    pub(super) fn put_out(&self) {
        self.state.lock().is_out = true;
        self.close(Close::GoAway);
    }

    fn close(&self, close: Close) {
        self.state.lock().close.get_or_insert(close);
        self.told.notify_one();
        self.changed.notify_one();
    }
}

/// What a message takes while it waits. One that says nothing takes something, too, and a body can hold twenty thousand of them.
fn size_of_inbound(message: &str) -> usize {
    size_of::<String>() + message.len()
}

/// A session's one receiving connection. Dropped before it [finished](Receiver::finish) it broke, and the session with it.
#[derive(Debug)]
pub(super) struct Receiver {
    session: Arc<Session>,
    is_finished: bool,
}

impl Receiver {
    /// What is to be told next: at once, or when there is something; a heart-beat after so much silence.
    pub(super) async fn next(&mut self, heart_beat: Duration) -> Frame {
        let due = Instant::now() + heart_beat;
        loop {
            if let Some(frame) = self.take() {
                return frame;
            }
            tokio::select! {
                () = self.session.told.notified() => {}
                () = sleep_until(due) => return Frame::HeartBeat,
            }
        }
    }

    fn take(&mut self) -> Option<Frame> {
        let mut state = self.session.state.lock();
        if std::mem::take(&mut state.fresh) {
            return Some(Frame::Open);
        }
        if state.close == Some(Close::Interrupted) {
            return state.close.map(Frame::Close);
        }
        if state.outbound.is_empty() {
            return state.close.map(Frame::Close);
        }
        let messages = std::mem::take(&mut state.outbound);
        state.outbound_bytes = 0;
        drop(state);
        self.session.changed.notify_one();
        Some(Frame::Messages(messages.into()))
    }

    /// The connection ended as it should; the next one may come.
    pub(super) fn finish(mut self) {
        self.is_finished = true;
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        {
            let mut state = self.session.state.lock();
            state.has_receiver = false;
            state.absent_since = Instant::now();
            if !self.is_finished {
                state.close.get_or_insert(Close::Interrupted);
            }
        }
        self.session.changed.notify_one();
    }
}

/// The session as whoever holds the conversation has it.
#[derive(Debug)]
pub(super) struct Conversation {
    session: Arc<Session>,
    place: Place,
    /// Whether something was opened.
    is_proven: bool,
    /// Nobody asked for it any more.
    is_abandoned: bool,
}

/// A conversation that breaks off says so, too: HTTP threads end one by one, and a session's receiver may be on another one.
impl Drop for Conversation {
    fn drop(&mut self) {
        self.session.close(Close::GoAway);
    }
}

impl Conversation {
    pub(super) fn new(session: Arc<Session>, place: Place) -> Self {
        Self {
            session,
            place,
            is_proven: false,
            is_abandoned: false,
        }
    }

    /// The next message that the client sent, or that it is gone; None when there is nothing now, until the given time.
    fn poll(&mut self) -> Result<Option<String>, Instant> {
        let mut state = self.session.state.lock();
        if let Some(message) = state.inbound.pop_front() {
            state.inbound_bytes -= size_of_inbound(&message);
            return Ok(Some(message));
        }
        let gone_at = state.absent_since + DISCONNECT_DELAY;
        if state.close.is_some() {
            return Ok(None);
        }
        if !state.has_receiver && gone_at <= Instant::now() {
            state.close = Some(Close::GoAway);
            self.is_abandoned = true;
            return Ok(None);
        }
        Err(if state.has_receiver {
            Instant::now() + DISCONNECT_DELAY
        } else {
            gone_at
        })
    }

    /// Whether it is over and nobody is there to hear why: nothing was opened, and its time went by.
    fn is_for_nobody(&self, ending: Ending) -> bool {
        let went_by = self.is_abandoned || ending == Ending::Unproven;
        went_by && !self.is_proven && !self.session.state.lock().has_receiver
    }

    /// Puts a text where the receiver finds it; gives it back when there is no room.
    fn try_send(&self, text: String) -> Result<(), Option<String>> {
        {
            let mut state = self.session.state.lock();
            if state.close.is_some() {
                return Err(None);
            }
            if !state.outbound.is_empty() && state.outbound_bytes + text.len() > MAX_OUTBOUND {
                return Err(Some(text));
            }
            state.outbound_bytes += text.len();
            state.outbound.push_back(text);
        }
        self.session.told.notify_one();
        Ok(())
    }
}

impl Wire for Conversation {
    async fn receive(&mut self) -> Option<Bytes> {
        loop {
            match self.poll() {
                Ok(message) => return message.map(Bytes::from),
                Err(look_at) => {
                    tokio::select! {
                        () = self.session.changed.notified() => {}
                        () = sleep_until(look_at) => {}
                    }
                }
            }
        }
    }

    fn prove(&mut self) {
        if !self.is_proven {
            self.is_proven = true;
            self.place.prove();
        }
    }

    async fn send(&mut self, text: String) -> Result<(), Gone> {
        let mut waiting = text;
        let sending = async {
            loop {
                match self.try_send(waiting) {
                    Ok(()) => return Ok(()),
                    Err(None) => return Err(Gone),
                    Err(Some(text)) => waiting = text,
                }
                self.session.changed.notified().await;
            }
        };
        timeout(SEND_LIMIT, sending).await.unwrap_or(Err(Gone))
    }

    async fn end(self, ending: Ending) {
        self.session.close(Close::GoAway);
        if self.is_for_nobody(ending) {
            return;
        }
        // Kept for a while, so that its client hears why nothing more comes.
        let over = tokio::time::sleep(DISCONNECT_DELAY);
        tokio::pin!(over);
        while !self.session.state.lock().is_out {
            tokio::select! {
                () = &mut over => return,
                () = self.session.changed.notified() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
