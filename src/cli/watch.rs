//! `payquery watch`: follows an order as a payer's screen should, with one held request after the other.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::client::{Client, ServiceArgs};
use super::{OutputArgs, print_json, print_line};

#[derive(Debug, Args)]
pub struct WatchArgs {
    /// The order's id
    #[arg(value_name = "ID", value_parser = parse_id)]
    order_id: uuid::Uuid,

    /// The order's client secret; without it the API key is used
    #[arg(long, env = "PAYQUERY_CLIENT_SECRET", hide_env_values = true, value_name = "SECRET")]
    client_secret: Option<String>,

    /// How long each request may be held, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=55))]
    wait: u32,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

/// (The secret opens an order by its id only, so the merchant's number is of no use here.)
fn parse_id(text: &str) -> Result<uuid::Uuid, String> {
    text.parse()
        .map_err(|_| "must be the order's id; `payquery order show` shows it, by the merchant's number too".into())
}

/// Longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(15);

impl WatchArgs {
    /// Prints the order as it is and each change, until it is final.
    pub async fn run(self) -> anyhow::Result<()> {
        let client = match &self.client_secret {
            Some(secret) => Client::new(self.service.url.clone(), secret.clone())?,
            None => self
                .service
                .merchant()
                .context("watching takes --client-secret or --api-key")?,
        };
        let mut since: Option<i64> = None;
        let mut failures = 0;
        loop {
            match self.ask(&client, since).await {
                Ok((document, pace)) => {
                    failures = 0;
                    let version = document["version"]
                        .as_i64()
                        .context("the answer is no status document")?;
                    let held_in_vain = since == Some(version);
                    if !held_in_vain {
                        self.print(&document)?;
                    }
                    if document["final"] == true {
                        return Ok(());
                    }
                    since = Some(version);
                    if held_in_vain && let Some(pace) = pace {
                        tokio::time::sleep(pace).await;
                    }
                }
                // The first answer decides whether this can work at all; later failures pass.
                Err(error) if since.is_none() => return Err(error),
                Err(error) => {
                    failures += 1;
                    let pause = Duration::from_secs(1 << failures.min(4))
                        .min(MAX_PAUSE)
                        .mul_f64(fastrand::f64());
                    tracing::warn!("{error:#}; asking again in {:.1} s", pause.as_secs_f64());
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// One held request: the document, and the server's pace if the answer came too early to have been held.
    async fn ask(&self, client: &Client, since: Option<i64>) -> anyhow::Result<(Value, Option<Duration>)> {
        let mut query = vec![("wait", self.wait.to_string())];
        query.extend(since.map(|version| ("since_version", version.to_string())));
        let id = self.order_id.to_string();
        let start = std::time::Instant::now();
        let answer = client
            .send(
                Method::GET,
                &["v1", "orders", &id, "status"],
                &query,
                HeaderMap::new(),
                None,
            )
            .await?;
        let pace = answer
            .headers
            .get("x-poll-interval")
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let too_early = start.elapsed() < Duration::from_secs(1);
        Ok((answer.body, pace.filter(|_| too_early).map(Duration::from_secs)))
    }

    fn print(&self, document: &Value) -> anyhow::Result<()> {
        if self.output.json {
            return print_json(document);
        }
        let word = |name: &str| document[name].as_str().unwrap_or_default();
        let late = if document["late"] == true { "  (late)" } else { "" };
        // A JSON value does not pad itself; its text does.
        let version = document["version"].to_string();
        let line = format!(
            "{}  v{version:<3} {}{late}  {}",
            word("updated_at"),
            word("status"),
            word("reason")
        );
        print_line(line.trim_end())
    }
}
