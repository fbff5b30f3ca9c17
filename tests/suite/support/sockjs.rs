//! A SockJS session over HTTP, driven one request at a time.

use reqwest::header::HeaderMap;

use super::{Answer, App};

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Polled {
    http: reqwest::Client,
    /// `http://…/ws/{server}/{session}`.
    base: String,
}

impl App {
    /// A session with a name of its own; nothing is sent yet.
    pub fn sockjs(&self) -> Polled {
        Polled {
            http: self.http.clone(),
            base: self.url(&format!("/ws/000/{:016x}", fastrand::u64(..))),
        }
    }
}

impl Polled {
    pub fn url(&self, transport: &str) -> String {
        format!("{}/{transport}", self.base)
    }

    /// What one poll (xhr) is told, without the line's end.
    pub async fn poll(&self) -> String {
        let answer = Answer::to(self.http.post(self.url("xhr"))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/javascript; charset=UTF-8");
        answer.text.strip_suffix('\n').expect("a frame is a line").to_owned()
    }

    /// The messages that one poll is told, past heart-beats.
    pub async fn messages(&self) -> Vec<String> {
        loop {
            let frame = self.poll().await;
            if frame != "h" {
                let list = frame
                    .strip_prefix('a')
                    .unwrap_or_else(|| panic!("no messages: {frame}"));
                return serde_json::from_str(list).unwrap();
            }
        }
    }

    /// Sends bytes as they are.
    pub async fn send_raw(&self, body: impl Into<reqwest::Body>) -> Answer {
        Answer::to(self.http.post(self.url("xhr_send")).body(body)).await
    }

    pub async fn send(&self, message: &str) {
        let answer = self.send_raw(serde_json::to_string(&[message]).unwrap()).await;
        assert_eq!((answer.status, &*answer.text), (204, ""));
    }

    /// An answer that goes on.
    pub async fn stream(&self, method: &str, transport: &str) -> Stream {
        let request = self.http.request(method.parse().unwrap(), self.url(transport));
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Stream {
            headers: response.headers().clone(),
            response,
            ahead: String::new(),
        }
    }
}

#[derive(Debug)]
pub struct Stream {
    pub headers: HeaderMap,
    response: reqwest::Response,
    ahead: String,
}

impl Stream {
    /// What comes next; None at the end.
    pub async fn chunk(&mut self) -> Option<String> {
        let chunk = tokio::time::timeout(std::time::Duration::from_secs(30), self.response.chunk());
        let chunk = chunk.await.expect("something comes").unwrap()?;
        Some(String::from_utf8(chunk.to_vec()).unwrap())
    }

    /// All up to and with that text.
    pub async fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.ahead.find(text) {
                return self.ahead.drain(..at + text.len()).collect();
            }
            let chunk = self.chunk().await;
            self.ahead += &chunk.unwrap_or_else(|| panic!("it ended with {:?}, without {text:?}", self.ahead));
        }
    }

    /// All up to the end.
    pub async fn rest(mut self) -> String {
        while let Some(chunk) = self.chunk().await {
            self.ahead += &chunk;
        }
        self.ahead
    }
}
