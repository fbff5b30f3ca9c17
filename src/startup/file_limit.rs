//! The limit of open files: raised as far as it goes, and never run into.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are open besides held requests: the program's own, logs, and connections that come and go.
const RESERVED: usize = 512;

/// Raises the soft limit to the hard one, and says how many of the `wanted` held requests then have room.
pub(super) fn room_for_held_requests(wanted: usize, db_connections: u32) -> usize {
    let room = raise().saturating_sub(RESERVED + db_connections as usize);
    if wanted > room {
        tracing::warn!(
            wanted,
            room,
            "the limit of open files leaves room for fewer held requests; raise it (ulimit -n)"
        );
    }
    wanted.min(room)
}

fn raise() -> usize {
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
