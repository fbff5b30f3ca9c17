//! What attempts say about their endpoints: who takes what is sent there, who is gone, who has failed for too long.

use std::time::Duration;

use super::plan::{Next, Outcome};
use super::worker::Finished;
use crate::db::webhook_listeners::{self, Seen};
use crate::db::{Connection, DbError, order_events};
use crate::domain::event::EndpointEvent;
use crate::domain::order::MerchantId;
use crate::domain::webhook::DisabledReason;

/// An endpoint that was changed while it was asked (another URL, disabled and enabled again) has not said this: a 410 of its old URL, which
/// may come long after the new one took something, ends neither the delivery nor the endpoint. It is tried again at once. (Of a change
/// that is committed in the very moment of the mark only the endpoint is sure to survive; the delivery can be sent again.)
pub(super) async fn take_back_last_words(
    connection: &mut Connection,
    finished: &mut [Finished],
) -> Result<(), DbError> {
    let last_words = seen_by(finished.iter().filter(|it| is_last_word(it.report.outcome)));
    if last_words.is_empty() {
        return Ok(());
    }
    let unchanged = webhook_listeners::unchanged(connection, &last_words).await?;
    for it in finished {
        if is_last_word(it.report.outcome) && !unchanged.contains(&seen(it)) {
            it.report.outcome = Outcome::Failed { retry_after: None };
            it.next = Next::TryAgain(Duration::ZERO);
        }
    }
    Ok(())
}

/// Notes which endpoints take what they are sent, and disables those that are gone, or failed for too long. Gives back the merchants in
/// whose log that stands now.
pub(super) async fn pass(
    connection: &mut Connection,
    finished: &[&Finished],
    disable_after: Duration,
) -> Result<Vec<MerchantId>, DbError> {
    let of = |is_meant: fn(Outcome) -> bool| {
        let finished = finished.iter().copied();
        seen_by(finished.filter(|it| is_meant(it.report.outcome)))
    };
    let taken = of(|outcome| outcome == Outcome::Taken);
    let mut failed = of(|outcome| outcome != Outcome::Taken);
    failed.retain(|(endpoint, _)| !taken.iter().any(|(other, _)| other == endpoint));
    let mut told = Vec::new();
    if !taken.is_empty() || !failed.is_empty() {
        webhook_listeners::note_outcomes(&mut *connection, &taken, &failed).await?;
    }
    if failed.is_empty() {
        return Ok(told);
    }
    for (endpoints, reason, patience) in [
        (
            &of(|outcome| outcome == Outcome::Gone),
            DisabledReason::Gone,
            Duration::ZERO,
        ),
        (
            &of(|outcome| outcome == Outcome::Hopeless),
            DisabledReason::Failing,
            Duration::ZERO,
        ),
        (&failed, DisabledReason::Failing, disable_after),
    ] {
        let patience = patience.as_secs_f64();
        for endpoint in webhook_listeners::disable(&mut *connection, endpoints, reason, patience).await? {
            tracing::warn!(endpoint.id = %endpoint.id, reason = reason.as_str(), "a webhook endpoint was disabled");
            let at = webhook_listeners::now(&mut *connection).await?;
            let event = EndpointEvent::disabled(&endpoint, reason, at);
            order_events::append_of_endpoint(&mut *connection, &event).await?;
            told.push(endpoint.merchant_id);
        }
    }
    Ok(told)
}

fn is_last_word(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Gone | Outcome::Hopeless)
}

fn seen(finished: &Finished) -> Seen {
    (finished.delivery.endpoint.0, finished.delivery.endpoint_updated_at)
}

/// In the order of their ids, each once.
fn seen_by<'a>(finished: impl Iterator<Item = &'a Finished>) -> Vec<Seen> {
    let mut endpoints: Vec<_> = finished.map(seen).collect();
    endpoints.sort_unstable();
    endpoints.dedup();
    endpoints
}
