//! The polls' own lane: `GET /v1/orders/{id}/status` is read from the connection, answered and written right here. A
//! connection that asks for anything else is handed over to actix-web, with what was read from it, for the rest of its life.
//!
//! Why: a status is asked for thousands of times for each time that it changes, and actix-http spends more on each request and
//! on each connection (two buffers of 8 KB) than the answer takes; `docs/benchmarks.md` has the figures. What stays true:
//! - Both ways ask the same two functions, [`Door::open_status`] and [`Door::settle`], and so give the same answers.
//! - The lane takes what it understands wholly: one method, one path, no body, no upgrade. Whatever is odd goes to actix-web
//!   untouched, byte for byte, so no two parsers ever look at different parts of one request.
//! - Nothing waits without a limit: a head, an idle connection and an unread answer each have theirs.

mod alarm;
mod connection;
mod head;
mod head_clock;
mod outbox;
mod replay;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::Protocol;
use actix_server::GracefulShutdownSignal;
use actix_service::{Service, ServiceFactory};
use futures_util::future::LocalBoxFuture;
use tokio::net::TcpStream;

use super::Door;
use connection::Connection;
use outbox::Outbox;

pub use connection::{HEAD_LIMIT, IDLE_LIMIT};
pub use head_clock::{HeadClock, InProgress};
pub use replay::Replay;

/// What is made of each connection: its polls are answered here, and `web` gets those that ask for more.
#[derive(Debug)]
pub struct Lane<W> {
    pub door: Arc<Door>,
    pub closing: GracefulShutdownSignal,
    pub web: W,
}

/// The lane of one HTTP thread.
#[derive(Debug)]
pub struct LaneService<W>(Rc<Thread<W>>);

#[derive(Debug)]
struct Thread<W> {
    lane: Lane<W>,
    outbox: Outbox,
}

/// A connection as actix-http takes it.
type Handed = (Replay, Protocol, Option<SocketAddr>);

impl<W> ServiceFactory<TcpStream> for Lane<W>
where
    W: ServiceFactory<Handed, Config = ()>,
    W::Future: 'static,
    W::Service: 'static,
{
    type Response = ();
    type Error = ();
    type Config = ();
    type Service = LaneService<W::Service>;
    type InitError = W::InitError;
    type Future = LocalBoxFuture<'static, Result<Self::Service, Self::InitError>>;

    fn new_service(&self, (): ()) -> Self::Future {
        let (door, closing) = (Arc::clone(&self.door), self.closing.clone());
        let web = self.web.new_service(());
        Box::pin(async move {
            let web = web.await?;
            let lane = Lane { door, closing, web };
            let outbox = Outbox::default();
            Ok(LaneService(Rc::new(Thread { lane, outbox })))
        })
    }
}

impl<W> Service<TcpStream> for LaneService<W>
where
    W: Service<Handed> + 'static,
{
    type Response = ();
    type Error = ();
    type Future = LocalBoxFuture<'static, Result<(), ()>>;

    fn poll_ready(&self, context: &mut Context<'_>) -> Poll<Result<(), ()>> {
        self.0.lane.web.poll_ready(context).map_err(|_| ())
    }

    fn call(&self, stream: TcpStream) -> Self::Future {
        let thread = Rc::clone(&self.0);
        Box::pin(async move {
            let Thread { lane, outbox } = &*thread;
            let peer = stream.peer_addr().ok();
            let connection = Connection::new(stream, peer);
            if let Some(replay) = connection.serve(&lane.door, outbox, &lane.closing).await {
                // On the heap, and only now: actix's connection is large, and most connections never need one.
                let handed = Box::pin(lane.web.call((replay, Protocol::Http1, peer)));
                let _ended = handed.await;
            }
            Ok(())
        })
    }
}
