//! The HTTP client of `order`, `watch` and `events`: what a merchant's backend would do.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use reqwest::header::{AUTHORIZATION, HeaderMap, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

/// Which service, and who asks.
#[derive(Debug, Clone, Args)]
pub struct ServiceArgs {
    /// The service
    #[arg(
        long,
        env = "PAYQUERY_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        value_parser = parse_url
    )]
    pub url: Url,

    /// The merchant's API key
    #[arg(long, env = "PAYQUERY_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = text
        .parse()
        .ok()
        .filter(|url: &Url| ["http", "https"].contains(&url.scheme()));
    url.ok_or_else(|| "must begin with http:// or https://, as http://127.0.0.1:8080 does".into())
}

/// Longer than the longest hold.
const TIMEOUT: Duration = Duration::from_secs(75);
/// Longer than the longest answer that is a stream.
const STREAM_TIMEOUT: Duration = Duration::from_mins(15);

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

/// The service answered with a problem document.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail} ({code}, request {request_id})", .status.as_u16())]
pub struct Refusal {
    pub status: StatusCode,
    pub retry_after: Option<Duration>,
    detail: String,
    code: String,
    request_id: String,
}

impl Refusal {
    /// The same request may be answered otherwise later.
    pub fn may_pass(&self) -> bool {
        let passing = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS];
        self.status.is_server_error() || passing.contains(&self.status)
    }
}

impl ServiceArgs {
    /// A client for the merchant.
    pub fn merchant(&self) -> anyhow::Result<Client> {
        let key = self
            .api_key
            .clone()
            .filter(|key| !key.is_empty())
            .context("no API key; give --api-key or set PAYQUERY_API_KEY (`payquery key create` makes one)")?;
        Client::new(self.url.clone(), key)
    }
}

impl Client {
    pub fn new(url: Url, credential: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .read_timeout(TIMEOUT)
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
        let mut request = self.request(method, path)?.headers(headers).query(query);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = self.answer_to(request).await?;
        let headers = answer.headers().clone();
        let text = answer.text().await.context("the answer broke off")?;
        let body = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Answer { headers, body })
    }

    /// Asks for an answer that is read while it comes.
    pub async fn stream(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        headers: HeaderMap,
    ) -> anyhow::Result<Response> {
        let request = self.request(Method::GET, path)?.headers(headers).query(query);
        self.answer_to(request.timeout(STREAM_TIMEOUT)).await
    }

    fn request(&self, method: Method, path: &[&str]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.url.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("{} is no http address", self.url))?
            .pop_if_empty()
            .extend(path);
        let request = self.http.request(method, url);
        Ok(request.header(AUTHORIZATION, format!("Bearer {}", self.credential)))
    }

    async fn answer_to(&self, request: RequestBuilder) -> anyhow::Result<Response> {
        let answer = request
            .send()
            .await
            .with_context(|| format!("cannot reach {}; is payquery running there?", self.url))?;
        let (status, headers) = (answer.status(), answer.headers());
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let seconds = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok());
        let text = answer.text().await.context("the answer broke off")?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let word = |name: &str| body[name].as_str().unwrap_or("?").to_owned();
        Err(Refusal {
            status,
            retry_after: seconds.map(Duration::from_secs),
            detail: word("detail"),
            code: word("code"),
            request_id: word("request_id"),
        }
        .into())
    }
}
