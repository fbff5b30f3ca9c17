//! Closing orders whose time is up.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Service, now};
use crate::db::journal::Change;
use crate::db::{DbError, journal, orders};
use crate::domain::decision::expire;
use crate::domain::event::{OrderEvent, Source};
use crate::domain::order::{Order, OrderId};

/// How many orders are closed with one statement: enough to keep up with thousands a second, few enough to be short.
const BATCH: i64 = 200;

impl Service {
    /// Closes one batch of overdue orders and tells their waiters; says whether there may be more. Safe with any number of
    /// replicas: of those that close an order, one finds it as it was read.
    pub async fn close_overdue(self: &Arc<Self>) -> Result<bool, DbError> {
        let overdue = self.reading(orders::find_overdue(&self.chores, BATCH)).await?;
        if overdue.is_empty() {
            return Ok(false);
        }
        let is_full = i64::try_from(overdue.len()).is_ok_and(|found| found == BATCH);
        let changes: Vec<Change> = overdue.iter().filter_map(closing).collect();
        // By itself, like every change: see `domain::log_cursor` on transaction ids.
        let all: Vec<&Change> = changes.iter().collect();
        let applied: HashSet<OrderId> = match self.writing(journal::apply(&self.chores, &all)).await {
            Ok(applied) => applied.into_iter().collect(),
            Err(error) => {
                self.clear_doubt(changes.iter().map(|change| change.order.id).collect());
                return Err(error);
            }
        };
        let closed = || {
            changes
                .iter()
                .map(|change| &change.order)
                .filter(|order| applied.contains(&order.id))
        };
        for order in closed() {
            self.hub.publish(order);
        }
        self.hub.news.tell(closed().map(|order| order.merchant_id));
        if !applied.is_empty() {
            self.doorbell.ring();
        }
        self.expired.increment(applied.len() as u64);
        Ok(is_full && !applied.is_empty())
    }
}

/// The database's clock chose the order; where this process's is behind, it is not asked again.
fn closing(order: &Order) -> Option<Change> {
    let closed = expire(order, now().max(order.expires_at))?;
    let event = OrderEvent::changed(&closed, order.status, Source::Expiry);
    Some(Change { order: closed, event })
}
