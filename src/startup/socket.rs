//! The listening socket: what its connections inherit, so that the kernel ends those that no answer can reach.

use std::net::TcpListener;
use std::time::Duration;

use rustix::net::{listen, sockopt};

/// A silent peer is asked after a minute whether it is still there, and given up after three questions without an answer.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_COUNT: u32 = 3;
/// How long a peer may leave an answer unread, or unacknowledged.
#[cfg(target_os = "linux")]
const UNREAD_LIMIT: Duration = Duration::from_secs(30);

/// Connections that may wait to be accepted: clients that all come back at once after a drain. The system's own bound
/// (`net.core.somaxconn`) may be lower.
const BACKLOG: i32 = 4096;

/// Sets the options. What the system does not know is left out: they are a second line of defence.
pub(super) fn harden(listener: &TcpListener) -> std::io::Result<()> {
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(listener, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(listener, KEEPALIVE_COUNT)?;
    #[cfg(target_os = "linux")]
    sockopt::set_tcp_user_timeout(listener, u32::try_from(UNREAD_LIMIT.as_millis()).unwrap_or(u32::MAX))?;
    // Again, with a longer queue than the standard library's 128.
    listen(listener, BACKLOG)?;
    Ok(())
}
