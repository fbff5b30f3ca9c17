//! What a merchant reads: orders, lists, many statuses at once, an order's log. Always from the database, and only its own.
//!
//! Whatever is read is told to the hub, too: a merchant that has seen a version never finds an older one at the status
//! endpoint of the same replica. That also covers a change whose commit went through while its confirmation was lost.

use std::time::Duration;

use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use super::Service;
use crate::db::order_events::LoggedEvent;
use crate::db::{DbError, Transaction, order_events, orders};
use crate::domain::listing::{OrderFilter, Page, PageSize};
use crate::domain::order::{MerchantId, Order, OrderId};
use crate::domain::text::OutTradeNo;

/// By which of its two names a merchant means an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OrderName {
    Id(OrderId),
    OutTradeNo(OutTradeNo),
}

/// How long a list waits for its turn.
const LIST_PATIENCE: Duration = Duration::from_secs(3);

pub(super) struct ListTurn<'a> {
    pub(super) transaction: Transaction,
    _permit: SemaphorePermit<'a>,
}

impl Service {
    pub async fn find_order(&self, merchant: MerchantId, name: &OrderName) -> Result<Option<Order>, DbError> {
        let order = match name {
            OrderName::Id(id) => {
                self.reading(orders::find_of_merchant(&self.pool, merchant, *id))
                    .await?
            }
            OrderName::OutTradeNo(number) => {
                self.reading(orders::find_by_out_trade_no(&self.pool, merchant, number))
                    .await?
            }
        };
        self.hub.publish_all(&order);
        Ok(order)
    }

    /// A transaction for a list, when it is its turn.
    pub(super) async fn list_turn(&self) -> Result<ListTurn<'_>, DbError> {
        let permit = timeout(LIST_PATIENCE, self.lists.acquire()).await;
        let permit = permit
            .ok()
            .and_then(Result::ok)
            .ok_or(DbError::Unavailable(sqlx::Error::PoolTimedOut))?;
        let transaction = self.begin(&self.pool).await?;
        Ok(ListTurn {
            transaction,
            _permit: permit,
        })
    }

    pub async fn list_orders(&self, filter: &OrderFilter) -> Result<Page<Order>, DbError> {
        let mut turn = self.list_turn().await?;
        let rows = self.reading(orders::list(&mut turn.transaction, filter)).await?;
        self.hub.publish_all(&rows);
        Ok(Page::of(rows, filter.limit))
    }

    /// The merchant's orders of those names, in the order asked; None where there is no such order. One snapshot.
    pub async fn find_orders(
        &self,
        merchant: MerchantId,
        ids: &[OrderId],
        numbers: &[OutTradeNo],
    ) -> Result<Vec<Option<Order>>, DbError> {
        let found = self
            .reading(orders::find_many(&self.pool, merchant, ids, numbers))
            .await?;
        self.hub.publish_all(&found);
        let by_id = ids.iter().map(|id| found.iter().find(|order| order.id == *id));
        let by_number = numbers
            .iter()
            .map(|number| found.iter().find(|order| order.out_trade_no == *number));
        Ok(by_id.chain(by_number).map(Option::<&Order>::cloned).collect())
    }

    /// A page of an order's log; None when the merchant has no such order.
    pub async fn list_events(
        &self,
        merchant: MerchantId,
        order: OrderId,
        after: i64,
        size: PageSize,
    ) -> Result<Option<Page<LoggedEvent>>, DbError> {
        let events = self
            .reading(order_events::list(&self.pool, merchant, order, after, size))
            .await?;
        // Every order has at least the event of its creation, so an empty first page means that there is no such order.
        if events.is_empty() && self.find_order(merchant, &OrderName::Id(order)).await?.is_none() {
            return Ok(None);
        }
        Ok(Some(Page::of(events, size)))
    }
}
