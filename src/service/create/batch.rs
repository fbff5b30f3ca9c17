//! Many creations with one statement, and with two more those that found their number taken.
//!
//! What stays true for each creation, whoever is in the batch with it: the order and its event are committed before it is
//! answered; of several with one number, in one batch or in many, one makes the order, and the others are told of that one; a
//! row that the database refuses is found out, and the others are written all the same.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::{CreateError, Created, CreationJob, taken_by};
use crate::db::journal::Creation;
use crate::db::{Connection, DbError, journal, orders};
use crate::domain::order::{MerchantId, Order, OrderId};
use crate::domain::text::OutTradeNo;
use crate::service::Service;
use crate::service::queue::Parts;

/// How long a batch waits for somebody else's transaction that is writing one of its numbers.
const LOCK_WAIT: Duration = Duration::from_millis(100);

impl Service {
    /// Carries out a batch and answers it.
    pub(super) async fn create_batch(self: &Arc<Self>, jobs: Vec<CreationJob>) {
        let mut connection = match self.connection().await {
            Ok(connection) => connection,
            Err(error) => return fail_all(jobs, error),
        };
        let mut repeats = Vec::new();
        let mut parts = Parts::of(jobs);
        while let Some(part) = parts.next() {
            let creations: Vec<&Creation> = part.iter().map(|job| &job.creation).collect();
            let created = journal::create(&mut *connection, &creations, LOCK_WAIT);
            match self.writing(created).await {
                Ok(created) => repeats.extend(self.answer_created(part, &created.into_iter().collect())),
                Err(error) => match parts.failed(part, error) {
                    None => {}
                    Some((part, DbError::Refused(_))) => part.into_iter().for_each(|job| self.create_alone(job)),
                    Some((part, error)) => fail_all(part, error),
                },
            }
        }
        if !repeats.is_empty() {
            self.answer_repeats(&mut connection, repeats).await;
        }
    }

    /// Answers those that were created; gives back the others.
    fn answer_created(&self, jobs: Vec<CreationJob>, created: &HashSet<OrderId>) -> Vec<CreationJob> {
        let (created, repeats): (Vec<_>, Vec<_>) = jobs
            .into_iter()
            .partition(|job| created.contains(&job.creation.order.id));
        if !created.is_empty() {
            self.hub
                .news
                .tell(created.iter().map(|job| job.creation.order.merchant_id));
            self.doorbell.ring_slowly();
        }
        created.into_iter().for_each(CreationJob::answer_new);
        repeats
    }

    /// A creation that the database refused: what for is its own affair, and if somebody is just writing its number, it is
    /// waited for.
    fn create_alone(self: &Arc<Self>, job: CreationJob) {
        let this = Arc::clone(self);
        self.runtime.spawn(async move {
            match this.create_waiting(&job.creation).await {
                Ok(None) => {
                    this.hub.news.tell([job.creation.order.merchant_id]);
                    this.doorbell.ring_slowly();
                    job.answer_new();
                }
                Ok(Some(first)) => job.answer(Ok(first)),
                Err(error) => job.answer(Err(error)),
            }
        });
    }

    /// None when it was created now.
    async fn create_waiting(&self, creation: &Creation) -> Result<Option<Created>, CreateError> {
        let mut connection = self.connection().await?;
        if self.write_alone(&mut connection, creation).await? {
            return Ok(None);
        }
        self.find_first(&mut connection, creation).await.map(Some)
    }

    /// Answers creations whose number is taken: with the order that has it.
    async fn answer_repeats(self: &Arc<Self>, connection: &mut Connection, repeats: Vec<CreationJob>) {
        let names: Vec<_> = repeats.iter().map(|job| job.creation.order.name()).collect();
        let firsts = match self.reading(orders::find_all_by_number(&mut *connection, &names)).await {
            Ok(found) => Firsts::of(found.orders),
            Err(error) => return fail_all(repeats, error),
        };
        let mut found = Vec::with_capacity(repeats.len());
        for job in repeats {
            match firsts.find(&job.creation.order) {
                Some(first) => found.push((job, first.clone())),
                // Orders are never deleted: its row is there, and cannot be read. By itself it will be told so.
                None => self.create_alone(job),
            }
        }
        let asked: Vec<_> = found
            .iter()
            .map(|(job, first)| (first.id, &job.creation.fingerprint))
            .collect();
        match self.reading(orders::were_created_by(&mut *connection, &asked)).await {
            Ok(same) => {
                for ((job, first), same) in found.into_iter().zip(same) {
                    job.answer(if same {
                        Ok(Created::Already(first.into()))
                    } else {
                        Err(taken_by(&first))
                    });
                }
            }
            Err(error) => fail_all(found.into_iter().map(|(job, _)| job), error),
        }
    }
}

/// The orders that have numbers, by those.
struct Firsts(HashMap<(MerchantId, OutTradeNo), Order>);

impl Firsts {
    fn of(orders: Vec<Order>) -> Self {
        Self(
            orders
                .into_iter()
                .map(|order| ((order.merchant_id, order.out_trade_no.clone()), order))
                .collect(),
        )
    }

    fn find(&self, draft: &Order) -> Option<&Order> {
        self.0.get(&(draft.merchant_id, draft.out_trade_no.clone()))
    }
}

fn fail_all(jobs: impl IntoIterator<Item = CreationJob>, error: DbError) {
    let error = Arc::new(error);
    for job in jobs {
        job.answer(Err(CreateError::Database(Arc::clone(&error))));
    }
}
