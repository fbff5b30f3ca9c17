//! One connection: polls are read, answered and written one after the other until it ends or asks for something else.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_server::GracefulShutdownSignal;
use actix_web::http::StatusCode;
use httparse::EMPTY_HEADER;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_util::io::poll_read_buf;

use super::super::Door;
use super::super::cors::Grant;
use super::super::status::{Opening, StatusAnswer};
use super::alarm::{self, Alarm};
use super::head::{self, Arrival, MAX_FIELDS, MAX_HEAD_BYTES};
use super::outbox::{After, Outbox};
use super::replay::Replay;

/// How long a client may take to send its request's head.
pub const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// Longer than any client's interval: a poller keeps its connection.
pub const IDLE_LIMIT: Duration = Duration::from_secs(75);
/// How long an answer may stay unread.
const UNREAD_LIMIT: Duration = Duration::from_secs(30);
/// Room for the head of a usual poll. It grows with an unusual one, and is given back while a request is held.
const USUAL_HEAD_BYTES: usize = 1024;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    peer: Option<SocketAddr>,
    /// What was read and not yet answered.
    ahead: Vec<u8>,
}

/// What came of waiting for bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    More,
    /// The client has closed its side, or broken off.
    Gone,
    TimeIsUp,
    /// The process is stopping.
    Closing,
}

/// What a connection asks next.
enum Next {
    Asked(Asked),
    /// Nothing that is answered here.
    Foreign,
    /// The connection is at its end.
    End,
}

/// A poll that was let in or refused.
#[derive(Debug)]
struct Asked {
    /// Bytes of its head.
    length: usize,
    /// None: it was refused, and the refusal stands in the outbox.
    opening: Option<Opening>,
    grant: Grant,
    close: bool,
    start: Instant,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, peer: Option<SocketAddr>) -> Self {
        Self {
            stream,
            peer,
            ahead: Vec::new(),
        }
    }

    /// Answers polls until the connection ends. What it returns is not at its end, and asks for something else.
    pub(super) async fn serve(
        mut self,
        door: &Door,
        outbox: &Outbox,
        closing: &GracefulShutdownSignal,
    ) -> Option<Replay> {
        let closing = pin!(closing.notified());
        let timer = pin!(alarm::timer());
        let mut limits = Limits {
            alarm: Alarm::over(timer, HEAD_LIMIT),
            closing,
        };
        loop {
            let asked = match self.ask(door, outbox, &mut limits).await {
                Next::Asked(asked) => asked,
                Next::Foreign => return Some(Replay::new(self.ahead, self.stream)),
                Next::End => return None,
            };
            self.ahead.drain(..asked.length);
            let mut close = asked.close;
            if let Some(opening) = asked.opening {
                let (answer, held) = self.hold(door.settle(opening)).await?;
                if held {
                    limits.alarm.set(Instant::now(), IDLE_LIMIT);
                    close |= door.service.holds.is_retiring();
                }
                door.count_poll(answer.code(), asked.start.into_std());
                outbox.write(answer.code(), after(close), &answer.body(), |field| {
                    answer.write_fields(door, &mut *field);
                    door.settings.cors_origins.write(asked.grant, field);
                });
            }
            self.send(outbox).await.ok()?;
            if close {
                let _ = self.stream.shutdown().await;
                return None;
            }
        }
    }

    /// Waits for a whole poll and has it let in.
    async fn ask(&mut self, door: &Door, outbox: &Outbox, limits: &mut Limits<'_, impl Future<Output = ()>>) -> Next {
        // Came together with the poll before.
        let mut begins_here = !self.ahead.is_empty();
        loop {
            // (Making room for the fields takes as long as a good part of an answer, so not for nothing.)
            if !self.ahead.is_empty() {
                let mut room = [EMPTY_HEADER; MAX_FIELDS];
                match head::read(&self.ahead, &mut room) {
                    Arrival::Poll(poll) => {
                        let start = Instant::now();
                        limits.alarm.set(start, IDLE_LIMIT);
                        return Next::Asked(let_in(door, outbox, &poll, (self.peer, start)).await);
                    }
                    Arrival::Foreign => return Next::Foreign,
                    Arrival::Incomplete if std::mem::take(&mut begins_here) => {
                        limits.alarm.set(Instant::now(), HEAD_LIMIT);
                    }
                    Arrival::Incomplete => {}
                }
            }
            match self.wait_for_more(limits).await {
                Waited::More => {}
                Waited::TimeIsUp if !self.ahead.is_empty() => {
                    outbox.write(StatusCode::REQUEST_TIMEOUT, After::Close, b"", |_| {});
                    let _ = self.send(outbox).await;
                    return Next::End;
                }
                Waited::TimeIsUp | Waited::Gone | Waited::Closing => return Next::End,
            }
        }
    }

    /// Waits for bytes, within the limits.
    async fn wait_for_more(&mut self, limits: &mut Limits<'_, impl Future<Output = ()>>) -> Waited {
        let begun = !self.ahead.is_empty();
        let waited = poll_fn(|context| {
            // Room is made when there is something to read: whoever is silent for long needs none.
            if self.ahead.capacity() > 0 || self.stream.poll_read_ready(context).is_ready() {
                self.ahead.reserve(USUAL_HEAD_BYTES);
                if let Poll::Ready(read) = self.poll_read(context) {
                    return Poll::Ready(read);
                }
            }
            // Whose request has begun to arrive is answered before the end.
            if !begun && limits.closing.as_mut().poll(context).is_ready() {
                return Poll::Ready(Waited::Closing);
            }
            limits.alarm.poll(context).map(|()| Waited::TimeIsUp)
        });
        let waited = waited.await;
        if waited == Waited::More && !begun {
            limits.alarm.set(Instant::now(), HEAD_LIMIT);
        }
        waited
    }

    /// Waits for the answer, and says whether that took time; None if the client has hung up meanwhile.
    async fn hold(&mut self, answer: impl Future<Output = StatusAnswer>) -> Option<(StatusAnswer, bool)> {
        let mut answer = pin!(answer);
        let (mut held, mut listening) = (false, true);
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(Some((answer, held)));
            }
            held = true;
            if self.ahead.is_empty() {
                self.ahead = Vec::new();
            }
            // Only a client that has sent far too much ahead of its answer is not listened to any more.
            while listening {
                match self.poll_read(context) {
                    Poll::Ready(Waited::More) => listening = self.ahead.len() < MAX_HEAD_BYTES,
                    Poll::Ready(_) => return Poll::Ready(None),
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<Waited> {
        poll_read_buf(Pin::new(&mut self.stream), context, &mut self.ahead).map(|read| match read {
            Ok(1..) => Waited::More,
            Ok(0) | Err(_) => Waited::Gone,
        })
    }

    /// Sends the answer that stands in the outbox.
    async fn send(&mut self, outbox: &Outbox) -> io::Result<()> {
        let rest = {
            let bytes = outbox.bytes();
            let sent = match self.stream.try_write(&bytes) {
                Ok(sent) => sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            bytes[sent..].to_vec()
        };
        if rest.is_empty() {
            return Ok(());
        }
        // The client does not read as fast as it asks.
        let send = Box::pin(timeout(UNREAD_LIMIT, self.stream.write_all(&rest)));
        send.await?
    }
}

/// Asks the door; writes its refusal, if that is what comes of it.
async fn let_in(
    door: &Door,
    outbox: &Outbox,
    poll: &head::Poll<'_, '_>,
    (peer, start): (Option<SocketAddr>, Instant),
) -> Asked {
    let origins = &door.settings.cors_origins;
    let grant = origins.grant(poll.fields);
    let close = poll.close || door.service.holds.is_retiring();
    let opening = door.open_status(&poll.head(peer)).await;
    let opening = opening.map_err(|error| {
        let (refusal, body) = door.refuse_poll(&error, poll.fields, start.into_std());
        outbox.write(refusal.status(), after(close), &body, |field| {
            refusal
                .headers()
                .iter()
                .for_each(|(name, value)| field(name, value.as_bytes()));
            origins.write(grant, field);
        });
    });
    Asked {
        length: poll.length,
        opening: opening.ok(),
        grant,
        close,
        start,
    }
}

/// What ends a wait besides bytes.
struct Limits<'a, C> {
    alarm: Alarm<'a>,
    closing: Pin<&'a mut C>,
}

fn after(close: bool) -> After {
    if close { After::Close } else { After::KeepOpen }
}
