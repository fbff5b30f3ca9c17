//! One attempt: the request as Standard Webhooks has it, and what came of it.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use tokio::time::timeout;

use super::Settings;
use super::guard::{Guard, GuardError};
use super::lookups::Lookups;
use super::plan::Outcome;
use crate::db::webhook_claims::Claimed;
use crate::domain::time::Timestamp;
use crate::domain::webhook::Attempt;

/// Name, connection and TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are kept.
const ANSWER_BYTES: usize = 500;
/// How long these are waited for, once the status is there: it alone decides.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);
const IDLE_CONNECTIONS_PER_HOST: usize = 8;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends deliveries. Two clients, because what may be reached encrypted is more than what may be reached plainly.
#[derive(Debug, Clone)]
pub struct Sender {
    guard: Guard,
    encrypted: Client,
    plain: Client,
    timeout: Duration,
}

/// What an attempt came to.
#[derive(Debug)]
pub struct Report {
    pub attempt: Attempt,
    pub outcome: Outcome,
}

/// What went wrong: a word for the merchant, which tells nothing of the network that this process is in. So a name that nobody knows and
/// one that leads to a private address have one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    InvalidUrl,
    NoAddress,
    ConnectionRefused,
    ConnectionBroken,
    Tls,
    Timeout,
    Redirect,
    ClientError,
    ServerError,
}

impl Fault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidUrl => "invalid_url",
            Self::NoAddress => "no_address",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionBroken => "connection_broken",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Redirect => "redirect",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
        }
    }
}

impl Sender {
    pub fn new(settings: &Settings) -> reqwest::Result<Self> {
        Self::with(settings, Lookups::new())
    }

    fn with(settings: &Settings, lookups: Lookups) -> reqwest::Result<Self> {
        let guard = Guard::new(settings.allow.clone());
        Ok(Self {
            encrypted: client(settings.timeout)
                .dns_resolver(guard.clone().encrypted(lookups.clone()))
                .build()?,
            plain: client(settings.timeout)
                .dns_resolver(guard.clone().unencrypted(lookups))
                .build()?,
            guard,
            timeout: settings.timeout,
        })
    }

    /// Makes an attempt; takes no longer than the time limit.
    pub async fn send(&self, delivery: &Claimed) -> Report {
        let (at, start) = (SystemTime::now(), Instant::now());
        let since_epoch = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let sent = timeout(self.timeout, self.exchange(delivery, since_epoch.as_secs())).await;
        let exchange = sent.unwrap_or(Err(Fault::Timeout));
        let duration_ms = i32::try_from(start.elapsed().as_millis()).unwrap_or(i32::MAX);
        let mut attempt = Attempt {
            number: delivery.attempt,
            at: Timestamp::from_unix_ms(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)),
            duration_ms,
            status: None,
            error: None,
            answer: None,
        };
        let outcome = match exchange {
            Err(fault) => {
                attempt.error = Some(fault.as_str().to_owned());
                match fault {
                    Fault::InvalidUrl => Outcome::Hopeless,
                    _ => Outcome::Failed { retry_after: None },
                }
            }
            Ok(answer) => {
                attempt.status = Some(answer.status.as_u16());
                attempt.error = fault_of(answer.status).map(|fault| fault.as_str().to_owned());
                attempt.answer = Some(answer.text).filter(|text| !text.is_empty());
                answer.outcome
            }
        };
        Report { attempt, outcome }
    }

    async fn exchange(&self, delivery: &Claimed, timestamp: u64) -> Result<Answer, Fault> {
        let url = delivery.url.as_ref().ok_or(Fault::InvalidUrl)?;
        // Asked again, since the operator's list may have become shorter. An address in the URL is not resolved.
        self.guard.check_url(url).map_err(|_| Fault::NoAddress)?;
        let client = if url.is_encrypted() {
            &self.encrypted
        } else {
            &self.plain
        };
        let id = delivery.event_id.to_string();
        let seconds = i64::try_from(timestamp).unwrap_or(i64::MAX);
        let request = client
            .post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &id)
            .header("webhook-timestamp", seconds)
            .header(
                "webhook-signature",
                delivery.secrets.signature(&id, seconds, &delivery.payload),
            )
            .body(delivery.payload.clone());
        let response = request.send().await.map_err(|error| fault_behind(&error))?;
        Ok(Answer::read(response).await)
    }
}

fn client(whole: Duration) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("payquery/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(whole)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
}

/// What a receiver said.
struct Answer {
    status: StatusCode,
    text: String,
    outcome: Outcome,
}

impl Answer {
    async fn read(mut response: Response) -> Self {
        let status = response.status();
        let outcome = match status {
            status if status.is_success() => Outcome::Taken,
            StatusCode::GONE => Outcome::Gone,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Outcome::Failed {
                retry_after: response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| read_retry_after(value.as_bytes())),
            },
            _ => Outcome::Failed { retry_after: None },
        };
        let mut bytes = Vec::new();
        // (A body that breaks off changes nothing; a long one is not read, and its connection not used again.)
        let _ = timeout(ANSWER_TIMEOUT, async {
            while bytes.len() < ANSWER_BYTES {
                match response.chunk().await {
                    Ok(Some(chunk)) => bytes.extend_from_slice(&chunk[..chunk.len().min(ANSWER_BYTES)]),
                    Ok(None) | Err(_) => return,
                }
            }
        })
        .await;
        bytes.truncate(ANSWER_BYTES);
        Self {
            status,
            text: sanitise(&bytes),
            outcome,
        }
    }
}

/// The text as it may stand in a JSON document, a database and a terminal.
fn sanitise(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let clean = |letter: char| if letter.is_control() { ' ' } else { letter };
    // (The last letter may have been cut through.)
    let text: String = text.trim_end_matches('\u{fffd}').chars().map(clean).collect();
    text.trim().to_owned()
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn read_retry_after(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim();
    // (The parser of numbers would take a sign as well.)
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(seconds) = text.parse()
    {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

fn fault_of(status: StatusCode) -> Option<Fault> {
    match status.as_u16() {
        200..=299 => None,
        400..=499 => Some(Fault::ClientError),
        500.. => Some(Fault::ServerError),
        _ => Some(Fault::Redirect),
    }
}

fn fault_behind(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::Timeout;
    }
    if error.is_builder() {
        return Fault::InvalidUrl;
    }
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<GuardError>() {
            tracing::debug!(reason = %refusal, "a webhook's host leads nowhere");
            return Fault::NoAddress;
        }
        if error.is::<rustls::Error>() {
            return Fault::Tls;
        }
        // An I/O error's source is the source of what it wraps, and not that itself.
        let broken = error.downcast_ref::<io::Error>();
        if broken.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            return Fault::ConnectionRefused;
        }
        cause = match broken.and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    Fault::ConnectionBroken
}

#[cfg(test)]
mod tests;
