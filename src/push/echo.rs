//! `/v1/echo`: sends back what it is sent, so that a domain, its certificate and its proxies can be tried. Anybody may, so
//! there are few, and not for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::{Error, HttpRequest, HttpResponse, web};
use tokio::time::{Instant, sleep, sleep_until};

use super::gate::Fault;
use super::socket::{Budget, Closing, Received, Socket, choose_protocol};
use super::{OpenStream, Streams, Transport};
use crate::service::wait::Place;

/// The subprotocols that are selected when they are offered, the first first.
const PROTOCOLS: [&str; 3] = ["echo-protocol", "payquery.v1", "protocol1"];
/// Echoes at once.
const MAX_ECHOES: usize = 100;
/// How long one lasts, and how long it may be silent.
const LIFETIME: Duration = Duration::from_mins(10);
const PATIENCE: Duration = Duration::from_mins(1);

/// How many echoes are open.
#[derive(Debug, Default)]
pub(super) struct Echoes(AtomicUsize);

struct Echo {
    streams: Arc<Streams>,
    socket: Socket,
    open: OpenStream,
    place: Place,
}

/// Answers the handshake.
pub fn connect(streams: &Arc<Streams>, request: &HttpRequest, payload: web::Payload) -> Result<HttpResponse, Error> {
    let gate = &streams.gate;
    gate.admit(request)?;
    let protocol = choose_protocol(request, &PROTOCOLS);
    let (response, socket) =
        Socket::accept(request, payload, protocol, streams.settings.heartbeat).map_err(|fault| gate.reject(fault))?;
    let place = streams.holds.take_place().filter(|_| streams.echoes.take_one());
    let echo = Echo {
        place: place.ok_or_else(|| gate.reject(Fault::NoPlace))?,
        open: streams.open(Transport::Echo),
        streams: Arc::clone(streams),
        socket,
    };
    actix_web::rt::spawn(echo.run());
    Ok(response)
}

impl Echoes {
    fn take_one(&self) -> bool {
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0
            .fetch_update(set, fetch, |open| (open < MAX_ECHOES).then_some(open + 1))
            .is_ok()
    }
}

impl Echo {
    async fn run(mut self) {
        let closing = self.serve().await;
        self.streams.echoes.0.fetch_sub(1, Ordering::Relaxed);
        let Self {
            socket, place, open, ..
        } = self;
        drop((place, open));
        socket.close(closing).await;
    }

    async fn serve(&mut self) -> Closing {
        let (end, drained) = (
            sleep_until(Instant::now() + LIFETIME),
            Arc::clone(&self.streams.holds).drained(),
        );
        tokio::pin!(end, drained);
        let mut budget = Budget::new();
        loop {
            let received = tokio::select! {
                received = self.socket.receive() => received,
                () = sleep(PATIENCE) => return Closing::TIME_IS_UP,
                () = &mut end => return Closing::TIME_IS_UP,
                () = &mut drained => return Closing::GOING_AWAY,
            };
            let sent = match received {
                Received::End(closing) => return closing,
                _ if !budget.take() => return Closing::TOO_MANY_MESSAGES,
                Received::Text(text) => self.socket.send_text(text).await,
                Received::Binary(bytes) => self.socket.send_binary(bytes).await,
            };
            if sent.is_err() {
                return Closing::GONE;
            }
        }
    }
}
