//! The limit of open files: raised as far as it goes, and never run into.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides clients' connections: the program's own, logs, those that come and go.
const RESERVED: usize = 128;
/// Connections that are kept for those who are not held: of ten clients one may poll while nine wait.
const POLLERS_SHARE: usize = 10;

/// How the open files are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileBudget {
    /// Connections of clients, over all HTTP threads. Past it new ones wait in the kernel's queue.
    pub connections: usize,
    /// Held requests: less than the connections, so that there is always room for a poll.
    pub held: usize,
}

impl FileBudget {
    /// Raises the soft limit to the hard one and shares it out; `wanted_held` is what the configuration asks for.
    pub(super) fn take(wanted_held: usize, db_connections: u32) -> Self {
        let budget = Self::of(raise_limit(), wanted_held, db_connections);
        if budget.held < wanted_held {
            tracing::warn!(
                wanted = wanted_held,
                room = budget.held,
                "the limit of open files leaves room for fewer held requests; raise it (ulimit -n)"
            );
        }
        budget
    }

    fn of(files: usize, wanted_held: usize, db_connections: u32) -> Self {
        let connections = files.saturating_sub(RESERVED + db_connections as usize).max(1);
        Self {
            connections,
            held: wanted_held.min(connections - connections / POLLERS_SHARE),
        }
    }
}

/// Raises the soft limit to the hard one; says how many files may be open.
pub fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let open = if setrlimit(Resource::Nofile, raised).is_ok() {
        limit.maximum
    } else {
        limit.current
    };
    open.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_requests_leave_room_for_polls_and_connections_for_everything_else() {
        assert_eq!(
            FileBudget::of(1024, 10_000, 16),
            FileBudget {
                connections: 880,
                held: 792
            }
        );
        assert_eq!(FileBudget::of(1_000_000, 10_000, 16).held, 10_000);
        assert_eq!(
            FileBudget::of(10, 10, 16),
            FileBudget {
                connections: 1,
                held: 1
            }
        );
    }
}
