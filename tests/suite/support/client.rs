//! Requests as merchants and payers send them, and their answers.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::App;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    /// Sends the request and reads the answer.
    pub async fn to(request: RequestBuilder) -> Self {
        Self::try_to(request).await.expect("an answer comes")
    }

    pub async fn try_to(request: RequestBuilder) -> reqwest::Result<Self> {
        let answer = request.timeout(Duration::from_secs(70)).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Self {
            status,
            headers,
            text: answer.text().await?,
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The version that the body shows.
    pub fn version(&self) -> i64 {
        self.json()["version"].as_i64().unwrap()
    }

    /// Checks that this is a complete problem document with that status and code, and gives it back.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        for member in ["type", "title", "detail", "request_id"] {
            assert!(
                problem[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member}: {problem}"
            );
        }
        assert_eq!(self.header("x-request-id"), problem["request_id"].as_str().unwrap());
        problem
    }

    /// The same for a 400 that names a field; gives the detail back.
    #[track_caller]
    pub fn invalid(&self, field: &str) -> String {
        let problem = self.problem(400, "invalid_field");
        assert_eq!(problem["field"], field, "{problem}");
        problem["detail"].as_str().unwrap().to_owned()
    }
}

/// An order as its creation answered it.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub secret: String,
    pub out_trade_no: String,
}

impl Order {
    pub fn of(body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self {
            id: text("id"),
            secret: text("client_secret"),
            out_trade_no: text("out_trade_no"),
        }
    }

    pub fn status_path(&self) -> String {
        format!("/v1/orders/{}/status", self.id)
    }
}

/// A payer's request for a status, to be made more precise and sent.
#[derive(Debug)]
pub struct Asking(pub RequestBuilder);

impl Asking {
    /// `If-None-Match` with this value.
    pub fn if_none_match(self, value: &str) -> Self {
        Self(self.0.header("if-none-match", value))
    }

    pub fn query(self, name: &str, value: impl std::fmt::Display) -> Self {
        Self(self.0.query(&[(name, value.to_string())]))
    }

    pub fn header(self, name: &str, value: &str) -> Self {
        Self(self.0.header(name, value))
    }

    pub async fn send(self) -> Answer {
        Answer::to(self.0).await
    }

    /// Sends it on its way: the answer is awaited later.
    pub fn spawn(self) -> tokio::task::JoinHandle<Answer> {
        tokio::spawn(Answer::to(self.0))
    }
}

impl App {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// A request with the API key of "acme".
    pub fn merchant(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, self.url(path)).bearer_auth(&self.api_key)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.merchant(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.merchant(Method::POST, path).json(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.merchant(Method::PUT, path).json(body)).await
    }

    /// Creates an order of 10.00 CNY with a number of its own.
    pub async fn create_order(&self) -> Order {
        self.create_order_with(json!({})).await
    }

    /// The same with other fields.
    pub async fn create_order_with(&self, fields: Value) -> Order {
        let mut body = json!({ "out_trade_no": Uuid::now_v7().to_string(), "amount": 1000, "currency": "CNY" });
        body.as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        let answer = self.post("/v1/orders", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED.as_u16(), "{}", answer.text);
        Order::of(&answer.json())
    }

    /// A payer's request for the order's status.
    pub fn ask(&self, order: &Order) -> Asking {
        self.ask_with(order, &order.secret)
    }

    /// The same with another token than the order's client secret.
    pub fn ask_with(&self, order: &Order, token: &str) -> Asking {
        Asking(self.ask_without_credentials(order).0.bearer_auth(token))
    }

    pub fn ask_without_credentials(&self, order: &Order) -> Asking {
        Asking(self.http.get(self.url(&order.status_path())))
    }

    /// HEAD instead of GET.
    pub fn ask_head(&self, order: &Order) -> Asking {
        Asking(
            self.http
                .head(self.url(&order.status_path()))
                .bearer_auth(&order.secret),
        )
    }

    /// Reports a status; the answer must be 200.
    pub async fn report(&self, order: &Order, status: &str) -> Value {
        let answer = self.put(&order.status_path(), &json!({ "status": status })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Sends a report on its way: the answer is awaited later.
    pub fn spawn_report(&self, order: &Order, status: &str) -> tokio::task::JoinHandle<Answer> {
        let report = self.merchant(Method::PUT, &order.status_path());
        tokio::spawn(Answer::to(report.json(&json!({ "status": status }))))
    }

    /// Creates that many orders, several at a time.
    pub async fn create_orders(&self, count: usize, fields: Value) -> Vec<Order> {
        let creations = (0..count).map(|_| self.create_order_with(fields.clone()));
        futures_util::stream::iter(creations)
            .buffer_unordered(8)
            .collect()
            .await
    }

    /// The order's log.
    pub async fn events(&self, order: &Order) -> Vec<Value> {
        let answer = self.get(&format!("/v1/orders/{}/events?limit=200", order.id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["data"].as_array().unwrap().clone()
    }
}
