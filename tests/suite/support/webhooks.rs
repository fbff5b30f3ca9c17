//! What a merchant does with its webhook endpoints, and how its receiver checks what comes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use ring::hmac;
use serde_json::{Value, json};

use super::receiver::Received;
use super::{Answer, App, AppBuilder, Receiver, eventually};

pub const ENDPOINTS: &str = "/v1/webhook-endpoints";

/// An endpoint as its creation answered it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: String,
    pub secret: String,
}

impl Endpoint {
    pub fn path(&self, rest: &str) -> String {
        format!("{ENDPOINTS}/{}{rest}", self.id)
    }
}

impl AppBuilder {
    /// Lets webhooks reach the tests' receivers, and tries so often and no longer. An attempt has so much time that none is over
    /// because the machine stood still; a test in which one is to end by itself names a time of its own.
    pub fn webhooks(self, retry_plan: &str) -> Self {
        self.flag("--webhook-allow", "127.0.0.0/8")
            .flag("--webhook-retry-plan", retry_plan)
            .flag("--webhook-timeout", "30")
    }
}

impl App {
    /// An application whose webhooks reach the tests' receivers.
    pub async fn spawn_with_webhooks() -> Self {
        Self::builder()
            .webhooks("50ms,50ms,50ms,50ms,50ms,50ms,50ms,50ms")
            .spawn()
            .await
    }

    /// An endpoint of "acme"'s for all types of events.
    pub async fn create_endpoint(&self, receiver: &Receiver) -> Endpoint {
        self.create_endpoint_with(json!({ "url": receiver.url })).await
    }

    pub async fn create_endpoint_with(&self, body: Value) -> Endpoint {
        let answer = self.post(ENDPOINTS, &body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let endpoint = answer.json();
        let text = |name: &str| endpoint[name].as_str().unwrap().to_owned();
        Endpoint {
            id: text("id"),
            secret: text("secret"),
        }
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        Answer::to(self.merchant(Method::PATCH, path).json(body)).await
    }

    /// The endpoint as its merchant reads it.
    pub async fn endpoint(&self, endpoint: &Endpoint) -> Value {
        let answer = self.get(&endpoint.path("")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Its deliveries, newest first.
    pub async fn deliveries(&self, endpoint: &Endpoint) -> Vec<Value> {
        let answer = self.get(&endpoint.path("/deliveries?limit=200")).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["data"].as_array().unwrap().clone()
    }

    /// Waits until none of its deliveries is pending.
    pub async fn wait_for_deliveries(&self, endpoint: &Endpoint, count: usize) -> Vec<Value> {
        let is_done = |deliveries: &Vec<Value>| {
            deliveries.len() >= count && deliveries.iter().all(|delivery| delivery["state"] != "pending")
        };
        eventually(async || self.deliveries(endpoint).await, is_done).await
    }

    /// Sends a test event, and waits until it is done.
    pub async fn try_endpoint(&self, endpoint: &Endpoint) -> Value {
        let sent = self.post(&endpoint.path("/test"), &json!({})).await;
        assert_eq!(sent.status, 202, "{}", sent.text);
        let id = sent.json()["id"].clone();
        let find = async || {
            let deliveries = self.deliveries(endpoint).await;
            deliveries.into_iter().find(|delivery| delivery["id"] == id).unwrap()
        };
        eventually(find, |delivery| delivery["state"] != "pending").await
    }
}

/// Whether one of the request's signatures is by this secret, computed anew as Standard Webhooks says.
pub fn is_signed_by(received: &Received, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let signed = format!("{id}.{at}.{}", received.body);
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes());
    let wanted = format!("v1,{}", STANDARD.encode(mac));
    received
        .header("webhook-signature")
        .split(' ')
        .any(|signature| signature == wanted)
}
