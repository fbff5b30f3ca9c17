//! The demo merchant, and what a newcomer sees first.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::config::ServeArgs;
use crate::db::{DbError, Pool};
use crate::domain::order::MerchantId;
use crate::service::authenticate::{demo_merchant, issue_demo_key};

/// The merchant that the demo's pages act for; None without `--demo`.
pub(super) async fn merchant(args: &ServeArgs, pool: &Pool) -> Result<Option<MerchantId>, DbError> {
    if args.demo {
        demo_merchant(pool).await.map(Some)
    } else {
        Ok(None)
    }
}

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
