//! Closing orders whose time is up.

use std::sync::Arc;

use super::{Service, now};
use crate::db::journal::Change;
use crate::db::{DbError, journal, orders};
use crate::domain::decision::expire;
use crate::domain::event::{OrderEvent, Source};

/// How many orders are closed in one transaction: enough to keep up with thousands a second, few enough to be short.
const BATCH: i64 = 200;

impl Service {
    /// Closes one batch of overdue orders and tells their waiters; says whether there may be more. Safe with any number of
    /// replicas: each claims rows that no other has.
    pub async fn close_overdue(self: &Arc<Self>) -> Result<bool, DbError> {
        let mut transaction = self.begin(&self.chores).await?;
        let overdue = self.writing(orders::claim_overdue(&mut *transaction, BATCH)).await?;
        if overdue.is_empty() {
            return Ok(false);
        }
        let full = i64::try_from(overdue.len()).is_ok_and(|claimed| claimed == BATCH);
        let changes: Vec<Change> = overdue
            .iter()
            // The database's clock chose them; where this process's is behind, it is not asked again.
            .filter_map(|order| Some((order.status, expire(order, now().max(order.expires_at))?)))
            .map(|(from, order)| Change { event: OrderEvent::changed(&order, from, Source::Expiry), order })
            .collect();
        self.writing(journal::apply(&mut *transaction, &changes.iter().collect::<Vec<_>>()))
            .await?;
        if let Err(error) = self.writing(async { Ok(transaction.commit().await?) }).await {
            self.clear_doubt(changes.iter().map(|change| change.order.id).collect());
            return Err(error);
        }
        for change in &changes {
            self.hub.publish(&change.order);
        }
        self.doorbell.ring();
        self.expired.increment(changes.len() as u64);
        Ok(full)
    }
}
