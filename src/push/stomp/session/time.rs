//! What time asks of a connection: heart-beats, and an end to those that are for nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{End, Session};
use crate::push::gate::{Fault, KEY_TICK};
use crate::push::stomp::heart_beat::Due;
use crate::push::stomp::request::Complaint;
use crate::push::wire::Wire;

/// How long a client may take to send CONNECT, and then to show something that opens.
pub(super) const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// How long one that did may follow nothing.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// What is to be done when its time has come.
#[derive(Debug, Clone, Copy)]
pub(super) enum Task {
    HeartBeat(Due),
    Deadline,
    LookAtKeys,
}

impl Session {
    /// Sets a deadline for a connection that follows nothing; one that does has none.
    pub(super) fn wind(&mut self) {
        if !self.followings.is_empty() {
            self.deadline = None;
        } else if self.proven {
            self.deadline.get_or_insert_with(|| Instant::now() + IDLE_LIMIT);
        }
    }

    /// What time asks for next, and when.
    pub(super) fn next_task(&self) -> (Instant, Task) {
        let deadline = self.deadline.map(|at| (at, Task::Deadline));
        let heart_beat = self.heart_beat.as_ref().and_then(|heart_beat| heart_beat.next());
        let heart_beat = heart_beat.map(|(at, due)| (at, Task::HeartBeat(due)));
        // Where there are no keys the look is for nothing, and costs nothing.
        let tasks = [deadline, heart_beat, Some((self.look_at, Task::LookAtKeys))];
        let first = tasks.into_iter().flatten().min_by_key(|(at, _)| *at);
        first.expect("there is a next look")
    }

    pub(super) async fn do_task(&mut self, wire: &mut impl Wire, task: Task) -> Result<(), End> {
        match task {
            Task::HeartBeat(Due::Beat) => self.send_text(wire, "\n".into()).await,
            Task::HeartBeat(Due::Silence) => {
                let reason = "must come as was agreed: nothing was heard for three intervals";
                Err(Complaint::new("heart-beat", reason).into())
            }
            Task::Deadline if self.proven => Err(End::Idle),
            Task::Deadline => Err(End::Unproven),
            Task::LookAtKeys => self.look_at_keys().await,
        }
    }

    /// A key that was revoked opens nothing any more, here neither.
    async fn look_at_keys(&mut self) -> Result<(), End> {
        self.look_at = Instant::now() + KEY_TICK;
        for token in &self.keys {
            if !self.streams.gate.still_opens(&token.0).await {
                return Err(self.streams.gate.refuse(&self.asker, Fault::KeyDoesNotOpen).into());
            }
        }
        Ok(())
    }
}
