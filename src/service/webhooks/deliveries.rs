//! What merchants do with their deliveries: look at them, have them sent again, try an endpoint.

use super::super::{Service, now};
use super::WebhookError;
use crate::db::webhook_deliveries::{self, DeliveryFilter};
use crate::db::webhook_queue::{EventSlip, NewDelivery};
use crate::delivery::webhooks::{Entry, put_in};
use crate::domain::event::{EndpointEvent, Event, EventDocument};
use crate::domain::listing::Page;
use crate::domain::order::MerchantId;
use crate::domain::webhook::{Delivery, DeliveryId, Endpoint, EndpointId};

impl Service {
    /// Sends a test event to an endpoint; the delivery tells what becomes of it.
    pub async fn send_test(&self, merchant: MerchantId, id: EndpointId) -> Result<Delivery, WebhookError> {
        let endpoint = self.find_enabled(merchant, id).await?;
        let event = Event::Endpoint(EndpointEvent::test(&endpoint, now()));
        let new = NewDelivery::new(id, EventSlip::of(&event, EventDocument::of(&event).to_text()));
        let delivery = new.id;
        let mut transaction = self.begin(&self.pool).await?;
        let work = async {
            put_in(&mut transaction, &[Entry::New(new)]).await?;
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
            let Some(found) = webhook_deliveries::find(&mut transaction, id, delivery).await? else {
                return Ok(None);
            };
            let line = (id, found.order_id);
            put_in(&mut transaction, &[Entry::Again { id: delivery, line }]).await?;
            let queued = webhook_deliveries::find(&mut transaction, id, delivery).await?;
            transaction.commit().await?;
            Ok(queued)
        };
        let queued = self.writing(work).await?.ok_or(WebhookError::DeliveryNotFound)?;
        self.webhooks.queued.notify_one();
        Ok(queued)
    }

    pub(super) async fn find_enabled(&self, merchant: MerchantId, id: EndpointId) -> Result<Endpoint, WebhookError> {
        let endpoint = self.find_endpoint(merchant, id).await?;
        if endpoint.disabled.is_some() {
            return Err(WebhookError::Disabled);
        }
        Ok(endpoint)
    }
}
