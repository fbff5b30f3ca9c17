//! The doorbell: tells replicas that there is something to read. Nothing relies on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::db::feed::{Backend, Listener, ring};
use crate::db::{DbError, Pool};
use crate::hub::Hub;

/// Between two rings of this process: a notification takes a lock that all commits of the cluster with one share.
const RING_PAUSE: Duration = Duration::from_millis(3);
/// The same before a ring for what no payer waits for: creations and rejected reports, of which there may be very many. Each ring
/// is a commit, and makes every other replica read the log.
const SLOW_RING_PAUSE: Duration = Duration::from_millis(25);
/// Between two tries to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Both ends of the bell in this process.
#[derive(Debug, Default)]
pub struct Doorbell {
    to_ring: Notify,
    to_ring_slowly: Notify,
    rung: Notify,
    /// The session that this process rang by last; 0 before the first time.
    own_backend: AtomicU32,
}

/// Where the bell is heard, and what is made of one's own rings.
#[derive(Debug)]
pub struct Line {
    /// Leads to the server itself.
    pub url: String,
    /// Sessions are this process's own, and not lent by a pooler: so its own rings can be told from the others'.
    pub has_own_sessions: bool,
    pub hub: Arc<Hub>,
}

impl Line {
    /// What this process has committed its hub knows already; only those who follow a merchant are told by the feed.
    fn is_news(&self, doorbell: &Doorbell, ringer: Option<Backend>) -> bool {
        let own = ringer.is_some_and(|Backend(id)| id == doorbell.own_backend.load(Ordering::Relaxed));
        !(own && self.has_own_sessions) || self.hub.has_followers()
    }
}

impl Doorbell {
    /// Something was committed here. Many calls in a short time are one ring.
    pub fn ring(&self) {
        self.to_ring.notify_one();
    }

    /// Something was committed here that only readers of events want to hear of. The ring may wait for others to be one with it.
    pub fn ring_slowly(&self) {
        self.to_ring_slowly.notify_one();
    }

    /// Ends when there is a reason to ring; `last` is when it rang before.
    async fn reason_to_ring(&self, last: Instant) {
        let slowly = async {
            sleep_until(last + SLOW_RING_PAUSE).await;
            self.to_ring_slowly.notified().await;
        };
        tokio::select! {
            () = self.to_ring.notified() => {}
            () = slowly => {}
        }
    }

    /// Ends when somebody rang.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// Rings the others' bells for this process.
pub async fn ring_out(doorbell: Arc<Doorbell>, pool: Pool, stop: CancellationToken) {
    let mut last = Instant::now();
    loop {
        tokio::select! {
            () = doorbell.reason_to_ring(last) => {}
            () = stop.cancelled() => return,
        }
        last = Instant::now();
        match ring(&pool).await {
            Ok(Backend(id)) => doorbell.own_backend.store(id, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "the doorbell cannot be rung; the others' ticks will do"),
        }
        sleep(RING_PAUSE).await;
    }
}

/// Listens for rings, on a line of its own that is checked and renewed. Whatever happens to the line is a reason to look.
pub async fn listen(doorbell: Arc<Doorbell>, line: Line, stop: CancellationToken) {
    let mut deaf = false;
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = hear_all(&doorbell, &line, &mut deaf) => heard,
            () = stop.cancelled() => return,
        };
        doorbell.rung.notify_one();
        if let Err(error) = heard
            && !std::mem::replace(&mut deaf, true)
        {
            tracing::warn!(%error, "the doorbell cannot be heard; changes of other replicas come with the tick");
        }
        tokio::select! {
            () = sleep(LISTEN_PAUSE) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn hear_all(doorbell: &Doorbell, line: &Line, deaf: &mut bool) -> Result<(), DbError> {
    let mut listener = Listener::connect(&line.url).await?;
    if std::mem::take(deaf) {
        tracing::info!("the doorbell is heard again");
    }
    doorbell.rung.notify_one();
    loop {
        let ringer = listener.hear().await?;
        if line.is_news(doorbell, ringer) {
            doorbell.rung.notify_one();
        }
    }
}
