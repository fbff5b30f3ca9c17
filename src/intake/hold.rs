//! Whether messages are still this process's to carry out.
//!
//! A report runs to its end, also when nobody waits for it any more; through a slow database that takes seconds. If its message is
//! handed out again meanwhile, here or at another replica, what comes after it in the queue may be applied before it, and it would
//! be decided on a second time, on what that left. So whoever decides asks here first. What was decided before, on an older state,
//! the version keeps from being written.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::desk::Update;
use crate::amqp::Lifeline;
use crate::domain::order::Version;
use crate::service::update::Precondition;

/// On what came over one connection: until that breaks, is silent for too long, or is closed by us.
#[derive(Debug, Clone)]
pub(super) struct Hold {
    lifeline: Lifeline,
    released: CancellationToken,
}

impl Hold {
    pub(super) fn on(lifeline: Lifeline) -> Self {
        Self {
            lifeline,
            released: CancellationToken::new(),
        }
    }

    /// From here on nothing is decided that came over this connection.
    pub(super) fn release(&self) {
        self.released.cancel();
    }

    /// Ends soon after the broker has ceased to count on the connection. (Where it is only silent nothing else may notice.)
    pub(super) async fn lost(&self) {
        self.lifeline.ended().await;
    }

    /// The update, for as long as it is held.
    pub(super) fn over(&self, update: Update) -> Update {
        let precondition = Arc::new(Held {
            precondition: update.precondition,
            hold: self.clone(),
        });
        Update { precondition, ..update }
    }
}

struct Held {
    precondition: Arc<dyn Precondition>,
    hold: Hold,
}

impl Precondition for Held {
    fn allows(&self, version: Version) -> bool {
        self.precondition.allows(version)
    }

    fn is_withdrawn(&self) -> bool {
        self.hold.released.is_cancelled() || !self.hold.lifeline.is_alive()
    }
}
