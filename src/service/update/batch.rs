//! Many reports with few statements: one reads their orders, one writes the rejections, one the changes and their events.
//!
//! What stays true for each report, whoever is in the batch with it:
//! - It is decided on the state that it really meets: optimistic, a change is written if the order's version is still the one
//!   that was read, else the report is tried again. No lock is held between statements.
//! - Of the reports of one order, all up to the first that changes it are carried out; the others are next, on the state that
//!   this one leaves. An order occurs once among the changes.
//! - Its answer is its own: a row that the database refuses is found out, and the others are written all the same. An order
//!   whose row somebody has locked is left out of the batch, and waited for apart.
//! - It is answered after its commit, and after the hub was told.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::{ReportJob, UpdateError};
use crate::db::journal::Change;
use crate::db::orders::Found;
use crate::db::{Connection, DbError, journal, order_events, orders};
use crate::domain::decision::{Decision, Rejection, decide};
use crate::domain::event::{OrderEvent, Source};
use crate::domain::order::{MerchantId, Order, OrderId};
use crate::domain::text::OutTradeNo;
use crate::service::queue::Parts;
use crate::service::read::OrderName;
use crate::service::{Service, now};

/// What a batch came to before anything was written.
#[derive(Default)]
struct Round {
    rejected: Vec<Rejected>,
    changed: Vec<Changed>,
    /// Reports of orders that an earlier one in the batch changes.
    later: Vec<ReportJob>,
}

struct Rejected {
    job: ReportJob,
    rejection: Rejection,
    event: OrderEvent,
}

struct Changed {
    job: ReportJob,
    change: Change,
}

/// The orders that the reports of a batch name.
#[derive(Default)]
struct NamedOrders {
    by_id: HashMap<OrderId, Order>,
    ids: HashMap<(MerchantId, OutTradeNo), OrderId>,
    /// A row could not be read; its order is missing here.
    has_unreadable: bool,
}

impl Service {
    /// Carries out a batch and answers it; gives back the reports whose turn is next.
    pub(super) async fn apply_batch(self: &Arc<Self>, jobs: Vec<ReportJob>) -> Vec<ReportJob> {
        let read = async {
            let mut connection = self.connection().await?;
            let named = self.read_named(&mut connection, &jobs).await?;
            Ok::<_, DbError>((connection, named))
        };
        let (mut connection, named) = match read.await {
            Ok(read) => read,
            Err(error) => {
                fail_all(jobs, error);
                return Vec::new();
            }
        };
        let round = self.decide_all(jobs, &named);
        // First, so that the log has them before the changes that came after them.
        if let Err(error) = self.log_rejections(&mut connection, round.rejected).await {
            fail_all(round.changed.into_iter().map(|changed| changed.job), error);
        } else {
            self.commit_changes(&mut connection, round.changed).await;
        }
        round.later
    }
}

impl Service {
    async fn read_named(&self, connection: &mut Connection, jobs: &[ReportJob]) -> Result<NamedOrders, DbError> {
        let (mut ids, mut numbers) = (Vec::new(), Vec::new());
        for job in jobs {
            match &job.name {
                OrderName::Id(id) => ids.push(*id),
                OrderName::OutTradeNo(number) => numbers.push((job.merchant, number)),
            }
        }
        let mut named = NamedOrders::default();
        if !ids.is_empty() {
            named.add(self.reading(orders::find_all(&mut *connection, &ids)).await?);
        }
        if !numbers.is_empty() {
            let found = self.reading(orders::find_all_by_number(&mut *connection, &numbers));
            named.add_with_numbers(found.await?);
        }
        self.hub.publish_all(named.by_id.values());
        Ok(named)
    }

    /// Lets the domain decide on each report; answers those that need nothing to be written.
    fn decide_all(self: &Arc<Self>, jobs: Vec<ReportJob>, named: &NamedOrders) -> Round {
        let mut round = Round::default();
        let mut changing = HashSet::new();
        for job in jobs {
            if job.precondition.is_withdrawn() {
                job.answer(Err(UpdateError::Withdrawn));
                continue;
            }
            let Some(order) = named.find(job.merchant, &job.name) else {
                if named.has_unreadable {
                    self.answer_what_is_missing(job);
                } else {
                    job.answer(Err(UpdateError::NotFound));
                }
                continue;
            };
            if changing.contains(&order.id) {
                round.later.push(job);
            } else if !job.precondition.allows(order.version) {
                let current = order.version;
                job.answer(Err(UpdateError::VersionMismatch { current }));
            } else {
                match decide(order, &job.report, now()) {
                    Decision::Unchanged => job.answer(Ok(order.clone())),
                    Decision::Rejected(rejection) => round.rejected.push(Rejected::new(job, order, rejection)),
                    Decision::Changed(after) => {
                        changing.insert(order.id);
                        round.changed.push(Changed::new(job, order, *after));
                    }
                }
            }
        }
        round
    }

    /// By itself, an order that cannot be read is told from one that is not there.
    fn answer_what_is_missing(self: &Arc<Self>, job: ReportJob) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            match this.find_order(job.merchant, &job.name).await {
                Ok(None) => job.answer(Err(UpdateError::NotFound)),
                // It has become readable since.
                Ok(Some(_)) => this.queue_report(job),
                Err(error) => job.fail(&Arc::new(error)),
            }
        });
    }

    /// An error is one that leaves nothing to be hoped for on this connection.
    async fn log_rejections(&self, connection: &mut Connection, rejected: Vec<Rejected>) -> Result<(), Arc<DbError>> {
        let mut parts = Parts::of(rejected);
        while let Some(part) = parts.next() {
            let events: Vec<&OrderEvent> = part.iter().map(|rejected| &rejected.event).collect();
            match self.writing(order_events::append(&mut *connection, &events)).await {
                Ok(()) => {
                    self.hub
                        .news
                        .tell(part.iter().map(|rejected| rejected.event.merchant_id));
                    self.doorbell.ring_slowly();
                    part.into_iter().for_each(Rejected::answer);
                }
                Err(error) => {
                    let Some((part, error)) = parts.failed(part, error) else {
                        continue;
                    };
                    let error = fail_all(part.into_iter().map(|rejected| rejected.job), error);
                    if matches!(*error, DbError::Unavailable(_)) {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the changes, tells the hub of those that were applied, and lets the others be tried again.
    async fn commit_changes(self: &Arc<Self>, connection: &mut Connection, decided: Vec<Changed>) {
        let mut parts = Parts::of(decided);
        while let Some(part) = parts.next() {
            let changes: Vec<&Change> = part.iter().map(|changed| &changed.change).collect();
            match self.writing(journal::apply(&mut *connection, &changes)).await {
                Ok(applied) => self.tell(part, &applied.into_iter().collect()),
                Err(error) => {
                    let Some((part, error)) = parts.failed(part, error) else {
                        continue;
                    };
                    self.clear_doubt(part.iter().map(|changed| changed.change.order.id).collect());
                    fail_all(part.into_iter().map(|changed| changed.job), error);
                }
            }
        }
    }

    fn tell(self: &Arc<Self>, changed: Vec<Changed>, applied: &HashSet<OrderId>) {
        if !applied.is_empty() {
            let done = || {
                changed
                    .iter()
                    .map(|changed| &changed.change.order)
                    .filter(|order| applied.contains(&order.id))
            };
            for order in done() {
                self.hub.publish(order);
            }
            self.hub.news.tell(done().map(|order| order.merchant_id));
            self.doorbell.ring();
        }
        for Changed { job, change } in changed {
            if applied.contains(&change.order.id) {
                job.answer(Ok(change.order));
            } else {
                self.try_again(change.order.id, job);
            }
        }
    }
}

impl NamedOrders {
    fn add(&mut self, found: Found) {
        self.has_unreadable |= found.has_unreadable;
        self.by_id
            .extend(found.orders.into_iter().map(|order| (order.id, order)));
    }

    fn add_with_numbers(&mut self, found: Found) {
        let ids = found
            .orders
            .iter()
            .map(|order| ((order.merchant_id, order.out_trade_no.clone()), order.id));
        self.ids.extend(ids);
        self.add(found);
    }

    /// The merchant's order of that name.
    fn find(&self, merchant: MerchantId, name: &OrderName) -> Option<&Order> {
        let id = match name {
            OrderName::Id(id) => *id,
            OrderName::OutTradeNo(number) => *self.ids.get(&(merchant, number.clone()))?,
        };
        self.by_id.get(&id).filter(|order| order.merchant_id == merchant)
    }
}

impl Rejected {
    fn new(job: ReportJob, order: &Order, rejection: Rejection) -> Self {
        let to = job.report.target.status_for(order.status);
        let event = OrderEvent::rejected(order, to, &job.report, rejection.code(), now());
        Self { job, rejection, event }
    }

    fn answer(self) {
        self.job.answer(Err(self.rejection.into()));
    }
}

impl Changed {
    fn new(job: ReportJob, before: &Order, order: Order) -> Self {
        let event = OrderEvent::changed(&order, before.status, Source::Merchant);
        Self {
            job,
            change: Change { order, event },
        }
    }
}

fn fail_all(jobs: impl IntoIterator<Item = ReportJob>, error: impl Into<Arc<DbError>>) -> Arc<DbError> {
    let error = error.into();
    for job in jobs {
        job.fail(&error);
    }
    error
}
