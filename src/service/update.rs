//! Reporting an order's status: the domain decides, the database writes order and event as one, the hub tells the waiters.

use std::sync::Arc;
use std::time::Duration;

use super::read::OrderName;
use super::{Service, now};
use crate::db::journal::Change;
use crate::db::{DbError, journal, order_events, orders};
use crate::domain::decision::{Decision, Rejection, decide};
use crate::domain::event::{OrderEvent, Source};
use crate::domain::order::{MerchantId, Order, OrderId, Version};
use crate::domain::report::Report;

/// Why a report changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    #[error("there is no such order")]
    NotFound,
    #[error("the order stands at version {current}")]
    VersionMismatch { current: Version },
    #[error(transparent)]
    Rejected(#[from] Rejection),
    #[error("the order changed again and again while the report was being applied")]
    Contended,
    #[error("the process is stopping")]
    Interrupted,
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What the order's version must be for a report to be applied: an `If-Match`, or whatever else names versions.
pub trait Precondition: Send + Sync + 'static {
    fn allows(&self, version: Version) -> bool;
}

/// Each failed try means that somebody else's report went through. An order has a handful of changes in its life; so many in
/// a row are a loop somewhere.
const MAX_TRIES: u32 = 50;
/// Between two tries to read an order in doubt.
const DOUBT_PAUSE: Duration = Duration::from_millis(500);

impl Service {
    /// Applies a report; answers with the order as it then stands.
    ///
    /// Runs to its end even if the caller goes away in the middle: what is committed must reach the hub.
    pub async fn update(
        self: &Arc<Self>,
        merchant: MerchantId,
        name: OrderName,
        report: Report,
        precondition: impl Precondition,
    ) -> Result<Order, UpdateError> {
        let this = Arc::clone(self);
        let update = async move { this.decide_and_commit(merchant, &name, &report, &precondition).await };
        self.runtime
            .spawn(update)
            .await
            .unwrap_or(Err(UpdateError::Interrupted))
    }

    /// Optimistic: read, decide, write if the version is still the one that was read, else from the beginning. No lock is
    /// held between statements, and of two reports at once each is decided on the state it really met.
    async fn decide_and_commit(
        self: &Arc<Self>,
        merchant: MerchantId,
        name: &OrderName,
        report: &Report,
        precondition: &impl Precondition,
    ) -> Result<Order, UpdateError> {
        for _ in 0..MAX_TRIES {
            let order = self.find_order(merchant, name).await?.ok_or(UpdateError::NotFound)?;
            if !precondition.allows(order.version) {
                return Err(UpdateError::VersionMismatch { current: order.version });
            }
            match decide(&order, report, now()) {
                Decision::Unchanged => return Ok(order),
                Decision::Rejected(rejection) => {
                    self.log_rejection(&order, report, &rejection).await?;
                    return Err(rejection.into());
                }
                Decision::Changed(after) => {
                    if let Some(order) = self.commit(&order, *after).await? {
                        return Ok(order);
                    }
                }
            }
        }
        Err(UpdateError::Contended)
    }

    /// Writes a change of the merchant's and tells the hub; None when somebody was faster.
    async fn commit(self: &Arc<Self>, before: &Order, after: Order) -> Result<Option<Order>, DbError> {
        let event = OrderEvent::changed(&after, before.status, Source::Merchant);
        let change = [Change { order: after, event }];
        let mut connection = self.connection().await?;
        let applied = self.writing(journal::apply(&mut *connection, &change)).await;
        if applied.is_err() {
            self.clear_doubt(vec![before.id]);
        }
        if applied?.is_empty() {
            return Ok(None);
        }
        let [Change { order, .. }] = change;
        self.hub.publish(&order);
        self.doorbell.ring();
        Ok(Some(order))
    }

    async fn log_rejection(&self, order: &Order, report: &Report, rejection: &Rejection) -> Result<(), DbError> {
        let to = report.target.status_for(order.status);
        let event = OrderEvent::rejected(order, to, report, rejection.code(), now());
        self.writing(order_events::append(&self.pool, &event)).await
    }

    /// A write that failed on its way may have been committed all the same. Reads those orders again, as soon as the database
    /// answers, and tells the hub what is true.
    pub(super) fn clear_doubt(self: &Arc<Self>, ids: Vec<OrderId>) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            for id in ids {
                while let Err(error) = this.publish_stored(id).await {
                    tracing::debug!(order.id = %id, %error, "cannot read an order that is in doubt yet");
                    tokio::time::sleep(DOUBT_PAUSE).await;
                }
            }
        });
    }

    async fn publish_stored(&self, id: OrderId) -> Result<(), DbError> {
        if let Some(order) = self.reading(orders::find(&self.chores, id)).await? {
            self.hub.publish(&order);
        }
        Ok(())
    }
}
