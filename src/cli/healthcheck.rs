//! `payquery healthcheck`: for containers, which have no curl.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use clap::Args;

#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Address and port that the service listens on; 0.0.0.0 is asked at 127.0.0.1
    #[arg(
        long,
        env = "PAYQUERY_ADDR",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080"
    )]
    addr: SocketAddr,
}

const TIMEOUT: Duration = Duration::from_secs(5);

impl HealthcheckArgs {
    /// Succeeds when `/readyz` does.
    pub async fn run(self) -> anyhow::Result<()> {
        let mut addr = self.addr;
        if addr.ip().is_unspecified() {
            addr.set_ip(if addr.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
        let answer = client.get(format!("http://{addr}/readyz")).send().await;
        let answer = answer.with_context(|| format!("cannot reach {addr}; is payquery running there?"))?;
        ensure!(answer.status().is_success(), "not ready: {}", answer.status());
        Ok(())
    }
}
