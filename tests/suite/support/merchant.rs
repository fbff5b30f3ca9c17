//! What a merchant's backend does, in a word or two.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Answer, App, Order};

/// Every status, in the contract's order.
pub const STATUSES: [&str; 6] = ["pending", "processing", "succeeded", "failed", "closed", "refunded"];

impl App {
    /// An order that stands at this status, by the shortest way there.
    pub async fn order_at(&self, status: &str) -> Order {
        let order = self.create_order().await;
        let way: &[&str] = match status {
            "pending" => &[],
            "refunded" => &["succeeded", "refunded"],
            other => &[other],
        };
        for status in way {
            self.report(&order, status).await;
        }
        order
    }

    /// Reports whatever `body` says, whatever comes of it.
    pub async fn try_report(&self, order: &Order, body: Value) -> Answer {
        self.put(&format!("/v1/orders/{}/status", order.id), &body).await
    }

    /// The order as the merchant reads it.
    pub async fn read(&self, order: &Order) -> Value {
        let answer = self.get(&format!("/v1/orders/{}", order.id)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Sends a creation with these headers, in these very bytes.
    pub async fn create_raw(&self, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = self.merchant(Method::POST, "/v1/orders");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.header("content-type", "application/json");
        Answer::to(request.body(body.to_owned())).await
    }

    /// The ids of all of the merchant's orders, newest first, as a list with this query shows them.
    pub async fn listed(&self, query: &str) -> Vec<String> {
        let answer = self.get(&format!("/v1/orders?limit=200&{query}")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        ids_in(&answer.json())
    }
}

/// The ids of the orders in a list.
pub fn ids_in(list: &Value) -> Vec<String> {
    let orders = list["data"].as_array().unwrap().iter();
    orders.map(|order| order["id"].as_str().unwrap().to_owned()).collect()
}

/// A creation's body with the fields that must be there.
pub fn new_order(out_trade_no: &str) -> Value {
    json!({ "out_trade_no": out_trade_no, "amount": 1000, "currency": "CNY" })
}

/// Milliseconds since the epoch of a time in an answer, which must be written as the contract says: UTC, with milliseconds.
#[track_caller]
pub fn unix_ms(time: &Value) -> i64 {
    let text = time.as_str().unwrap_or_else(|| panic!("no time: {time}"));
    assert!(text.len() == 24 && text.ends_with('Z'), "{text}");
    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
}

/// That many milliseconds since the epoch, as one writes it in a request.
pub fn rfc3339(unix_ms: i64) -> String {
    let at = chrono::DateTime::from_timestamp_millis(unix_ms).unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

pub fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}
