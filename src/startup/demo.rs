//! The demo merchant, and what a newcomer sees first.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::db::Pool;
use crate::service::authenticate::issue_demo_key;

/// Makes the demo merchant's key and prints how to use it.
pub(super) async fn welcome(pool: &Pool, address: SocketAddr) -> anyhow::Result<()> {
    let key = issue_demo_key(pool).await?;
    let text = include_str!("welcome.txt")
        .replace("{url}", &format!("http://{address}"))
        .replace("{api_key}", key.expose());
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
