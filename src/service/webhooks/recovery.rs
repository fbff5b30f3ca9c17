//! Making up for what was not delivered, in parts: found without a lock, and queued in transactions so short that nobody who waits
//! for one notices.

use std::time::{Duration, Instant};

use super::super::{Service, now};
use super::WebhookError;
use crate::db::DbError;
use crate::db::webhook_queue::{EventSlip, NewDelivery};
use crate::db::webhook_recovery::{self, Span, Unsent, Window};
use crate::delivery::webhooks::{Entry, put_in};
use crate::domain::event::EventDocument;
use crate::domain::listing::{LogPlace, TimeRange};
use crate::domain::order::MerchantId;
use crate::domain::webhook::{Endpoint, EndpointId};

/// Deliveries that one call queues at most.
const RECOVERED_AT_ONCE: i64 = 5000;
/// Those that one look finds at most: what is found is queued before the next look.
const LOOK: i64 = 1000;
/// Those of one transaction: it keeps others from queueing for the same endpoint, the log's reader among them, for some 20 ms.
const PART: usize = 200;
/// Looks into the log that one call takes at most.
const MAX_LOOKS: usize = 10;
/// How long a call goes on: whoever asked wants to hear something. What is begun is finished.
const PATIENCE: Duration = Duration::from_secs(2);
const SECONDS_PER_DAY: i64 = 24 * 3600;

/// What was queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    pub queued: u64,
    /// There may be more, behind this place.
    pub next: Option<LogPlace>,
}

impl Service {
    /// Queues again what of that time was given up, and what was never sent because the endpoint was disabled then, or not there.
    /// In the order of the log, from its beginning or from where an earlier call left off. What fails on the way keeps what was
    /// queued so far; the same call again goes on.
    pub async fn recover(
        &self,
        merchant: MerchantId,
        id: EndpointId,
        range: TimeRange,
        after: Option<LogPlace>,
    ) -> Result<Recovered, WebhookError> {
        self.check_kept(range)?;
        let deadline = Instant::now() + PATIENCE;
        let endpoint = self.find_enabled(merchant, id).await?;
        let (mut queued, mut room, mut next) = (0, RECOVERED_AT_ONCE, after);
        for _ in 0..MAX_LOOKS {
            let limit = room.min(LOOK);
            let window = self
                .find_unsent(
                    &endpoint,
                    Span {
                        range,
                        after: next,
                        limit,
                    },
                )
                .await?;
            for part in window.unsent.chunks(PART) {
                queued += self.queue_part(id, part).await?;
                self.webhooks.queued.notify_one();
            }
            room -= i64::try_from(window.unsent.len()).unwrap_or(room).min(room);
            next = window.end;
            if next.is_none() || room == 0 || Instant::now() > deadline {
                break;
            }
        }
        Ok(Recovered { queued, next })
    }

    /// Of older events nobody knows any more whether they were delivered, or what they were.
    fn check_kept(&self, range: TimeRange) -> Result<(), WebhookError> {
        let kept = [self.webhooks.retention_days, self.event_retention_days];
        let Some(days) = kept.into_iter().filter(|days| *days > 0).min() else {
            return Ok(());
        };
        let kept_since = now().plus_seconds(-i64::from(days) * SECONDS_PER_DAY);
        if range.from.is_none_or(|from| from < kept_since) {
            return Err(WebhookError::TooLongAgo { days });
        }
        Ok(())
    }

    async fn find_unsent(&self, endpoint: &Endpoint, span: Span) -> Result<Window, DbError> {
        let mut turn = self.list_turn().await?;
        let look = webhook_recovery::find_unsent(&mut turn.transaction, endpoint, span);
        self.reading(look).await
    }

    async fn queue_part(&self, id: EndpointId, part: &[Unsent]) -> Result<u64, DbError> {
        let entries: Vec<_> = part.iter().map(|unsent| entry(id, unsent)).collect();
        let mut turn = self.list_turn().await?;
        let work = async {
            let queued = put_in(&mut turn.transaction, &entries).await?;
            turn.transaction.commit().await?;
            Ok(queued)
        };
        self.writing(work).await
    }
}

fn entry(endpoint: EndpointId, unsent: &Unsent) -> Entry {
    let event = &unsent.event.event;
    match unsent.given_up {
        Some(id) => Entry::Again {
            id,
            line: (endpoint, event.order_id()),
        },
        None => Entry::New(NewDelivery::new(
            endpoint,
            EventSlip::of(event, EventDocument::of(event).to_text()),
        )),
    }
}
