//! One connection of `/v1/ws`, from its handshake to its close.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::gate::{Asker, Fault, KEY_TICK};
use super::super::socket::{Budget, Closing, Received, Socket};
use super::super::{OpenStream, Streams, Transport};
use super::messages::{self, Credentials, Request, Token};
use crate::domain::order::OrderId;
use crate::hub::{Missed, Snapshot};
use crate::service::follow::{Followings, MerchantFollowing};

/// How long a client may take to authenticate.
const AUTHENTICATION_LIMIT: Duration = Duration::from_secs(5);
const AUTH_IS_DUE: Fault = Fault::Unauthenticated {
    reason: "send auth first, with the client_secret of an order or the merchant's api_key",
};
/// How long one that is authenticated may follow nothing.
const IDLE_LIMIT: Duration = Duration::from_mins(1);

/// See the module's head.
pub(super) struct Session {
    pub(super) streams: Arc<Streams>,
    pub(super) asker: Asker,
    pub(super) authenticated: bool,
    /// The API key that opened the connection last: what opens an order that is subscribed to without a token.
    pub(super) key: Option<Token>,
    /// All API keys that opened something: they must go on opening.
    pub(super) keys: Vec<Token>,
    pub(super) orders: Followings<OrderId>,
    pub(super) merchant: Option<MerchantFollowing>,
    open: OpenStream,
    socket: Socket,
    budget: Budget,
}

/// What happens next on a connection.
enum Turn {
    Received(Received),
    Change(Arc<Snapshot>),
    MerchantChange(Result<(OrderId, Arc<Snapshot>), Missed>),
    KeyIsDue,
    TimeIsUp,
    Stopping,
}

/// The moments that end a connection, or are due on it.
struct Clock {
    /// By when the client must have authenticated, or follow something.
    deadline: Deadline,
    key_is_due: Pin<Box<Sleep>>,
    drained: Pin<Box<dyn Future<Output = ()>>>,
}

/// What a connection is given time for.
#[derive(Clone, Copy)]
enum Deadline {
    Authentication(Instant),
    /// To follow something.
    Following(Instant),
    /// It follows something, and may go on.
    None,
}

impl Clock {
    fn new(streams: &Streams) -> Self {
        let now = Instant::now();
        Self {
            deadline: Deadline::Authentication(now + AUTHENTICATION_LIMIT),
            key_is_due: Box::pin(sleep_until(now + KEY_TICK)),
            drained: Box::pin(Arc::clone(&streams.holds).drained()),
        }
    }
}

impl Session {
    pub(super) fn new(streams: Arc<Streams>, asker: Asker, socket: Socket) -> Self {
        Self {
            open: streams.open(Transport::WebSocket),
            streams,
            asker,
            socket,
            budget: Budget::new(),
            authenticated: false,
            key: None,
            keys: Vec::new(),
            orders: Followings::default(),
            merchant: None,
        }
    }

    /// Serves the connection to its end; `credentials` came with the handshake.
    pub(super) async fn run(mut self, credentials: Option<Result<Credentials, Fault>>) {
        let Err(closing) = self.serve(credentials).await;
        let Self {
            socket,
            orders,
            merchant,
            open,
            ..
        } = self;
        // Whoever is told goodbye waits on nothing any more, and a stop does not wait for the answer.
        drop((orders, merchant, open));
        socket.close(closing).await;
    }

    async fn serve(&mut self, credentials: Option<Result<Credentials, Fault>>) -> Result<Infallible, Closing> {
        let mut clock = Clock::new(&self.streams);
        match credentials {
            Some(Ok(credentials)) => self.authenticate(credentials).await?,
            Some(Err(fault)) => {
                let is_of_credentials = matches!(fault, Fault::KeyInAddress);
                self.refuse(fault, None).await?;
                if is_of_credentials {
                    return Err(Closing::UNAUTHORIZED);
                }
            }
            None => {}
        }
        self.go_on(&mut clock).await
    }

    async fn go_on(&mut self, clock: &mut Clock) -> Result<Infallible, Closing> {
        loop {
            self.wind(clock);
            match self.wait(clock).await {
                Turn::Received(Received::Text(text)) => self.answer(&text).await?,
                Turn::Received(Received::Binary(_)) => return Err(Closing::TEXT_IS_DUE),
                Turn::Received(Received::End(closing)) => return Err(closing),
                Turn::Change(snapshot) => self.tell(&snapshot).await?,
                Turn::MerchantChange(Ok((id, snapshot))) => self.tell_merchant(id, &snapshot).await?,
                Turn::MerchantChange(Err(Missed)) => return Err(Closing::TRY_AGAIN),
                Turn::KeyIsDue => self.check_key().await?,
                Turn::TimeIsUp => {
                    return Err(if self.authenticated {
                        Closing::NOTHING_FOLLOWED
                    } else {
                        Closing::NOT_AUTHENTICATED
                    });
                }
                Turn::Stopping => return Err(Closing::GOING_AWAY),
            }
        }
    }

    /// Sets a deadline for a connection that follows nothing; one that does has none.
    fn wind(&self, clock: &mut Clock) {
        if self.merchant.is_some() || !self.orders.is_empty() {
            clock.deadline = Deadline::None;
        } else if self.authenticated && !matches!(clock.deadline, Deadline::Following(_)) {
            clock.deadline = Deadline::Following(Instant::now() + IDLE_LIMIT);
        }
    }

    async fn wait(&mut self, clock: &mut Clock) -> Turn {
        tokio::select! {
            received = self.socket.receive() => Turn::Received(received),
            (_, snapshot) = self.orders.next() => Turn::Change(snapshot),
            change = next_of(&mut self.merchant) => Turn::MerchantChange(change),
            () = clock.key_is_due.as_mut() => {
                clock.key_is_due.as_mut().reset(Instant::now() + KEY_TICK);
                Turn::KeyIsDue
            }
            () = until(clock.deadline) => Turn::TimeIsUp,
            () = clock.drained.as_mut() => Turn::Stopping,
        }
    }

    /// Does what a message asks.
    async fn answer(&mut self, text: &str) -> Result<(), Closing> {
        if !self.budget.take() {
            return Err(Closing::TOO_MANY_MESSAGES);
        }
        match Request::read(text) {
            Ok(Request::Auth(credentials)) => self.authenticate(credentials).await,
            Ok(Request::HeartBeat) => self.send(messages::HEART_BEAT_ACK).await,
            Ok(Request::Subscribe { order_id, .. } | Request::Unsubscribe { order_id }) if !self.authenticated => {
                self.refuse(AUTH_IS_DUE, Some(&order_id)).await
            }
            Ok(Request::Subscribe {
                order_id,
                token,
                version,
            }) => self.subscribe(&order_id, token, version).await,
            Ok(Request::Unsubscribe { order_id }) => self.unsubscribe(&order_id).await,
            Err(fault) => self.refuse(fault, None).await,
        }
    }

    pub(super) async fn tell(&mut self, snapshot: &Snapshot) -> Result<(), Closing> {
        self.send(messages::order_status(snapshot)).await?;
        self.open.count_told(snapshot);
        Ok(())
    }

    /// An order that the connection follows by itself is told as that.
    async fn tell_merchant(&mut self, id: OrderId, snapshot: &Snapshot) -> Result<(), Closing> {
        if self.orders.contains(&id) {
            return Ok(());
        }
        self.send(messages::order_status(snapshot)).await?;
        self.open.count_sent();
        Ok(())
    }

    pub(super) async fn refuse(&mut self, fault: Fault, order: Option<&str>) -> Result<(), Closing> {
        let refusal = self.streams.gate.refuse(&self.asker, fault);
        self.send(messages::error(&refusal, order)).await
    }

    pub(super) async fn send(&mut self, message: ByteString) -> Result<(), Closing> {
        Ok(self.socket.send_text(message).await?)
    }
}

async fn next_of(merchant: &mut Option<MerchantFollowing>) -> Result<(OrderId, Arc<Snapshot>), Missed> {
    match merchant {
        Some(following) => following.next().await,
        None => pending().await,
    }
}

async fn until(deadline: Deadline) {
    match deadline {
        Deadline::Authentication(at) | Deadline::Following(at) => sleep_until(at).await,
        Deadline::None => pending().await,
    }
}
