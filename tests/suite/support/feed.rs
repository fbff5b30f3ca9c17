//! The merchant's event feed, as the merchant's systems read it.

use std::collections::HashMap;
use std::time::Duration;

use payquery::domain::log_cursor::{Horizon, LogCursor};
use reqwest::Method;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Answer, App};

/// A page of the feed.
#[derive(Debug, Clone, Default)]
pub struct FeedPage {
    pub events: Vec<Value>,
    pub cursor: String,
    pub has_more: bool,
}

impl FeedPage {
    #[track_caller]
    pub fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        Self {
            events: body["data"].as_array().unwrap().clone(),
            cursor: body["next_cursor"].as_str().unwrap().to_owned(),
            has_more: body["has_more"].as_bool().unwrap(),
        }
    }

    pub fn types(&self) -> Vec<&str> {
        self.events
            .iter()
            .map(|event| event["type"].as_str().unwrap())
            .collect()
    }
}

impl App {
    /// The answer to a request for the feed with this query.
    pub async fn feed(&self, query: &str) -> Answer {
        self.get(&format!("/v1/events?{query}")).await
    }

    pub async fn feed_page(&self, query: &str) -> FeedPage {
        FeedPage::of(&self.feed(query).await)
    }

    /// Sends it on its way, and comes back when it is held (or when it was answered at once, which the caller finds out).
    pub async fn held_feed(&self, query: &str) -> JoinHandle<Answer> {
        let before = self.metric("payquery_held_requests", "").await;
        let request = self.merchant(Method::GET, &format!("/v1/events?{query}"));
        let asking = tokio::spawn(Answer::to(request));
        while !asking.is_finished() && self.metric("payquery_held_requests", "").await <= before {}
        asking
    }

    /// All there is from the oldest event on, by pages of these sizes in turns; each cursor is always there.
    pub async fn whole_feed(&self, query: &str, sizes: &[u8]) -> Vec<Value> {
        let (mut events, mut after) = (Vec::new(), String::new());
        for size in sizes.iter().cycle() {
            let page = self.feed_page(&format!("limit={size}{after}{query}")).await;
            assert!(page.events.len() <= usize::from(*size));
            events.extend(page.events);
            after = format!("&after={}", page.cursor);
            if !page.has_more {
                return events;
            }
        }
        unreachable!("sizes come in turns without end")
    }

    /// A request for the feed as lines.
    pub async fn feed_lines(&self, query: &str) -> Lines {
        let request = self.merchant(Method::GET, &format!("/v1/events?{query}"));
        let response = request.header("accept", "application/x-ndjson").send().await.unwrap();
        assert_eq!(response.status(), 200);
        Lines {
            headers: response.headers().clone(),
            response,
            ahead: Vec::new(),
        }
    }
}

/// An answer that is read line by line.
#[derive(Debug)]
pub struct Lines {
    pub headers: reqwest::header::HeaderMap,
    response: reqwest::Response,
    ahead: Vec<u8>,
}

impl Lines {
    /// The next line; None at the end of the answer, an error when it breaks off.
    pub async fn try_line(&mut self) -> reqwest::Result<Option<Value>> {
        loop {
            if let Some(length) = self.ahead.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.ahead.drain(..=length).collect();
                return Ok(Some(serde_json::from_slice(&line).unwrap()));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(70), self.response.chunk()).await;
            let Some(chunk) = chunk.expect("something comes")? else {
                assert!(self.ahead.is_empty(), "the last line is whole");
                return Ok(None);
            };
            self.ahead.extend_from_slice(&chunk);
        }
    }

    pub async fn line(&mut self) -> Value {
        self.try_line().await.unwrap().expect("another line")
    }

    /// All lines; the last one must be the end.
    pub async fn rest(&mut self) -> (Vec<Value>, Value) {
        let mut lines = Vec::new();
        while let Some(line) = self.try_line().await.unwrap() {
            lines.push(line);
        }
        let end = lines.pop().expect("an end");
        assert!(end.get("id").is_none() && end["cursor"].is_string(), "{end}");
        (lines, end)
    }
}

/// The ids of events.
pub fn ids_of(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["id"].as_str().unwrap()).collect()
}

/// Checks that the accepted events of each order came in the order of its versions, none missing and none twice; says how many
/// orders there were.
#[track_caller]
pub fn check_each_order(events: &[Value]) -> usize {
    let mut versions: HashMap<&str, i64> = HashMap::new();
    for event in events.iter().filter(|event| event["accepted"] == true) {
        let last = versions.entry(event["order_id"].as_str().unwrap()).or_default();
        let version = event["version"].as_i64().unwrap();
        assert_eq!(version, *last + 1, "{event} after version {last}");
        *last = version;
    }
    versions.len()
}

/// The cursor of a reader that has seen all transactions before `next`.
pub fn cursor_at(next: u64) -> String {
    LogCursor::at(Horizon::parse(&format!("{next}:{next}:")).unwrap()).encode()
}
