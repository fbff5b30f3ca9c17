//! `payquery events`: reads the event feed as a merchant's system should, with a cursor that survives whatever happens.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, Response};
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use super::client::{Client, Refusal, ServiceArgs};
use super::order::plain;
use super::{OutputArgs, write_line};

/// Prints all that happened to the merchant's orders, oldest first, one event a line, and then a cursor on standard error:
/// `--after` with it goes on from there. The events of one order come in the order in which they happened.
///
/// With --follow it goes on until Ctrl-C. Restarts of the service and failures of the network are survived; each event is
/// printed once. With --json each line is the event with the cursor after it, so a program that reads the lines can go on
/// from whichever it dealt with last.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Begin after this cursor; "now" is what comes from now on [default: with the oldest event that is kept]
    #[arg(long, value_name = "CURSOR")]
    after: Option<String>,

    /// Only events of these types, between commas, such as order.succeeded,order.paid_late
    #[arg(long, value_name = "TYPE,…")]
    types: Option<String>,

    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    service: ServiceArgs,
}

const PATH: [&str; 2] = ["v1", "events"];
/// How long the service waits for more before it ends its answer, in seconds.
const WAIT: u32 = 55;
/// Longest pause after failures.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// How far it has come.
struct Progress {
    /// None: before the oldest event.
    cursor: Option<String>,
    /// Whether the service has ever answered: if not, this cannot work at all.
    has_begun: bool,
    failures: u32,
}

/// What a line says about going on.
enum Line {
    Event,
    /// The answer is complete.
    End {
        has_more: bool,
    },
    /// Nobody reads what is printed.
    Unread,
}

impl EventsArgs {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.service.merchant()?;
        let mut progress = Progress {
            cursor: self.after.clone(),
            has_begun: false,
            failures: 0,
        };
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let outcome = tokio::select! {
            outcome = self.read(&client, &mut progress) => outcome,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        };
        if let Some(cursor) = progress.cursor.filter(|_| progress.has_begun) {
            // (Nobody may read that, too.)
            let _ = writeln!(std::io::stderr(), "cursor: {cursor}");
        }
        outcome
    }

    async fn read(&self, client: &Client, progress: &mut Progress) -> anyhow::Result<()> {
        loop {
            match self.read_answer(client, progress).await {
                Ok(Line::Unread) => return Ok(()),
                Ok(Line::End { has_more: false }) if !self.follow => return Ok(()),
                Ok(_) => progress.failures = 0,
                Err(error) => {
                    let refusal = error.downcast_ref::<Refusal>();
                    if !progress.has_begun || refusal.is_some_and(|refusal| !refusal.may_pass()) {
                        return Err(error);
                    }
                    progress.failures += 1;
                    let pause = Duration::from_secs(1 << progress.failures.min(4)).min(MAX_PAUSE);
                    let told = refusal.and_then(|refusal| refusal.retry_after).unwrap_or_default();
                    let pause = pause.mul_f64(fastrand::f64()).max(told);
                    tracing::warn!("{error:#}; going on in {:.1} s", pause.as_secs_f64());
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// One answer of the service, to its last line.
    async fn read_answer(&self, client: &Client, progress: &mut Progress) -> anyhow::Result<Line> {
        if progress.cursor.as_deref() == Some("now") {
            progress.cursor = Some(self.find_now(client).await?);
            progress.has_begun = true;
        }
        let mut query = self.query(progress.cursor.as_ref());
        query.extend(self.follow.then(|| ("wait", WAIT.to_string())));
        let lines = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/x-ndjson"))]);
        let mut answer = client.stream(&PATH, &query, lines).await?;
        progress.has_begun = true;
        let line = self.read_lines(&mut answer, progress).await?;
        let pace = answer.headers().get("x-poll-interval");
        if let Some(seconds) = pace.and_then(|value| value.to_str().ok()?.parse().ok()) {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
        Ok(line)
    }

    async fn read_lines(&self, answer: &mut Response, progress: &mut Progress) -> anyhow::Result<Line> {
        let mut ahead = Vec::new();
        while let Some(chunk) = answer.chunk().await.context("the answer broke off")? {
            ahead.extend_from_slice(&chunk);
            let mut rest = ahead.as_slice();
            while let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let line = std::str::from_utf8(&rest[..length]).context("the answer is no text")?;
                match self.take(line, progress)? {
                    Line::Event => progress.failures = 0,
                    last => return Ok(last),
                }
                rest = &rest[length + 1..];
            }
            ahead.drain(..ahead.len() - rest.len());
        }
        anyhow::bail!("the answer broke off")
    }

    /// Prints an event, and only then moves on.
    fn take(&self, line: &str, progress: &mut Progress) -> anyhow::Result<Line> {
        let value: Value = serde_json::from_str(line).context("the answer has a line that is no JSON")?;
        let cursor = value["cursor"]
            .as_str()
            .context("the answer has a line without a cursor")?;
        let is_event = value["id"].is_string();
        if is_event && !write_line(&self.text_of(line, &value))? {
            return Ok(Line::Unread);
        }
        progress.cursor = Some(cursor.to_owned());
        Ok(if is_event {
            Line::Event
        } else {
            let has_more = value["has_more"] == true;
            Line::End { has_more }
        })
    }

    /// The cursor at this moment: asked for by itself, so that it is there before anything comes.
    async fn find_now(&self, client: &Client) -> anyhow::Result<String> {
        let query = self.query(Some(&"now".to_owned()));
        let page = client.send(Method::GET, &PATH, &query, HeaderMap::new(), None).await?;
        let cursor = page.body["next_cursor"].as_str();
        Ok(cursor.context("the answer is no page of the feed")?.to_owned())
    }

    fn query(&self, cursor: Option<&String>) -> Vec<(&'static str, String)> {
        let after = cursor.map(|cursor| ("after", cursor.clone()));
        let types = self.types.as_ref().map(|types| ("types", types.clone()));
        after.into_iter().chain(types).collect()
    }

    fn text_of(&self, line: &str, event: &Value) -> String {
        if self.output.json {
            return line.to_owned();
        }
        let word = |name: &str| plain(&event[name]);
        let moved = format!("{} -> {}", word("from"), word("to"));
        format!(
            "{}  {:24} v{:<3} {:18} {:24} by {}  {}",
            word("at"),
            word("out_trade_no"),
            word("version"),
            word("type"),
            moved,
            word("source"),
            word("reason")
        )
    }
}
