//! RabbitMQ as both directions know it: where it is, how to get there, what must be there, and patience while it is away.
//!
//! Every call to the broker has a limit of time here. A connection that broke is not mended: whoever had it begins anew, with
//! whatever was not confirmed.

mod lifeline;
mod patience;
mod sieve;
mod sieved;
mod topology;

use std::fmt;
use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::types::ShortString;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties, ConnectionStatus};
use tokio::time::timeout;

pub use lifeline::Lifeline;
pub use patience::{Backoff, Outage, until_stopped};
pub use topology::{ensure_queue, ensure_topic_exchange};

/// A broker, and how to reach it. Its password is never shown.
#[derive(Clone)]
pub struct Broker {
    uri: AMQPUri,
    /// Certificates of authorities to trust besides the public ones, as PEM.
    authorities: Option<String>,
}

/// The address is none of a broker. Does not repeat it: there is a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it must look like amqp://user:password@host:5672/vhost, or amqps://…")]
pub struct BadUrl;

/// Why the broker did not do what was asked for.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AmqpError {
    #[error("the broker: {0}")]
    Broker(#[from] lapin::Error),
    #[error("no answer to {0} in time")]
    NoAnswer(&'static str),
    #[error("the broker took over responsibility for no more than a part ({refused} of {sent} refused)")]
    Refused { refused: usize, sent: usize },
    #[error("the queue {0} is gone")]
    QueueGone(&'static str),
    #[error("the broker takes nothing for now: it is short of memory or disk")]
    Blocked,
    #[error("the connection is closed")]
    Closed,
}

/// How long the broker may take for anything.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Seconds of silence after which either side sends something; after twice as many the line counts as dead. What the URL says
/// (`?heartbeat=`) counts more.
const HEARTBEAT: u16 = 15;
/// By the protocol none may ask for less.
const SMALLEST_FRAME: u32 = 4096;
/// The URL (`?frame_max=`) and the broker may ask for less.
const LARGEST_FRAME: u32 = sieve::LARGEST_FRAME;

impl Broker {
    pub fn new(url: &str, authorities: Option<String>) -> Result<Self, BadUrl> {
        let mut uri: AMQPUri = url.parse().map_err(|_| BadUrl)?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let frame_max = uri.query.frame_max.filter(|&given| given > 0);
        uri.query.frame_max = Some(frame_max.unwrap_or(LARGEST_FRAME).clamp(SMALLEST_FRAME, LARGEST_FRAME));
        Ok(Self { uri, authorities })
    }

    /// A connection of that name, as the broker's lists show it.
    pub async fn connect(&self, name: &str) -> Result<Connection, AmqpError> {
        self.connect_watched(name).await.map(|(connection, _)| connection)
    }

    /// The same, and whether the broker still counts on it.
    pub async fn connect_watched(&self, name: &str) -> Result<(Connection, Lifeline), AmqpError> {
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig {
            identity: None,
            cert_chain: self.authorities.clone(),
        };
        let lifeline = Lifeline::new();
        let connecting = sieved::connect(self.uri.clone(), properties, tls, lifeline.clone());
        let connection = within("connecting", connecting).await?;
        // (What both have agreed upon.)
        lifeline.expect_heartbeats(Duration::from_secs(connection.configuration().heartbeat().into()));
        Ok((connection, lifeline))
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Broker({self})")
    }
}

/// As it can stand in a log.
impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AMQPUri {
            scheme,
            authority,
            vhost,
            ..
        } = &self.uri;
        write!(
            f,
            "{scheme}://{}:{} (virtual host {vhost:?})",
            authority.host, authority.port
        )
    }
}

/// An answer of the broker, if it comes in time.
pub async fn within<T>(what: &'static str, answer: impl Future<Output = lapin::Result<T>>) -> Result<T, AmqpError> {
    match timeout(ANSWER_LIMIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(AmqpError::NoAnswer(what)),
    }
}

/// Whether the broker has said that it takes nothing for now, because it is short of memory or disk.
pub fn is_blocked(status: &ConnectionStatus) -> bool {
    status.connected() && status.blocked()
}

/// Says goodbye, and does not insist. To be called while channels and consumers of the connection are still held: the broker
/// then gives back all that was not acknowledged in one go, in its old order.
pub async fn close(connection: &Connection) {
    let _ = timeout(Duration::from_secs(1), connection.close(200, "stopping".into())).await;
}

/// A text of at most 255 bytes; cut if it is longer.
pub fn short(text: &str) -> ShortString {
    let end = text.floor_char_boundary(255);
    ShortString::try_new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let broker = Broker::new("amqp://shop:s3cret@mq.example.com:5673/pay", None).expect("is an address");
        assert_eq!(broker.to_string(), "amqp://mq.example.com:5673 (virtual host \"pay\")");
        assert!(!format!("{broker:?}").contains("s3cret"));
        for bad in [
            "",
            "mq.example.com",
            "http://shop:s3cret@mq",
            "amqp://shop:s3cret@mq/a/b/c?heartbeat=x",
        ] {
            let error = Broker::new(bad, None).expect_err(bad);
            assert!(!error.to_string().contains("s3cret"));
        }
    }

    #[test]
    fn the_heartbeat_of_the_address_counts_more_than_ours() {
        let heartbeat = |url| Broker::new(url, None).map(|broker| broker.uri.query.heartbeat);
        assert_eq!(heartbeat("amqp://mq"), Ok(Some(HEARTBEAT)));
        assert_eq!(heartbeat("amqp://mq?heartbeat=5"), Ok(Some(5)));
    }

    #[test]
    fn no_frame_is_larger_than_the_sieve_takes_but_smaller_ones_may_be_asked_for() {
        let frame_max = |url| Broker::new(url, None).map(|broker| broker.uri.query.frame_max);
        assert_eq!(frame_max("amqp://mq"), Ok(Some(131_072)));
        assert_eq!(frame_max("amqp://mq?frame_max=0"), Ok(Some(131_072)));
        assert_eq!(frame_max("amqp://mq?frame_max=1000000"), Ok(Some(131_072)));
        assert_eq!(frame_max("amqp://mq?frame_max=8192"), Ok(Some(8192)));
        assert_eq!(frame_max("amqp://mq?frame_max=7"), Ok(Some(4096)));
    }

    #[test]
    fn texts_that_are_too_long_are_cut_at_a_character() {
        assert_eq!(short(&"订".repeat(100)).as_str().len(), 255);
        assert_eq!(short(&format!("a{}", "订".repeat(100))).as_str().len(), 253);
        assert_eq!(short("x").as_str(), "x");
    }
}
