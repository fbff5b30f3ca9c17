//! Creating an order: once, however often the request is sent.

use super::{Service, random_bytes};
use crate::db::{Connection, DbError, idempotency_keys, journal, orders};
use crate::domain::client_secret::ClientSecret;
use crate::domain::event::OrderEvent;
use crate::domain::idempotency::{Answer, Fingerprint, IdempotencyKey, fingerprint_of};
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
    #[error(transparent)]
    Database(#[from] DbError),
}

impl Service {
    /// Creates the order, or finds the one that the same request created before.
    pub async fn create(&self, merchant: MerchantId, new: NewOrder) -> Result<Created, CreateError> {
        let fingerprint = fingerprint_of(&new);
        let order = self.draft(merchant, new);
        let event = OrderEvent::created(&order);
        if !order.is_overdue_from_the_start()
            && self
                .writing(journal::create(&self.pool, &order, &fingerprint, &event))
                .await?
        {
            return Ok(Created::New(Box::new(order)));
        }
        let mut connection = self.connection().await?;
        find_first(&mut connection, &order, &fingerprint).await
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
        let order = self.draft(merchant, new);
        let event = OrderEvent::created(&order);
        let created = if !order.is_overdue_from_the_start()
            && self
                .writing(journal::create(&mut *transaction, &order, &fingerprint, &event))
                .await?
        {
            Created::New(Box::new(order))
        } else {
            find_first(&mut transaction, &order, &fingerprint).await?
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
        Ok(answer)
    }

    fn draft(&self, merchant: MerchantId, new: NewOrder) -> Order {
        let id = OrderId::generate();
        let secret = ClientSecret::issue(&self.issuing_key, id, random_bytes(&self.random));
        Order::create(id, merchant, secret, new)
    }
}

/// The order that has the draft's `out_trade_no` already: the same content makes it a repeat, other content a conflict.
/// A draft whose time is up can only be a repeat.
async fn find_first(
    connection: &mut Connection,
    draft: &Order,
    fingerprint: &Fingerprint,
) -> Result<Created, CreateError> {
    let first = orders::find_by_out_trade_no(&mut *connection, draft.merchant_id, &draft.out_trade_no).await?;
    let Some(first) = first else {
        return Err(if draft.is_overdue_from_the_start() {
            CreateError::ExpiryPassed
        } else {
            // Orders are never deleted, so the row that stood in the way is there.
            DbError::Unreadable("an order that was there a moment ago is gone".into()).into()
        });
    };
    if orders::was_created_by(&mut *connection, first.id, fingerprint).await? {
        Ok(Created::Already(Box::new(first)))
    } else {
        Err(CreateError::OutTradeNoTaken { id: first.id })
    }
}
