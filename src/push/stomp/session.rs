//! One STOMP conversation, from CONNECT to the end, over whatever connection it goes.
//!
//! What stays true:
//! - Whoever has not shown credentials that open something is sent away after [`PROOF_LIMIT`], and whoever follows nothing after
//!   a while, too.
//! - An ERROR frame says what was wrong, and is the last one (STOMP 1.2, "ERROR").
//! - Each subscription has a place in the account of all who wait; only the latest document is kept for it.

mod answers;
mod subscriptions;
#[cfg(test)]
mod tests;
mod time;

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use super::frame::{Decoder, Frame};
use super::heart_beat::{HeartBeat, Offer};
use super::request::{self, Complaint, Connect, Request, Token};
use super::transactions::Transactions;
use crate::domain::api_key;
use crate::hub::Snapshot;
use crate::push::gate::{Asker, KEY_TICK, Refusal};
use crate::push::socket::Budget;
use crate::push::wire::{Ending, Wire};
use crate::push::{OpenStream, Streams, Transport};
use crate::service::follow::Followings;
use subscriptions::Subscriptions;
use time::{PROOF_LIMIT, Task};

/// Holds a conversation until its end.
pub(in crate::push) async fn converse(mut wire: impl Wire, streams: &Arc<Streams>, asker: Asker, transport: Transport) {
    let mut session = Session::new(streams, asker, transport);
    let ending = session.run(&mut wire).await;
    // Its places are free before the client is given time to hear the end.
    drop(session);
    wire.end(ending).await;
}

struct Session {
    streams: Arc<Streams>,
    asker: Asker,
    open: OpenStream,
    /// Names the session in CONNECTED and in the ids of its messages.
    id: String,
    decoder: Decoder,
    /// Agreed with CONNECT; None before.
    heart_beat: Option<HeartBeat>,
    /// Whether something was opened.
    proven: bool,
    /// By when something must have been opened, or be followed.
    deadline: Option<Instant>,
    budget: Budget,
    /// What the frame that is being answered wants to have receipted.
    receipt: Option<String>,
    /// What was sent with CONNECT.
    credentials: Option<Token>,
    /// The API keys that opened something.
    keys: Vec<Token>,
    subscriptions: Subscriptions,
    followings: Followings<u64>,
    transactions: Transactions,
    /// The next look at `keys`.
    look_at: Instant,
    messages: u64,
}

/// Why the conversation is over.
enum End {
    Gone,
    Done,
    Stopping,
    Idle,
    Unproven,
    Complaint(Complaint),
    Refusal(Refusal),
}

enum Turn {
    Received(Option<bytes::Bytes>),
    Change(u64, Arc<Snapshot>),
    Time(Task),
    Stopping,
}

impl From<Complaint> for End {
    fn from(complaint: Complaint) -> Self {
        Self::Complaint(complaint)
    }
}

impl From<Refusal> for End {
    fn from(refusal: Refusal) -> Self {
        Self::Refusal(refusal)
    }
}

impl Session {
    fn new(streams: &Arc<Streams>, asker: Asker, transport: Transport) -> Self {
        let now = Instant::now();
        Self {
            streams: Arc::clone(streams),
            asker,
            open: streams.open(transport),
            id: format!("{:016x}", fastrand::u64(..)),
            decoder: Decoder::new(),
            heart_beat: None,
            proven: false,
            deadline: Some(now + PROOF_LIMIT),
            budget: Budget::new(),
            receipt: None,
            credentials: None,
            keys: Vec::new(),
            subscriptions: Subscriptions::default(),
            followings: Followings::default(),
            transactions: Transactions::default(),
            look_at: now + KEY_TICK,
            messages: 0,
        }
    }

    async fn run(&mut self, wire: &mut impl Wire) -> Ending {
        let drained = Arc::clone(&self.streams.holds).drained();
        tokio::pin!(drained);
        loop {
            self.wind();
            let (at, task) = self.next_task();
            let turn = tokio::select! {
                () = &mut drained => Turn::Stopping,
                received = wire.receive() => Turn::Received(received),
                (key, snapshot) = self.followings.next() => Turn::Change(key, snapshot),
                () = sleep_until(at) => Turn::Time(task),
            };
            let outcome = match turn {
                Turn::Received(Some(bytes)) => {
                    let outcome = self.read(wire, &bytes).await;
                    if self.proven {
                        wire.prove();
                    }
                    outcome
                }
                Turn::Received(None) => return Ending::Gone,
                Turn::Change(key, snapshot) => self.tell_change(wire, key, &snapshot).await,
                Turn::Time(task) => self.do_task(wire, task).await,
                Turn::Stopping => Err(End::Stopping),
            };
            if let Err(end) = outcome {
                return self.say_end(wire, end).await;
            }
        }
    }

    async fn read(&mut self, wire: &mut impl Wire, bytes: &[u8]) -> Result<(), End> {
        if let Some(heart_beat) = &mut self.heart_beat {
            heart_beat.heard(Instant::now());
        }
        self.decoder.feed(bytes);
        let bad = |error: super::frame::FrameError| Complaint::new("frame", error.to_string());
        let mut completes_a_frame = false;
        while let Some(frame) = self.decoder.next_frame().map_err(bad)? {
            completes_a_frame = true;
            self.take_frame(wire, &frame).await?;
        }
        if completes_a_frame { Ok(()) } else { self.charge() }
    }

    /// Takes something from the budget that costs nothing else: a heart-beat, a part of a frame, or a frame that is not charged
    /// like a poll.
    fn charge(&mut self) -> Result<(), End> {
        if self.budget.take() {
            return Ok(());
        }
        Err(Complaint::new("frame", "must come less often: more are sent than a page needs").into())
    }

    async fn take_frame(&mut self, wire: &mut impl Wire, frame: &Frame) -> Result<(), End> {
        self.receipt = request::receipt(frame)?;
        let request = Request::read(frame, self.decoder.version)?;
        let is_new = self.heart_beat.is_none();
        // Those two are charged like polls.
        if !matches!(request, Request::Subscribe(_) | Request::Tell(_)) {
            self.charge()?;
        }
        match (request, is_new) {
            (Request::Connect(connect), true) => return self.connect(wire, connect).await,
            (Request::Connect(_), false) => {
                return Err(Complaint::new("command", "must be another one: CONNECT was answered already").into());
            }
            (_, true) => return Err(Complaint::new("command", "must be CONNECT before it is anything else").into()),
            (Request::Disconnect, false) => {
                self.send_receipt(wire).await?;
                return Err(End::Done);
            }
            (Request::Subscribe(subscribe), false) => return self.subscribe(wire, subscribe).await,
            (Request::Unsubscribe(name), false) => self.unsubscribe(&name),
            (Request::Tell(target), false) => match target.transaction {
                Some(transaction) => self.transactions.add(&transaction, target.order_id)?,
                None => self.tell_now(wire, &target.order_id).await?,
            },
            (Request::Begin(transaction), false) => self.transactions.begin(transaction)?,
            (Request::Abort(transaction), false) => self.transactions.abort(&transaction)?,
            (Request::Commit(transaction), false) => {
                for order_id in self.transactions.commit(&transaction)? {
                    self.tell_now(wire, &order_id).await?;
                }
            }
            (Request::Acknowledge(transaction), false) => self.transactions.check(transaction.as_deref())?,
        }
        self.send_receipt(wire).await
    }

    async fn connect(&mut self, wire: &mut impl Wire, connect: Connect) -> Result<(), End> {
        self.decoder.version = connect.version;
        let now = Instant::now();
        self.deadline = Some(now + PROOF_LIMIT);
        if let Some(token) = &connect.credentials {
            self.try_token(token, connect.order_id.as_deref()).await?;
        }
        self.credentials = connect.credentials;
        // CONNECT is the one frame that has no receipt (STOMP 1.2, "Standard Headers").
        self.receipt = None;
        let ours = Offer::of_server(self.streams.settings.heartbeat);
        self.heart_beat = Some(HeartBeat::agree(connect.heart_beat, ours, now));
        let connected = Frame::new("CONNECTED")
            .with("version", connect.version.as_str())
            .with("heart-beat", ours.to_string())
            .with("session", self.id.clone())
            .with("server", "payquery");
        self.send(wire, connected).await
    }

    /// Tries what came with CONNECT, where that can be: a client secret opens one order, and says not which.
    async fn try_token(&mut self, token: &Token, order_id: Option<&str>) -> Result<(), End> {
        if token.0.starts_with(api_key::PREFIX) {
            self.streams.gate.open_merchant(&self.asker, &token.0).await?;
            self.prove(token);
        } else if let Some(order_id) = order_id {
            self.open_order(order_id, token, None).await?;
            self.prove(token);
        }
        Ok(())
    }

    /// These credentials did open something.
    fn prove(&mut self, token: &Token) {
        self.proven = true;
        self.deadline = None;
        if token.0.starts_with(api_key::PREFIX) && !self.keys.contains(token) {
            self.keys.push(token.clone());
        }
    }
}
