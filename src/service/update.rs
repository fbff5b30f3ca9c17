//! Reporting an order's status: the domain decides, the database writes order and event as one, the hub tells the waiters.

use super::read::OrderName;
use super::{Service, now};
use crate::db::journal::Change;
use crate::db::{DbError, journal, order_events};
use crate::domain::decision::{Decision, Rejection, decide};
use crate::domain::event::{OrderEvent, Source};
use crate::domain::order::{MerchantId, Order, Version};
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
    #[error(transparent)]
    Database(#[from] DbError),
}

/// What the order's version must be for a report to be applied: an `If-Match`, or whatever else names versions.
pub trait Precondition {
    fn allows(&self, version: Version) -> bool;
}

/// Each failed try means that somebody else's report went through. An order has a handful of changes in its life; so many in
/// a row are a loop somewhere.
const MAX_TRIES: u32 = 50;

impl Service {
    /// Applies a report; answers with the order as it then stands.
    ///
    /// Optimistic: read, decide, write if the version is still the one that was read, else from the beginning. No lock is
    /// held between statements, and of two reports at once each is decided on the state it really met.
    pub async fn update(
        &self,
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
                Decision::Unchanged => {
                    // What is acknowledged here is shown to payers from here on, also when the first report's commit went
                    // through and its answer was lost: then the hub has not heard of it.
                    self.hub.publish(&order);
                    return Ok(order);
                }
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
    async fn commit(&self, before: &Order, after: Order) -> Result<Option<Order>, DbError> {
        let event = OrderEvent::changed(&after, before.status, Source::Merchant);
        let change = [Change { order: after, event }];
        if self.writing(journal::apply(&self.pool, &change)).await?.is_empty() {
            return Ok(None);
        }
        let [Change { order, .. }] = change;
        self.hub.publish(&order);
        Ok(Some(order))
    }

    async fn log_rejection(&self, order: &Order, report: &Report, rejection: &Rejection) -> Result<(), DbError> {
        let to = report.target.status_for(order.status);
        let event = OrderEvent::rejected(order, to, report, rejection.code(), now());
        self.writing(order_events::append(&self.pool, &event)).await
    }
}
