//! What merchants do with their deliveries: look at them, have them sent again, try an endpoint.

use uuid::Uuid;

use super::super::{Service, now};
use super::WebhookError;
use crate::db::webhook_deliveries::{self, DeliveryFilter};
use crate::db::webhook_queue::{self, EventSlip, NewDelivery};
use crate::db::{Connection, DbError, event_readers};
use crate::delivery::webhooks::{READER, put_in};
use crate::domain::event::{EndpointEvent, Event, EventDocument};
use crate::domain::listing::{Page, TimeRange};
use crate::domain::order::{MerchantId, OrderId};
use crate::domain::webhook::{Delivery, DeliveryId, Endpoint, EndpointId};

/// Deliveries that one call queues again at most: as many as one transaction carries well.
const RECOVERED_AT_ONCE: i64 = 1000;
const SECONDS_PER_DAY: i64 = 24 * 3600;

/// What was queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    pub queued: u64,
    /// There may be more: the same call again goes on.
    pub has_more: bool,
}

impl Service {
    /// Sends a test event to an endpoint; the delivery tells what becomes of it.
    pub async fn send_test(&self, merchant: MerchantId, id: EndpointId) -> Result<Delivery, WebhookError> {
        let endpoint = self.find_enabled(merchant, id).await?;
        let event = Event::Endpoint(EndpointEvent::test(&endpoint, now()));
        let new = NewDelivery::new(id, EventSlip::of(&event, EventDocument::of(&event).to_text()));
        let delivery = new.id;
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            put_in(&mut transaction, &[new]).await?;
            let queued = webhook_deliveries::find(&mut transaction, id, delivery).await?;
            transaction.commit().await?;
            Ok(queued)
        };
        let queued = self.writing(work).await?.ok_or(WebhookError::DeliveryNotFound)?;
        self.webhooks.queued.notify_one();
        Ok(queued)
    }

    pub async fn list_deliveries(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        filter: &DeliveryFilter,
    ) -> Result<Page<Delivery>, WebhookError> {
        self.find_endpoint(merchant, id).await?;
        let mut turn = self.list_turn().await?;
        let list = webhook_deliveries::list(&mut turn.transaction, id, filter);
        Ok(self.reading(list).await?)
    }

    /// Has one delivery sent again, whatever came of it. One that waits for its next try is tried now.
    pub async fn resend(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        delivery: DeliveryId,
    ) -> Result<Delivery, WebhookError> {
        self.find_enabled(merchant, id).await?;
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            event_readers::hold(&mut transaction, READER).await?;
            let Some(found) = webhook_deliveries::find(&mut transaction, id, delivery).await? else {
                return Ok(None);
            };
            queue_again(
                &mut transaction,
                id,
                &[(found.id.0, found.order_id.map(|order| order.0))],
            )
            .await?;
            let queued = webhook_deliveries::find(&mut transaction, id, delivery).await?;
            transaction.commit().await?;
            Ok(queued)
        };
        let queued = self.writing(work).await?.ok_or(WebhookError::DeliveryNotFound)?;
        self.webhooks.queued.notify_one();
        self.webhooks.endpoints_changed.notify_one();
        Ok(queued)
    }

    /// Queues again what of that time was given up, and what was never sent because the endpoint was disabled then, or not there.
    pub async fn recover(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        range: TimeRange,
    ) -> Result<Recovered, WebhookError> {
        self.check_kept(range)?;
        let endpoint = self.find_enabled(merchant, id).await?;
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            event_readers::hold(&mut transaction, READER).await?;
            let recovered = recover_in(&mut transaction, &endpoint, range).await?;
            transaction.commit().await?;
            Ok(recovered)
        };
        let recovered = self.writing(work).await?;
        self.webhooks.queued.notify_one();
        self.webhooks.endpoints_changed.notify_one();
        Ok(recovered)
    }

    /// Of older events nobody knows any more whether they were delivered.
    fn check_kept(&self, range: TimeRange) -> Result<(), WebhookError> {
        let days = self.webhooks.retention_days;
        let kept_since = now().plus_seconds(-i64::from(days) * SECONDS_PER_DAY);
        if days > 0 && range.from.is_none_or(|from| from < kept_since) {
            return Err(WebhookError::TooLongAgo { days });
        }
        Ok(())
    }

    async fn find_enabled(&self, merchant: MerchantId, id: EndpointId) -> Result<Endpoint, WebhookError> {
        let endpoint = self.find_endpoint(merchant, id).await?;
        if endpoint.disabled.is_some() {
            return Err(WebhookError::Disabled);
        }
        Ok(endpoint)
    }
}

/// Whoever queues for orders keeps the reader's place meanwhile: if the spreader queued for the same order at the same time, neither
/// would see the other, and both deliveries be the first.
async fn recover_in(connection: &mut Connection, endpoint: &Endpoint, range: TimeRange) -> Result<Recovered, DbError> {
    let given_up =
        webhook_deliveries::find_undelivered(&mut *connection, endpoint.id, range, RECOVERED_AT_ONCE).await?;
    let mut queued = queue_again(connection, endpoint.id, &given_up).await?;
    let room = RECOVERED_AT_ONCE - i64::try_from(given_up.len()).unwrap_or(RECOVERED_AT_ONCE);
    let whose = (endpoint.merchant_id, endpoint.id);
    let missed = webhook_deliveries::find_missed(&mut *connection, whose, &endpoint.filter, range, room).await?;
    let new: Vec<_> = missed
        .iter()
        .map(|logged| EventSlip::of(&logged.event, EventDocument::of(&logged.event).to_text()))
        .map(|slip| NewDelivery::new(endpoint.id, slip))
        .collect();
    queued += put_in(connection, &new).await?;
    Ok(Recovered {
        queued,
        has_more: i64::try_from(given_up.len() + missed.len()).is_ok_and(|found| found == RECOVERED_AT_ONCE),
    })
}

/// Queues deliveries of an endpoint (each with its order) again.
async fn queue_again(
    connection: &mut Connection,
    endpoint: EndpointId,
    deliveries: &[(Uuid, Option<Uuid>)],
) -> Result<u64, DbError> {
    let lines: Vec<_> = deliveries
        .iter()
        .map(|(_, order)| (endpoint, order.map(OrderId)))
        .collect();
    let ids: Vec<_> = deliveries.iter().map(|(id, _)| *id).collect();
    webhook_queue::lock_orders(&mut *connection, &lines).await?;
    let queued = webhook_deliveries::queue_again(&mut *connection, &ids).await?;
    webhook_queue::release(connection, &lines).await?;
    Ok(queued)
}
