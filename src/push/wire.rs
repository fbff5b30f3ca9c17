//! What a conversation needs of the connection that it goes over, so that the same conversation goes over all of them.

use bytes::Bytes;

use super::socket::Gone;

/// A connection that carries texts both ways.
pub(super) trait Wire {
    /// What the client sends next; None when it is gone, or has ended the connection. May be dropped while it waits, and called
    /// again: nothing is lost.
    async fn receive(&mut self) -> Option<Bytes>;

    /// The client has shown something that opens. Said more than once.
    fn prove(&mut self) {}

    /// Sends a text. A client that does not take it in time is gone.
    async fn send(&mut self, text: String) -> Result<(), Gone>;

    /// Ends the connection, and says why in the connection's own words.
    async fn end(self, ending: Ending);
}

/// How a conversation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The client said that it is done.
    Done,
    /// The client is not there any more, or has ended the connection itself.
    Gone,
    /// What the client sent is not what the protocol has.
    Mistake,
    /// Nothing was opened in the time that there is for it.
    Unproven,
    /// The client may not have what it asks for.
    Refused,
    /// Not now: later, or somewhere else.
    Later,
    /// It was for nothing.
    Idle,
    /// The process is stopping.
    Stopping,
}
