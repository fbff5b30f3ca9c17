//! The doorbell: tells replicas that there is something to read. Nothing relies on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::db::Pool;
use crate::db::feed::{Listener, ring};

/// Between two rings of this process: a notification takes a lock that all commits of the cluster with one share.
const RING_PAUSE: Duration = Duration::from_millis(3);
/// Between two tries to listen.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);

/// Both ends of the bell in this process.
#[derive(Debug, Default)]
pub struct Doorbell {
    to_ring: Notify,
    rung: Notify,
}

impl Doorbell {
    /// Something was committed here. Many calls in a short time are one ring.
    pub fn ring(&self) {
        self.to_ring.notify_one();
    }

    /// Ends when somebody rang.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// Rings the others' bells for this process.
pub async fn ring_out(doorbell: Arc<Doorbell>, pool: Pool, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = doorbell.to_ring.notified() => {}
            () = stop.cancelled() => return,
        }
        if let Err(error) = ring(&pool).await {
            tracing::debug!(%error, "the doorbell cannot be rung; the others' ticks will do");
        }
        sleep(RING_PAUSE).await;
    }
}

/// Listens for rings, on a line of its own that is checked and renewed. Whatever happens to the line is a reason to look.
pub async fn listen(doorbell: Arc<Doorbell>, url: String, stop: CancellationToken) {
    let mut deaf = false;
    while !stop.is_cancelled() {
        let heard = tokio::select! {
            heard = hear_all(&doorbell, &url, &mut deaf) => heard,
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

async fn hear_all(doorbell: &Doorbell, url: &str, deaf: &mut bool) -> Result<(), crate::db::DbError> {
    let mut listener = Listener::connect(url).await?;
    if std::mem::take(deaf) {
        tracing::info!("the doorbell is heard again");
    }
    loop {
        doorbell.rung.notify_one();
        listener.hear().await?;
    }
}
