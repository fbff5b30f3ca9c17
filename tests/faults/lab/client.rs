//! Those who use the service: a merchant that reports, payers that poll and wait. Every answer goes before the judge.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Judge;

/// Where a replica is reached.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    pub number: usize,
    pub address: SocketAddr,
}

impl Door {
    /// A door that leads to one replica or another: what one of them acknowledged, the next one learns by the feed.
    pub fn of_balancer(address: SocketAddr) -> Self {
        Self {
            number: usize::MAX,
            address,
        }
    }

    pub fn leads_to_one_replica(self) -> bool {
        self.number != usize::MAX
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// An order, and what opens it.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: Uuid,
    pub secret: String,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// By its ETag.
    pub version: Option<i64>,
    pub retry_after: bool,
    pub body: String,
    pub took: Duration,
}

impl Answer {
    /// A field of the body that is text; empty when there is none.
    pub fn text(&self, field: &str) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body[field].as_str().unwrap_or_default().to_owned()
    }
}

/// Connections, kept open between requests.
#[derive(Debug, Clone)]
pub struct Http(reqwest::Client);

impl Http {
    pub fn new() -> Self {
        let builder = reqwest::Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(256)
            .tcp_nodelay(true);
        Self(builder.build().expect("a client"))
    }

    pub fn get(&self, url: String) -> RequestBuilder {
        self.0.get(url)
    }

    pub fn post(&self, url: String) -> RequestBuilder {
        self.0.post(url)
    }

    /// Sends a request; an error when there was no answer, or not all of one.
    ///
    /// A connection that was opened and not used for as long as a request's head may take is ended with a 408, which may cross
    /// a request on its way. It was not looked at then, and is sent again (RFC 9110 §15.5.9), as browsers do.
    pub async fn send(request: RequestBuilder) -> Result<Answer, String> {
        let again = request.try_clone();
        let answer = Self::send_once(request).await?;
        match again {
            Some(again) if answer.status == 408 => Self::send_once(again).await,
            _ => Ok(answer),
        }
    }

    async fn send_once(request: RequestBuilder) -> Result<Answer, String> {
        let start = Instant::now();
        let answer = request.timeout(Duration::from_secs(70)).send().await;
        let answer = answer.map_err(|error| format!("{error:?}"))?;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let version = header("etag").and_then(|tag| tag.trim_matches('"').parse().ok());
        let retry_after = header("retry-after").and_then(|value| value.parse::<u32>().ok());
        let (status, retry_after) = (answer.status().as_u16(), retry_after.is_some_and(|seconds| seconds > 0));
        let body = answer.text().await.map_err(|error| format!("{error:?}"))?;
        Ok(Answer {
            status,
            version,
            retry_after,
            body,
            took: start.elapsed(),
        })
    }

    /// A gauge or counter of a replica, summed over its labels.
    pub async fn metric(&self, door: Door, name: &str) -> f64 {
        let text = Self::send(self.get(door.url("/metrics")))
            .await
            .map(|answer| answer.body)
            .unwrap_or_default();
        let values = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap_or(0.0))
        });
        values.sum()
    }
}

/// A merchant's backend.
#[derive(Debug, Clone)]
pub struct Merchant {
    pub http: Http,
    pub api_key: String,
    pub judge: Arc<Judge>,
}

impl Merchant {
    /// Creates an order with these fields besides the necessary ones.
    pub async fn create(&self, door: Door, fields: Value) -> Result<(Order, Answer), Result<Answer, String>> {
        let number = Uuid::now_v7().to_string();
        let mut body = json!({ "out_trade_no": number, "amount": 1000, "currency": "CNY" });
        let members = body.as_object_mut().expect("an object");
        members.extend(fields.as_object().cloned().unwrap_or_default());
        let request = self
            .http
            .0
            .post(door.url("/v1/orders"))
            .bearer_auth(&self.api_key)
            .json(&body);
        let answer = Http::send(request).await.map_err(Err)?;
        if answer.status != 201 {
            return Err(Ok(answer));
        }
        let id = answer.text("id").parse().expect("an order has an id");
        let order = Order {
            id,
            secret: answer.text("client_secret"),
        };
        self.judge.acknowledge(door, &order, 1, "pending");
        Ok((order, answer))
    }

    /// Reports a status. A 200 is noted: it must be true for ever.
    pub async fn report(&self, door: Door, order: &Order, status: &str) -> Result<Answer, String> {
        let url = door.url(&format!("/v1/orders/{}/status", order.id));
        let request = self
            .http
            .0
            .put(url)
            .bearer_auth(&self.api_key)
            .json(&json!({ "status": status }));
        let answer = Http::send(request).await?;
        if answer.status == 200 {
            self.judge
                .acknowledge(door, order, answer.version.unwrap_or(0), &answer.text("status"));
        } else if answer.status == 503 && !answer.retry_after {
            self.judge.wrong(format!("a 503 without Retry-After: {}", answer.body));
        }
        Ok(answer)
    }
}

/// One payer's screen: remembers what it has seen, and is never to see less.
#[derive(Debug, Clone)]
pub struct Payer {
    pub http: Http,
    pub judge: Arc<Judge>,
    pub order: Order,
    pub seen: i64,
}

impl Payer {
    fn ask(&self, door: Door) -> RequestBuilder {
        self.http
            .get(door.url(&format!("/v1/orders/{}/status", self.order.id)))
            .bearer_auth(&self.order.secret)
    }

    /// A poll that shows what was seen last.
    pub async fn poll(&mut self, door: Door) -> Result<Answer, String> {
        let request = self.ask(door).header("if-none-match", format!("\"{}\"", self.seen));
        self.send(door, request).await
    }

    /// A poll that shows nothing: the replica tells what it believes. On another replica than before it may be a little
    /// behind, so it does not count as this payer's sight.
    pub async fn look(&self, door: Door) -> Result<Answer, String> {
        self.clone_blank().send(door, self.ask(door)).await
    }

    /// A long-poll until the version moves on.
    pub async fn hold(&mut self, door: Door, wait: u32) -> Result<Answer, String> {
        let request = self
            .ask(door)
            .query(&[("since_version", self.seen), ("wait", wait.into())]);
        self.send(door, request).await
    }

    /// A long-poll until the order is final.
    pub async fn hold_until_final(&mut self, door: Door, wait: u32) -> Result<Answer, String> {
        let request = self.ask(door).query(&[("until", "final"), ("wait", &wait.to_string())]);
        let request = request.header("if-none-match", format!("\"{}\"", self.seen));
        self.send(door, request).await
    }

    async fn send(&mut self, door: Door, request: RequestBuilder) -> Result<Answer, String> {
        let floor = self.judge.floor(door, &self.order).max(self.seen);
        let answer = Http::send(request).await?;
        if matches!(answer.status, 200 | 304) {
            self.judge.see(door, &self.order, floor, &answer);
            self.seen = self.seen.max(answer.version.unwrap_or(0));
        }
        Ok(answer)
    }

    fn clone_blank(&self) -> Self {
        Self {
            seen: 0,
            ..self.clone()
        }
    }
}
