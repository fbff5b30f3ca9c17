//! What goes into the queue: the one way in, for the log's reader as for merchants who have something sent again.

use crate::db::webhook_queue::{self, Line, NewDelivery};
use crate::db::{Connection, DbError, webhook_deliveries};
use crate::domain::webhook::DeliveryId;

/// Something to be delivered.
#[derive(Debug)]
pub enum Entry {
    New(NewDelivery),
    /// Whatever came of it before.
    Again {
        id: DeliveryId,
        line: Line,
    },
}

impl Entry {
    fn line(&self) -> Line {
        match self {
            Self::New(delivery) => (delivery.endpoint, delivery.event.order),
            Self::Again { line, .. } => *line,
        }
    }
}

/// Puts entries into the queue, in the order given, behind what is there of the same orders; says how many there were to put in.
/// Part of a transaction, which is to end soon: until then nobody else queues for the same endpoints.
pub async fn put_in(connection: &mut Connection, entries: &[Entry]) -> Result<u64, DbError> {
    if entries.is_empty() {
        return Ok(0);
    }
    let lines: Vec<_> = entries.iter().map(Entry::line).collect();
    webhook_queue::lock_endpoints(&mut *connection, &lines).await?;
    webhook_queue::lock_orders(&mut *connection, &lines).await?;
    let places = webhook_queue::take_places(&mut *connection, entries.len()).await?;
    let (mut new, mut again) = (Vec::new(), Vec::new());
    for (place, entry) in places.into_iter().zip(entries) {
        match entry {
            Entry::New(delivery) => new.push((place, delivery)),
            Entry::Again { id, .. } => again.push((place, *id)),
        }
    }
    let mut queued = 0;
    if !new.is_empty() {
        queued += webhook_queue::insert(&mut *connection, &new).await?;
    }
    if !again.is_empty() {
        queued += webhook_deliveries::queue_again(&mut *connection, &again).await?;
    }
    webhook_queue::release(connection, &lines).await?;
    Ok(queued)
}
