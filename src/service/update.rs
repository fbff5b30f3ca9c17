//! Reporting an order's status: the domain decides, the database writes order and event as one, the hub tells the waiters.

mod batch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Service;
use super::queue::Shift;
use super::read::OrderName;
use crate::db::{DbError, orders};
use crate::domain::decision::Rejection;
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
    #[error("the report was withdrawn before it was decided on")]
    Withdrawn,
    #[error(transparent)]
    Database(#[from] Arc<DbError>),
}

/// What the order's version must be for a report to be applied: an `If-Match`, or whatever else names versions.
pub trait Precondition: Send + Sync + 'static {
    fn allows(&self, version: Version) -> bool;

    /// Whether the report is not this process's to carry out any more. Asked each time that it is decided on; a state that is older
    /// than the answer is not written over a newer one.
    fn is_withdrawn(&self) -> bool {
        false
    }
}

impl<P: Precondition + ?Sized> Precondition for Arc<P> {
    fn allows(&self, version: Version) -> bool {
        (**self).allows(version)
    }

    fn is_withdrawn(&self) -> bool {
        (**self).is_withdrawn()
    }
}

/// A report on its way.
pub(super) struct ReportJob {
    merchant: MerchantId,
    name: OrderName,
    report: Report,
    precondition: Box<dyn Precondition>,
    failed_tries: u32,
    sender: oneshot::Sender<Result<Order, UpdateError>>,
}

/// Each failed try means that somebody else's report went through. An order has a handful of changes in its life; so many in
/// a row are a loop somewhere.
const MAX_TRIES: u32 = 50;
/// Between two tries to read an order in doubt.
const DOUBT_PAUSE: Duration = Duration::from_millis(500);
/// How long a report waits for its turn to wait for a row.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

impl Service {
    /// Applies a report; answers with the order as it then stands.
    ///
    /// Reports that come at the same time are one statement (see [`batch`]); each has its own answer. All of it runs to its
    /// end even if the caller goes away in the middle: what is committed must reach the hub.
    pub async fn update(
        self: &Arc<Self>,
        merchant: MerchantId,
        name: OrderName,
        report: Report,
        precondition: impl Precondition,
    ) -> Result<Order, UpdateError> {
        let (sender, answer) = oneshot::channel();
        self.queue_report(ReportJob {
            merchant,
            name,
            report,
            precondition: Box::new(precondition),
            failed_tries: 0,
            sender,
        });
        answer.await.unwrap_or(Err(UpdateError::Interrupted))
    }

    /// The job's sender is answered in any case, at once if there is no room for it.
    fn queue_report(self: &Arc<Self>, job: ReportJob) {
        if let Err(error) = self.must_be_there() {
            return job.fail(&Arc::new(error));
        }
        match self.reports.add(job) {
            Ok(None) => {}
            Ok(Some(shift)) => self.start_shift(shift),
            Err(full) => full.0.fail(&Arc::new(DbError::Unavailable(sqlx::Error::PoolTimedOut))),
        }
    }

    fn start_shift(self: &Arc<Self>, shift: Shift<ReportJob>) {
        let this = Arc::clone(self);
        let carry_out = move |jobs| {
            let this = Arc::clone(&this);
            async move { this.apply_batch(jobs).await }
        };
        self.runtime.spawn(shift.work(carry_out));
    }

    /// Tries a report once more, when nobody has the order's row any more: somebody else changed it, or is about to.
    fn try_again(self: &Arc<Self>, id: OrderId, mut job: ReportJob) {
        job.failed_tries += 1;
        if job.failed_tries >= MAX_TRIES {
            return job.answer(Err(UpdateError::Contended));
        }
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            match this.wait_for_row(id).await {
                Ok(()) => this.queue_report(job),
                Err(error) => job.fail(&Arc::new(error)),
            }
        });
    }

    /// Few at a time: a row that somebody keeps to himself costs those their time who want it, and no others their connection.
    async fn wait_for_row(&self, id: OrderId) -> Result<(), DbError> {
        let turn = timeout(LOCK_PATIENCE, self.row_waits.acquire()).await;
        let _turn = turn
            .ok()
            .and_then(Result::ok)
            .ok_or(DbError::Unavailable(sqlx::Error::PoolTimedOut))?;
        self.writing(orders::wait_for_row(&self.pool, id)).await
    }

    /// A write that failed on its way may have been committed all the same. Reads those orders again, as soon as the database
    /// answers, and tells the hub what is true.
    pub(super) fn clear_doubt(self: &Arc<Self>, ids: Vec<OrderId>) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            while let Err(error) = this.publish_stored(&ids).await {
                tracing::debug!(orders = ids.len(), %error, "cannot read orders that are in doubt yet");
                tokio::time::sleep(DOUBT_PAUSE).await;
            }
        });
    }

    async fn publish_stored(&self, ids: &[OrderId]) -> Result<(), DbError> {
        let found = self.reading(orders::find_all(&self.chores, ids)).await?;
        self.hub.publish_all(&found.orders);
        Ok(())
    }
}

impl ReportJob {
    /// (Whoever asked may have gone away.)
    fn answer(self, answer: Result<Order, UpdateError>) {
        let _ = self.sender.send(answer);
    }

    fn fail(self, error: &Arc<DbError>) {
        self.answer(Err(UpdateError::Database(Arc::clone(error))));
    }
}

impl fmt::Debug for ReportJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportJob")
            .field("name", &self.name)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}
