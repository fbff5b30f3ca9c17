//! What a connection is told: the frames that the server sends.

use super::subscriptions::Subscription;
use super::{End, Session};
use crate::hub::Snapshot;
use crate::push::gate::{Fault, Refusal};
use crate::push::stomp::Version;
use crate::push::stomp::frame::Frame;
use crate::push::stomp::request::{ACCEPT_VERSION, Ack, Name};
use crate::push::wire::{Ending, Wire};
use tokio::time::Instant;

/// The MESSAGE that tells a subscription of the order as it stands.
pub(super) fn message(subscription: &Subscription, snapshot: &Snapshot, id: String) -> Frame {
    let mut message = Frame::new("MESSAGE").with("destination", subscription.destination.clone());
    if let Name::Id(name) = &subscription.name {
        message = message.with("subscription", name.clone());
    }
    if subscription.ack == Ack::Client {
        message = message.with("ack", id.clone());
    }
    message = message
        .with("message-id", id)
        .with("content-type", "application/json")
        .with("version", snapshot.version.to_string());
    message.body = snapshot.body.clone();
    message
}

/// The ERROR that says why nothing more comes: in a word for people, and as the problem document that requests get.
fn error(refusal: Refusal, receipt: Option<String>) -> Frame {
    let mut error = Frame::new("ERROR")
        .with("message", refusal.detail)
        .with("content-type", "application/problem+json");
    if let Some(receipt) = receipt {
        error = error.with("receipt-id", receipt);
    }
    error.body = refusal.problem;
    error
}

impl Session {
    /// Tells the client that its frame was done, if it wants to know.
    pub(super) async fn send_receipt(&mut self, wire: &mut impl Wire) -> Result<(), End> {
        match self.receipt.take() {
            Some(receipt) => self.send(wire, Frame::new("RECEIPT").with("receipt-id", receipt)).await,
            None => Ok(()),
        }
    }

    pub(super) async fn send(&mut self, wire: &mut impl Wire, frame: Frame) -> Result<(), End> {
        let bytes = frame.encode(self.decoder.version);
        let text = String::from_utf8(bytes).expect("headers and documents are text");
        self.send_text(wire, text).await
    }

    pub(super) async fn send_text(&mut self, wire: &mut impl Wire, text: String) -> Result<(), End> {
        if let Some(heart_beat) = &mut self.heart_beat {
            heart_beat.sent(Instant::now());
        }
        wire.send(text).await.map_err(|_| End::Gone)
    }

    /// Says why the conversation is over, where there is somebody to hear it.
    pub(super) async fn say_end(&mut self, wire: &mut impl Wire, end: End) -> Ending {
        let receipt = self.receipt.take();
        let (refusal, ending) = match end {
            End::Gone => return Ending::Gone,
            End::Done => return Ending::Done,
            // No ERROR: the client did nothing wrong, and comes again by itself when it needs to.
            End::Stopping => return Ending::Stopping,
            End::Idle => return Ending::Idle,
            End::Complaint(complaint) => {
                let versions = complaint.part == ACCEPT_VERSION;
                let fault = Fault::Invalid {
                    field: complaint.part,
                    reason: complaint.reason.into_owned(),
                };
                let refusal = self.streams.gate.refuse(&self.asker, fault);
                let mut error = error(refusal, receipt);
                if versions {
                    let ours = Version::ALL.map(Version::as_str).join(",");
                    error = error.with("version", ours);
                }
                let _ = self.send(wire, error).await;
                return Ending::Mistake;
            }
            End::Unproven => {
                let reason = "nothing was opened in time: CONNECT, and SUBSCRIBE to an order with what opens it";
                let fault = Fault::Unauthenticated { reason };
                (self.streams.gate.refuse(&self.asker, fault), Ending::Unproven)
            }
            End::Refusal(refusal) if matches!(refusal.status, 429 | 500..) => (refusal, Ending::Later),
            End::Refusal(refusal) if refusal.is_of_credentials() => (refusal, Ending::Refused),
            End::Refusal(refusal) => (refusal, Ending::Mistake),
        };
        let _ = self.send(wire, error(refusal, receipt)).await;
        ending
    }
}
