//! Streams of events as an EventSource reads them (WHATWG HTML §9.2.6), piece by piece.

use std::time::Duration;

use serde_json::Value;

use super::{App, Asking, Order};

/// An open stream.
#[derive(Debug)]
pub struct Events {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    response: reqwest::Response,
    ahead: String,
}

/// What stands between two empty lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// An id, and a document.
    Event { id: i64, data: String },
    /// Milliseconds.
    Retry(u64),
    /// A heartbeat.
    Comment,
}

impl Piece {
    fn read(text: &str) -> Self {
        if text.starts_with(':') {
            return Self::Comment;
        }
        if let Some(milliseconds) = text.strip_prefix("retry: ") {
            return Self::Retry(milliseconds.parse().unwrap());
        }
        let (id, data) = text.split_once('\n').unwrap_or_else(|| panic!("no event: {text:?}"));
        let (id, data) = (id.strip_prefix("id: ").unwrap(), data.strip_prefix("data: ").unwrap());
        assert!(!data.contains('\n'), "{data:?}");
        Self::Event {
            id: id.parse().unwrap(),
            data: data.to_owned(),
        }
    }
}

impl Events {
    /// The next piece; None at the end of the stream.
    pub async fn piece(&mut self) -> Option<Piece> {
        loop {
            if let Some(end) = self.ahead.find("\n\n") {
                let piece: String = self.ahead.drain(..end + 2).collect();
                return Some(Piece::read(piece.trim_end()));
            }
            let chunk = tokio::time::timeout(Duration::from_secs(30), self.response.chunk());
            let Some(chunk) = chunk.await.expect("something comes within 30 s").unwrap() else {
                assert_eq!(self.ahead, "", "the stream ends with a whole piece");
                return None;
            };
            self.ahead.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    /// The next event's document, past heartbeats and hints; its id must be its version.
    pub async fn document(&mut self) -> Value {
        self.try_document().await.expect("the stream goes on")
    }

    /// The same; None when the stream has ended.
    pub async fn try_document(&mut self) -> Option<Value> {
        loop {
            if let Piece::Event { id, data } = self.piece().await? {
                let document: Value = serde_json::from_str(&data).unwrap();
                assert_eq!(document["version"], id);
                return Some(document);
            }
        }
    }

    /// The rest of the stream.
    pub async fn rest(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        while let Some(piece) = self.piece().await {
            pieces.push(piece);
        }
        pieces
    }
}

impl Asking {
    /// Asks for a stream instead.
    pub async fn events(self) -> Events {
        let response = self.0.header("accept", "text/event-stream").send().await.unwrap();
        Events {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            response,
            ahead: String::new(),
        }
    }
}

impl App {
    /// A stream of that order's events, as its payer opens it.
    pub async fn stream(&self, order: &Order) -> Events {
        let events = self.ask(order).events().await;
        assert_eq!(events.status, 200);
        events
    }
}
