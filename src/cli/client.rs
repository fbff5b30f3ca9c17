//! The HTTP client of `order` and `watch`: what a merchant's backend would do.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use serde_json::Value;

/// Which service, and who asks.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// The service
    #[arg(
        long,
        env = "PAYQUERY_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080"
    )]
    pub url: Url,

    /// The merchant's API key
    #[arg(long, env = "PAYQUERY_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
}

/// Longer than the longest hold.
const TIMEOUT: Duration = Duration::from_secs(75);

/// A client with one credential.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    credential: String,
}

/// What the service answered, if it was no problem document.
#[derive(Debug)]
pub struct Answer {
    pub headers: HeaderMap,
    /// Null when there was no body.
    pub body: Value,
}

impl ServiceArgs {
    /// A client for the merchant.
    pub fn merchant(&self) -> anyhow::Result<Client> {
        let key = self
            .api_key
            .clone()
            .context("no API key; give --api-key or set PAYQUERY_API_KEY (`payquery key create` makes one)")?;
        Client::new(self.url.clone(), key)
    }
}

impl Client {
    pub fn new(url: Url, credential: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, url, credential })
    }

    /// Sends a request; a problem document becomes an error that says what it says. `path` is a list of segments.
    pub async fn send(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        headers: HeaderMap,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} is no http address", self.url))?
            .pop_if_empty()
            .extend(path);
        let mut request = self.http.request(method, url).headers(headers);
        request = request
            .header(AUTHORIZATION, format!("Bearer {}", self.credential))
            .query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("cannot reach {}; is payquery running there?", self.url))?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let text = answer.text().await.context("the answer broke off")?;
        let body: Value = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or(Value::Null)
        };
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(Answer { headers, body });
        }
        let word = |name: &str| body[name].as_str().unwrap_or("?").to_owned();
        bail!(
            "{}: {} ({}, request {})",
            status.as_u16(),
            word("detail"),
            word("code"),
            word("request_id")
        )
    }
}
