//! The configuration: every setting is a flag and an environment variable, checked once, before anything starts.

mod rabbitmq;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ipnet::IpNet;

use crate::domain::order::MerchantId;
use crate::http::{CorsOrigins, Rate};
use crate::telemetry::LogFormat;
use crate::{db, http, push, service};

pub use rabbitmq::RabbitmqArgs;
pub use webhooks::WebhookArgs;

/// Where the data is.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseArgs {
    /// The PostgreSQL server (14 or later): postgres://user:password@host/database. Without it payquery starts a private one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Where to listen for changes of other replicas, when DATABASE_URL leads through a transaction pooler: the server itself
    #[arg(long, env = "PAYQUERY_LISTEN_URL", hide_env_values = true, value_name = "URL")]
    pub listen_url: Option<String>,

    /// Directory of the private PostgreSQL [default: /var/lib/payquery as root, else ~/.local/share/payquery]
    #[arg(long, env = "PAYQUERY_DATA_DIR", value_name = "PATH")]
    pub data_dir: Option<PathBuf>,

    /// Most connections to the database
    #[arg(long, env = "PAYQUERY_DB_CONNECTIONS", value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub db_connections: u32,

    /// Bring the schema up to date at the start; otherwise run `payquery migrate` before
    #[arg(long, env = "PAYQUERY_AUTO_MIGRATE", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub auto_migrate: bool,
}

/// How the process tells what it does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logs")]
pub struct LogArgs {
    /// What is logged: off, error, warn, info, debug, trace, or such words by module
    #[arg(
        long,
        env = "PAYQUERY_LOG",
        value_name = "FILTER",
        default_value = "info",
        global = true
    )]
    pub log: String,

    /// How log lines look
    #[arg(
        long,
        env = "PAYQUERY_LOG_FORMAT",
        value_name = "FORMAT",
        default_value = "text",
        global = true
    )]
    pub log_format: LogFormat,
}

/// The settings of the service.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,

    #[command(flatten)]
    pub rabbitmq: RabbitmqArgs,

    #[command(flatten)]
    pub webhooks: WebhookArgs,

    /// Make a merchant "demo" with an API key, print the key and curl lines that use it, and serve a checkout page at /demo [default: false]
    #[arg(long, env = "PAYQUERY_DEMO", value_parser = clap::builder::BoolishValueParser::new(), help_heading = "Demo")]
    pub demo: bool,

    /// Days that events of orders are kept, in whole months; 0 is for ever
    #[arg(
        long,
        env = "PAYQUERY_EVENT_RETENTION_DAYS",
        value_name = "DAYS",
        default_value_t = 0,
        help_heading = "Database"
    )]
    pub event_retention_days: u16,

    /// Address and port to listen on
    #[arg(
        long,
        env = "PAYQUERY_ADDR",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:8080", value_parser = parse_address,
        help_heading = "HTTP"
    )]
    pub addr: SocketAddr,

    /// HTTP threads [default: one for each processor]
    #[arg(long, env = "PAYQUERY_WORKERS", value_name = "NUMBER", help_heading = "HTTP", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// Networks of the proxies whose X-Forwarded-For or Forwarded is believed, between commas
    #[arg(long, env = "PAYQUERY_TRUSTED_PROXIES", value_name = "CIDR,…", help_heading = "HTTP", value_delimiter = ',', value_parser = parse_network)]
    pub trusted_proxies: Vec<IpNet>,

    /// Web origins that may ask for a status, between commas; * is any, an empty value none
    #[arg(long, env = "PAYQUERY_CORS_ORIGINS", value_name = "ORIGIN,…", help_heading = "HTTP", default_value = "*", value_parser = parse_origins)]
    pub cors_origins: CorsOrigins,

    /// Longest time that a request is held, in seconds
    #[arg(long, env = "PAYQUERY_MAX_WAIT", value_name = "SECONDS", help_heading = "Polls and held requests", default_value_t = 55, value_parser = clap::value_parser!(u32).range(0..=55))]
    pub max_wait: u32,

    /// Most requests held at once; the next are answered at once and asked to come less often
    #[arg(
        long,
        env = "PAYQUERY_MAX_HELD",
        value_name = "NUMBER",
        help_heading = "Polls and held requests",
        default_value_t = 10_000
    )]
    pub max_held: usize,

    /// Most requests held at once for one order
    #[arg(
        long,
        env = "PAYQUERY_MAX_HELD_PER_ORDER",
        value_name = "NUMBER",
        help_heading = "Polls and held requests",
        default_value_t = 100
    )]
    pub max_held_per_order: usize,

    /// Orders kept in memory (about 1.5 KB each); the ones that nobody asks for go first
    #[arg(
        long,
        env = "PAYQUERY_MAX_HOT",
        value_name = "NUMBER",
        help_heading = "Polls and held requests",
        default_value_t = 100_000
    )]
    pub max_hot: usize,

    /// After SIGTERM held requests are answered spread over this time, in milliseconds
    #[arg(long, env = "PAYQUERY_DRAIN_MS", value_name = "MILLISECONDS", help_heading = "Polls and held requests", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub drain_ms: u64,

    /// After SIGTERM /readyz says 503 for this time while all else goes on, for a balancer to notice, in milliseconds
    #[arg(long, env = "PAYQUERY_DRAIN_DELAY_MS", value_name = "MILLISECONDS", help_heading = "Polls and held requests", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub drain_delay_ms: u64,

    /// Silence on a stream after which something is sent, or the client asked whether it is still there, in seconds
    #[arg(long, env = "PAYQUERY_HEARTBEAT", value_name = "SECONDS", help_heading = "Streams", default_value_t = 25, value_parser = clap::value_parser!(u64).range(1..=300))]
    pub heartbeat: u64,

    /// Longest time that a stream of events (SSE) lasts, in seconds; its client then comes again. Shortened by up to a fifth
    #[arg(long, env = "PAYQUERY_STREAM_LIFETIME", value_name = "SECONDS", help_heading = "Streams", default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub stream_lifetime: u64,

    /// Where browsers find the script of the SockJS client, for its iframe page; an empty value is no such page
    #[arg(long, env = "PAYQUERY_SOCKJS_CLIENT", value_name = "URL", help_heading = "Streams", default_value = "https://cdn.jsdelivr.net/npm/sockjs-client@1/dist/sockjs.min.js", value_parser = parse_script)]
    pub sockjs_client: String,

    /// Polls per second of one order from one client address; a 304 counts half; 0 is no limit
    #[arg(long, env = "PAYQUERY_POLL_RATE", value_name = "PER SECOND", help_heading = "Rate limits", default_value = "5", value_parser = parse_rate)]
    pub poll_rate: f64,

    /// Most polls at once
    #[arg(long, env = "PAYQUERY_POLL_BURST", value_name = "NUMBER", help_heading = "Rate limits", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub poll_burst: u32,

    /// Requests per second with one API key; 0 is no limit
    #[arg(long, env = "PAYQUERY_MERCHANT_RATE", value_name = "PER SECOND", help_heading = "Rate limits", default_value = "200", value_parser = parse_rate)]
    pub merchant_rate: f64,

    /// Most requests at once
    #[arg(long, env = "PAYQUERY_MERCHANT_BURST", value_name = "NUMBER", help_heading = "Rate limits", default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub merchant_burst: u32,

    /// Failed authentications per second from one client address; 0 is no limit
    #[arg(long, env = "PAYQUERY_AUTH_FAILURE_RATE", value_name = "PER SECOND", help_heading = "Rate limits", default_value = "1", value_parser = parse_rate)]
    pub auth_failure_rate: f64,

    /// Most failed authentications at once
    #[arg(long, env = "PAYQUERY_AUTH_FAILURE_BURST", value_name = "NUMBER", help_heading = "Rate limits", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub auth_failure_burst: u32,
}

impl ServeArgs {
    pub fn http_workers(&self) -> usize {
        self.workers.map_or_else(processors, usize::from)
    }

    /// `max_held` is what the file limit leaves room for.
    pub fn service_settings(&self, max_held: usize) -> service::Settings {
        service::Settings {
            max_hot: self.max_hot,
            // A quarter of the connections: searching for what is rare takes long, and must not keep reports waiting.
            lists: (self.database.db_connections as usize / 4).max(1),
            row_waits: (self.database.db_connections as usize / 4).max(1),
            event_retention_days: self.event_retention_days,
            holds: service::wait::Settings {
                max_held,
                max_held_per_order: self.max_held_per_order,
                drain_spread: self.drain_spread(),
            },
            webhooks: self.webhooks.settings(),
        }
    }

    /// `demo_merchant`: for whom the demo's pages act, if there are to be any.
    pub fn http_settings(&self, demo_merchant: Option<MerchantId>) -> http::Settings {
        let rate = |per_second: f64, burst| (per_second > 0.0).then_some(Rate { per_second, burst });
        http::Settings {
            max_wait: self.max_wait,
            poll_rate: rate(self.poll_rate, self.poll_burst),
            merchant_rate: rate(self.merchant_rate, self.merchant_burst),
            auth_failure_rate: rate(self.auth_failure_rate, self.auth_failure_burst),
            trusted_proxies: self.trusted_proxies.clone(),
            cors_origins: self.cors_origins.clone(),
            processors: processors(),
            demo_merchant,
        }
    }

    pub fn stream_settings(&self) -> push::Settings {
        push::Settings {
            heartbeat: Duration::from_secs(self.heartbeat),
            lifetime: Duration::from_secs(self.stream_lifetime),
            max_sessions: self.max_held,
            sockjs_client: self.sockjs_client.clone(),
        }
    }

    pub fn drain_delay(&self) -> Duration {
        Duration::from_millis(self.drain_delay_ms)
    }

    pub fn drain_spread(&self) -> Duration {
        Duration::from_millis(self.drain_ms)
    }
}

impl DatabaseArgs {
    /// Settings for the server at `url`.
    pub fn settings(&self, url: String) -> db::Settings {
        db::Settings {
            url,
            max_connections: self.db_connections,
            acquire_timeout: ACQUIRE_TIMEOUT,
        }
    }
}

/// A merchant's backend has a time limit of its own; an honest 503 within it is worth more than an answer after it.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "it must be an address and a port, such as 127.0.0.1:8080 or [::]:8080".into())
}

fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
    text.parse()
        .or_else(|_| address())
        .map_err(|_| "it must be a network such as 10.0.0.0/8, or an address".into())
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate = text
        .parse::<f64>()
        .ok()
        .filter(|rate| *rate == 0.0 || (0.001..=1_000_000.0).contains(rate));
    rate.ok_or_else(|| {
        "it must be a number of requests per second from 0.001 to 1000000, such as 5 or 0.2; or 0".into()
    })
}

/// The address of a script, as it can stand in a page and in a header field.
fn parse_script(text: &str) -> Result<String, String> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b":/.@-_~%".contains(&byte);
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    if text.is_empty() || (is_web && text.bytes().all(is_fine)) {
        return Ok(text.to_owned());
    }
    Err("it must be the address of a script, such as https://shop.example.com/sockjs.min.js; or empty".into())
}

fn parse_origins(text: &str) -> Result<CorsOrigins, String> {
    if text.trim() == "*" {
        return Ok(CorsOrigins::Any);
    }
    let origins = text.split(',').map(str::trim).filter(|origin| !origin.is_empty());
    origins
        .map(parse_origin)
        .collect::<Result<_, _>>()
        .map(CorsOrigins::Only)
}

/// An origin as browsers send it: scheme, host and port, no path (RFC 6454 §6.2).
fn parse_origin(origin: &str) -> Result<String, String> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']) => {
            Ok(origin.to_ascii_lowercase())
        }
        _ => Err(format!(
            "{origin:?} is no origin; it must look like https://shop.example.com, without a path"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact_or_any() {
        assert_eq!(parse_origins("*"), Ok(CorsOrigins::Any));
        assert_eq!(parse_origins(""), Ok(CorsOrigins::Only(vec![])));
        assert_eq!(
            parse_origins("https://shop.example.com, http://localhost:3000"),
            Ok(CorsOrigins::Only(vec![
                "https://shop.example.com".into(),
                "http://localhost:3000".into()
            ]))
        );
        for bad in [
            "shop.example.com",
            "https://",
            "https://a/b",
            "https://*.example.com",
            "ftp://a",
        ] {
            assert!(parse_origins(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn networks_and_rates_are_checked() {
        assert!(
            parse_network("10.0.0.0/8").is_ok()
                && parse_network("::1").is_ok()
                && parse_network("10.0.0.0/33").is_err()
        );
        for (text, ok) in [
            ("0", true),
            ("0.2", true),
            ("-1", false),
            ("NaN", false),
            ("inf", false),
            ("x", false),
        ] {
            assert_eq!(parse_rate(text).is_ok(), ok, "{text}");
        }
    }
}
