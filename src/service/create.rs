//! Creating an order: once, however often the request is sent.

mod batch;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Service, random_bytes};
use crate::db::journal::Creation;
use crate::db::{Connection, DbError, idempotency_keys, journal, orders};
use crate::domain::client_secret::ClientSecret;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::{Answer, IdempotencyKey, fingerprint_of};
use crate::domain::order::{MerchantId, NewOrder, Order, OrderId};

/// What a creation came to.
#[derive(Debug)]
pub enum Created {
    New(Box<Order>),
    /// The same was asked for before; this is the order that came of it, as it stands now.
    Already(Box<Order>),
}

/// Why no order was created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("the merchant has an order {id} with this out_trade_no and other content")]
    OutTradeNoTaken { id: OrderId },
    #[error("the idempotency key was first used for another request")]
    KeyReused,
    #[error("the order's time would be up before it began")]
    ExpiryPassed,
    #[error("the process is stopping")]
    Interrupted,
    #[error(transparent)]
    Database(#[from] Arc<DbError>),
}

impl From<DbError> for CreateError {
    fn from(error: DbError) -> Self {
        Arc::new(error).into()
    }
}

/// A creation on its way.
pub(super) struct CreationJob {
    creation: Creation,
    sender: oneshot::Sender<Result<Created, CreateError>>,
}

impl Service {
    /// Creates the order, or finds the one that the same request created before.
    ///
    /// Creations that come at the same time are one statement (see [`batch`]); each has its own answer.
    pub async fn create(self: &Arc<Self>, merchant: MerchantId, new: NewOrder) -> Result<Created, CreateError> {
        let creation = self.draft(merchant, new);
        if creation.order.is_overdue_from_the_start() {
            let mut connection = self.connection().await?;
            return self.find_first(&mut connection, &creation).await;
        }
        self.must_be_there()?;
        let (sender, answer) = oneshot::channel();
        match self.creations.add(CreationJob { creation, sender }) {
            Ok(None) => {}
            Ok(Some(shift)) => {
                let this = Arc::clone(self);
                let carry_out = move |jobs| {
                    let this = Arc::clone(&this);
                    async move {
                        this.create_batch(jobs).await;
                        Vec::new()
                    }
                };
                self.runtime.spawn(shift.work(carry_out));
            }
            Err(_) => return Err(DbError::Unavailable(sqlx::Error::PoolTimedOut).into()),
        }
        answer.await.unwrap_or(Err(CreateError::Interrupted))
    }

    /// Like [`Service::create`], under a key of the client's choice: the first answer to it, made by `render`, is kept with
    /// the order and given again, byte for byte. A request that failed keeps nothing.
    pub async fn create_once(
        &self,
        merchant: MerchantId,
        key: &IdempotencyKey,
        new: NewOrder,
        render: impl Fn(&Created) -> Answer,
    ) -> Result<Answer, CreateError> {
        let fingerprint = fingerprint_of(&new);
        let mut transaction = self.begin(&self.pool).await?;
        self.writing(idempotency_keys::lock(&mut transaction, merchant, key))
            .await?;
        let first = self.reading(idempotency_keys::find(&mut *transaction, merchant, key));
        if let Some(first) = first.await? {
            return if first.fingerprint == fingerprint {
                Ok(first.answer)
            } else {
                Err(CreateError::KeyReused)
            };
        }
        let creation = self.draft(merchant, new);
        let created =
            if !creation.order.is_overdue_from_the_start() && self.write_alone(&mut transaction, &creation).await? {
                Created::New(Box::new(creation.order))
            } else {
                self.find_first(&mut transaction, &creation).await?
            };
        let answer = render(&created);
        self.writing(idempotency_keys::insert(
            &mut *transaction,
            merchant,
            key,
            &fingerprint,
            &answer,
        ))
        .await?;
        self.writing(async { Ok(transaction.commit().await?) }).await?;
        self.hub.news.tell([merchant]);
        self.doorbell.ring_slowly();
        Ok(answer)
    }

    fn draft(&self, merchant: MerchantId, new: NewOrder) -> Creation {
        let id = OrderId::generate();
        let secret = ClientSecret::issue(&self.issuing_key, id, random_bytes(&self.random));
        let fingerprint = fingerprint_of(&new);
        let order = Order::create(id, merchant, secret, new);
        let event = OrderEvent::created(&order);
        Creation {
            order,
            fingerprint,
            event,
        }
    }

    /// Writes one order and its event; false when its number is taken. Somebody else who is just writing that number is
    /// waited for.
    async fn write_alone(&self, connection: &mut Connection, creation: &Creation) -> Result<bool, DbError> {
        let alone = [creation];
        let created = self
            .writing(journal::create(connection, &alone, Duration::ZERO))
            .await?;
        Ok(!created.is_empty())
    }

    /// The order that has the draft's `out_trade_no` already: the same content makes it a repeat, other content a conflict.
    /// A draft whose time is up can only be a repeat.
    async fn find_first(&self, connection: &mut Connection, draft: &Creation) -> Result<Created, CreateError> {
        let (merchant, number) = draft.order.name();
        let first = self
            .reading(orders::find_by_out_trade_no(&mut *connection, merchant, number))
            .await?;
        let Some(first) = first else {
            return Err(if draft.order.is_overdue_from_the_start() {
                CreateError::ExpiryPassed
            } else {
                // Orders are never deleted, so the row that stood in the way is there.
                DbError::Unreadable("an order that was there a moment ago is gone".into()).into()
            });
        };
        let asked = [(first.id, &draft.fingerprint)];
        let same = self.reading(orders::were_created_by(&mut *connection, &asked)).await?;
        if same == [true] {
            Ok(Created::Already(Box::new(first)))
        } else {
            Err(taken_by(&first))
        }
    }
}

fn taken_by(first: &Order) -> CreateError {
    CreateError::OutTradeNoTaken { id: first.id }
}

impl CreationJob {
    /// (Whoever asked may have gone away.)
    fn answer(self, answer: Result<Created, CreateError>) {
        let _ = self.sender.send(answer);
    }

    fn answer_new(self) {
        let _ = self.sender.send(Ok(Created::New(Box::new(self.creation.order))));
    }
}

impl fmt::Debug for CreationJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreationJob")
            .field("order", &self.creation.order.id)
            .finish_non_exhaustive()
    }
}
