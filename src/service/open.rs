//! Opening an order for whoever may see its status, and making sure that what is shown is not older than it must be.
//!
//! What asks the database stands on the heap: it is rare, and the polls that do without shall not carry room for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Service;
use crate::db::{DbError, orders};
use crate::domain::order::{MerchantId, OrderId, Version};
use crate::feed::Trust;
use crate::hub::HotOrder;

/// How long a poll waits for one row before the database counts as away. A server that was frozen, or whose host is gone, says
/// nothing; the feed needs seconds to be sure of that, and the payers' screens would stand still as long.
const REFRESH_PATIENCE: Duration = Duration::from_secs(1);

impl Service {
    /// The order that a client secret opens; None alike for a wrong secret and for an order that isn't there.
    ///
    /// What this installation never issued for that order is turned away by its MAC before anything is looked up, so neither
    /// the time taken nor the database's load tells whether the order exists.
    pub async fn open_with_secret(&self, id: OrderId, secret: &str) -> Result<Option<Arc<HotOrder>>, Arc<DbError>> {
        if let Some(hot) = self.hub.get(id).filter(|hot| hot.client_secret.matches(secret)) {
            return Ok(Some(hot));
        }
        if !self.issuing_key.issued(id, secret) {
            return Ok(None);
        }
        let hot = Box::pin(self.load(id)).await?;
        Ok(hot.filter(|hot| hot.client_secret.matches(secret)))
    }

    /// The order, if it is the merchant's.
    pub async fn open_with_key(
        &self,
        id: OrderId,
        merchant: MerchantId,
    ) -> Result<Option<Arc<HotOrder>>, Arc<DbError>> {
        let hot = match self.hub.get(id) {
            Some(hot) => Some(hot),
            None => Box::pin(self.load(id)).await?,
        };
        Ok(hot.filter(|hot| hot.merchant_id == merchant))
    }

    async fn load(&self, id: OrderId) -> Result<Option<Arc<HotOrder>>, Arc<DbError>> {
        if self.feed_health.trust() == Trust::Away {
            return Err(Arc::new(DbError::Unavailable(sqlx::Error::PoolTimedOut)));
        }
        let (pool, times) = (self.pool.clone(), self.times.clone());
        let read = || async move { times.time(&times.read, orders::find(&pool, id)).await };
        self.hub.get_or_load(id, read).await
    }

    /// Makes sure that the order's snapshot may be told: not older than `shown`, the highest version that the client has
    /// seen (on whichever replica), and not merely believed while the feed is behind. Nearly always there is nothing to do.
    ///
    /// While the database is away the snapshot is told as it is, unless the client has seen a newer one: that would be a step
    /// backwards, and is an error.
    pub async fn catch_up(&self, hot: &HotOrder, shown: Option<Version>) -> Result<(), DbError> {
        if self.feed_health.trust() != Trust::Behind && !is_outdated(hot, shown) {
            return Ok(());
        }
        Box::pin(self.read_again(hot, shown)).await
    }

    async fn read_again(&self, hot: &HotOrder, shown: Option<Version>) -> Result<(), DbError> {
        let read = || self.reading(orders::find(&self.pool, hot.id));
        let refreshed = timeout(REFRESH_PATIENCE, self.hub.refresh(hot, read)).await;
        let refreshed = refreshed.unwrap_or_else(|_| Err(DbError::no_answer()));
        let Err(error) = refreshed else { return Ok(()) };
        // The next polls need not find out for themselves.
        self.feed_health.read_failed(&error);
        if is_outdated(hot, shown) { Err(error) } else { Ok(()) }
    }
}

fn is_outdated(hot: &HotOrder, shown: Option<Version>) -> bool {
    shown.is_some_and(|shown| shown > hot.version())
}
