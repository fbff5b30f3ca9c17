//! One STOMP conversation, from CONNECT to the end, over whatever connection it goes.
//!
//! What stays true:
//! - Whoever has not shown credentials that open something is sent away after [`PROOF_LIMIT`].
//! - An ERROR frame says what was wrong, and is the last one (STOMP 1.2, "ERROR").
//! - Each subscription has a place in the account of all who wait; only the latest document is kept for it.

mod answers;
mod subscriptions;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::frame::{Decoder, Frame};
use super::heart_beat::{Due, HeartBeat, Offer};
use super::request::{self, Complaint, Connect, Request, Token};
use super::transactions::Transactions;
use crate::domain::api_key;
use crate::hub::Snapshot;
use crate::push::gate::{Asker, Fault, Opening, Refusal};
use crate::push::wire::{Ending, Wire};
use crate::push::{OpenStream, Streams, Transport};
use crate::service::follow::Followings;
use subscriptions::Subscriptions;

/// How long a client may take to send CONNECT, and then to show something that opens.
const PROOF_LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the API keys that opened something still do.
const KEY_TICK: Duration = Duration::from_secs(5);

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
    state: State,
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

enum State {
    New {
        until: Instant,
    },
    /// CONNECT was answered, and nothing was opened yet.
    Unproven {
        heart_beat: HeartBeat,
        until: Instant,
    },
    Proven {
        heart_beat: HeartBeat,
    },
}

/// Why the conversation is over.
enum End {
    Gone,
    Done,
    Stopping,
    Complaint(Complaint),
    Refusal(Refusal),
}

enum Turn {
    Received(Option<bytes::Bytes>),
    Change(u64, Arc<Snapshot>),
    Time(Task),
    Stopping,
}

/// What is to be done when its time has come.
#[derive(Debug, Clone, Copy)]
enum Task {
    HeartBeat(Due),
    ProofIsDue,
    LookAtKeys,
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
            state: State::New {
                until: now + PROOF_LIMIT,
            },
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
            let (at, task) = self.next_task();
            let turn = tokio::select! {
                () = &mut drained => Turn::Stopping,
                received = wire.receive() => Turn::Received(received),
                (key, snapshot) = self.followings.next() => Turn::Change(key, snapshot),
                () = sleep_until(at) => Turn::Time(task),
            };
            let outcome = match turn {
                Turn::Received(Some(bytes)) => self.read(wire, &bytes).await,
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
        if let State::Unproven { heart_beat, .. } | State::Proven { heart_beat } = &mut self.state {
            heart_beat.heard(Instant::now());
        }
        self.decoder.feed(bytes);
        let bad = |error: super::frame::FrameError| Complaint::new("frame", error.to_string());
        while let Some(frame) = self.decoder.next_frame().map_err(bad)? {
            self.take_frame(wire, &frame).await?;
        }
        Ok(())
    }

    async fn take_frame(&mut self, wire: &mut impl Wire, frame: &Frame) -> Result<(), End> {
        self.receipt = request::receipt(frame)?;
        let request = Request::read(frame, self.decoder.version)?;
        let is_new = matches!(self.state, State::New { .. });
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
        let mut proven = false;
        if let Some(token) = &connect.credentials {
            if token.0.starts_with(api_key::PREFIX) {
                self.streams.gate.open_merchant(&self.asker, &token.0).await?;
                self.keys.push(token.clone());
                proven = true;
            } else if let Some(order_id) = &connect.order_id {
                let opening = Opening {
                    order_id,
                    token: &token.0,
                    shown: None,
                };
                self.streams.gate.open_order(&self.asker, opening).await?;
                proven = true;
            }
        }
        self.credentials = connect.credentials;
        let now = Instant::now();
        let ours = Offer::of_server(self.streams.settings.heartbeat);
        let heart_beat = HeartBeat::agree(connect.heart_beat, ours, now);
        let until = now + PROOF_LIMIT;
        self.state = if proven {
            State::Proven { heart_beat }
        } else {
            State::Unproven { heart_beat, until }
        };
        let connected = Frame::new("CONNECTED")
            .with("version", connect.version.as_str())
            .with("heart-beat", ours.to_string())
            .with("session", self.id.clone())
            .with("server", "payquery");
        self.send(wire, connected).await
    }

    /// What time asks for next.
    fn next_task(&self) -> (Instant, Task) {
        let keys = (!self.keys.is_empty()).then_some((self.look_at, Task::LookAtKeys));
        let (proof, heart_beat) = match &self.state {
            State::New { until } => (Some(*until), None),
            State::Unproven { until, heart_beat } => (Some(*until), heart_beat.next()),
            State::Proven { heart_beat } => (None, heart_beat.next()),
        };
        let proof = proof.map(|until| (until, Task::ProofIsDue));
        let heart_beat = heart_beat.map(|(at, due)| (at, Task::HeartBeat(due)));
        let tasks = [keys, proof, heart_beat].into_iter().flatten();
        let first = tasks.min_by_key(|(at, _)| *at);
        // Nothing to do for now: the time of the next look comes all the same, and finds no keys.
        first.unwrap_or((Instant::now() + KEY_TICK, Task::LookAtKeys))
    }

    async fn do_task(&mut self, wire: &mut impl Wire, task: Task) -> Result<(), End> {
        match task {
            Task::HeartBeat(Due::Beat) => self.send_text(wire, "\n".into()).await,
            Task::HeartBeat(Due::Silence) => Err(Complaint::new(
                "heart-beat",
                "must come as was agreed: nothing was heard for three intervals",
            )
            .into()),
            Task::ProofIsDue => Err(self.streams.gate.refuse(&self.asker, Fault::Unauthenticated).into()),
            Task::LookAtKeys => self.look_at_keys().await,
        }
    }

    /// A key that was revoked opens nothing any more, here neither.
    async fn look_at_keys(&mut self) -> Result<(), End> {
        self.look_at = Instant::now() + KEY_TICK;
        for token in &self.keys {
            if !self.streams.gate.still_opens(&token.0).await {
                return Err(self.streams.gate.refuse(&self.asker, Fault::Unauthenticated).into());
            }
        }
        Ok(())
    }
}
