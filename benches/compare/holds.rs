//! Thousands of held requests, each on a connection of its own, and when each was answered. The same for payquery, nchan and
//! the bare handler.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::task::JoinSet;

use super::client::{Answer, Connection, get, request};
use super::lab::Lab;
use super::ours::{Order, Payquery};
use super::peers::Nginx;
use super::server::Server;

/// Who holds.
#[derive(Debug)]
pub enum Holder {
    Ours {
        payquery: Arc<Payquery>,
        orders: Vec<Order>,
        api_key: String,
    },
    Nchan {
        nginx: Nginx,
        channels: usize,
        document: String,
    },
    Bare {
        server: Server,
    },
}

/// What a client has seen last, as it must show it to be held.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    pub version: i64,
    validators: Vec<(&'static str, String)>,
}

/// The requests that are held. Number `n` is for order or channel `n`, or all are for the only one.
#[derive(Debug)]
pub struct Holds {
    connections: Vec<Connection>,
    pub seen: Vec<Seen>,
}

/// Requests that are being waited for.
#[derive(Debug)]
pub struct Waiting(JoinSet<anyhow::Result<(usize, Connection, Answer)>>);

/// Connections that are opened at the same time.
const OPENING: usize = 64;
/// Addresses of the loopback that connections come from: each has enough ports for some thousands.
const SOURCES: usize = 8;
const LIMIT: Duration = Duration::from_secs(30);

impl Holder {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ours { .. } => "payquery",
            Self::Nchan { .. } => "nchan",
            Self::Bare { .. } => "bare actix-web",
        }
    }

    pub fn server(&self) -> &Server {
        match self {
            Self::Ours { payquery, .. } => &payquery.server,
            Self::Nchan { nginx, .. } => &nginx.server,
            Self::Bare { server } => server,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.server().address
    }

    /// The documents that clients will wait on are there: orders in memory, messages in channels.
    pub async fn prepare(&self) -> anyhow::Result<()> {
        match self {
            Self::Ours { payquery, orders, .. } => payquery.warm(orders).await,
            Self::Nchan { channels, .. } => {
                let mut publisher = Connection::open(self.address()).await?;
                for number in 0..*channels {
                    publisher.ask(&self.change(number, 1)).await?;
                }
                Ok(())
            }
            Self::Bare { .. } => Ok(()),
        }
    }

    /// The change of a document that wakes whoever waits on it; `version` is the one that it has so far.
    pub fn change(&self, number: usize, version: i64) -> Vec<u8> {
        match self {
            Self::Ours { orders, api_key, .. } => orders[number % orders.len()].report(api_key, version),
            Self::Nchan { channels, document, .. } => {
                let path = format!("/publish/{}", number % channels);
                request("POST", &path, &[], Some(document))
            }
            Self::Bare { .. } => get("/held", &[]),
        }
    }

    fn hold(&self, number: usize, seen: &Seen) -> Vec<u8> {
        match self {
            Self::Ours { orders, .. } => orders[number % orders.len()].hold(seen.version),
            Self::Nchan { channels, .. } => {
                let validators: Vec<_> = seen
                    .validators
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                get(&format!("/hold/{}", number % channels), &validators)
            }
            Self::Bare { .. } => get(&format!("/hold/{number}"), &[]),
        }
    }

    /// What a client that comes for the first time sees.
    async fn first_sight(&self, number: usize, connection: &mut Connection) -> anyhow::Result<Seen> {
        match self {
            Self::Ours { orders, .. } => {
                let answer = connection
                    .ask(&orders[number % orders.len()].poll(0))
                    .await?
                    .expect(200)?;
                Ok(Seen::of(&answer))
            }
            Self::Nchan { .. } => Ok(Seen::of(
                &connection
                    .ask(&self.hold(number, &Seen::default()))
                    .await?
                    .expect(200)?,
            )),
            Self::Bare { .. } => Ok(Seen::default()),
        }
    }

    /// How many requests it says that it holds.
    async fn held(&self) -> anyhow::Result<usize> {
        let text = |answer: Answer| String::from_utf8_lossy(&answer.body).into_owned();
        let mut connection = Connection::open(self.address()).await?;
        Ok(match self {
            Self::Ours { payquery, .. } => payquery.metric("payquery_held_requests").await? as usize,
            Self::Nchan { .. } => {
                let status = text(connection.ask(&get("/nchan", &[])).await?);
                let count = status.lines().find_map(|line| line.strip_prefix("subscribers: "));
                count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
            }
            Self::Bare { .. } => text(connection.ask(&get("/held", &[])).await?).parse().unwrap_or(0),
        })
    }
}

impl Seen {
    fn of(answer: &Answer) -> Self {
        let sent = [("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")];
        let validators = sent
            .into_iter()
            .filter_map(|(got, send)| Some((send, answer.header(got)?.to_owned())));
        Self {
            version: answer.version().unwrap_or(0),
            validators: validators.collect(),
        }
    }
}

impl Holds {
    /// Opens the connections, and looks once with each.
    pub async fn open(holder: &Holder, count: usize) -> anyhow::Result<Self> {
        let opened = stream::iter(0..count).map(|number| async move {
            let source = Ipv4Addr::new(127, 0, 0, 2 + (number % SOURCES) as u8);
            let mut connection = Connection::open_from(source, holder.address()).await?;
            let seen = holder.first_sight(number, &mut connection).await?;
            anyhow::Ok((connection, seen))
        });
        let opened: Vec<_> = opened.buffered(OPENING).try_collect().await?;
        let (connections, seen) = opened.into_iter().unzip();
        Ok(Self { connections, seen })
    }

    /// Sends all requests, and waits until the server says that it holds them.
    pub async fn hold(&mut self, holder: &Holder) -> anyhow::Result<()> {
        for (number, (connection, seen)) in self.connections.iter_mut().zip(&self.seen).enumerate() {
            connection.send(&holder.hold(number, seen)).await?;
        }
        let deadline = Instant::now() + LIMIT;
        loop {
            let held = holder.held().await?;
            if held >= self.connections.len() {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} holds {held} of {} requests", holder.name(), self.connections.len());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for all answers from now on.
    pub fn wait(&mut self) -> Waiting {
        let mut waiting = JoinSet::new();
        for (number, mut connection) in self.connections.drain(..).enumerate() {
            waiting.spawn(async move {
                let answer = connection.receive().await?;
                Ok((number, connection, answer))
            });
        }
        Waiting(waiting)
    }

    /// When each was answered. The connections are ready to be held again.
    pub async fn gather(&mut self, mut waiting: Waiting) -> anyhow::Result<Vec<Instant>> {
        let mut ended = Vec::new();
        while let Some(answered) = tokio::time::timeout(LIMIT, waiting.0.join_next()).await? {
            ended.push(answered??);
        }
        ensure!(ended.len() == self.seen.len(), "each request was answered");
        ended.sort_unstable_by_key(|(number, ..)| *number);
        let mut times = Vec::new();
        for (number, connection, answer) in ended {
            times.push(answer.at);
            let answer = answer.expect(200)?;
            self.seen[number] = Seen::of(&answer);
            self.connections.push(connection);
        }
        Ok(times)
    }
}

/// Changes each document once, at a steady rate, over some connections; gives the moment at which each change was due.
pub async fn change_each(lab: &Lab, holder: &Holder, seen: &[Seen]) -> anyhow::Result<Vec<Instant>> {
    const REPORTERS: usize = 32;
    let start = Instant::now() + Duration::from_millis(50);
    let due = |number: usize| start + Duration::from_secs_f64(number as f64 / lab.plan.report_rate);
    let reporters = (0..REPORTERS).map(|reporter| async move {
        let mut connection = Connection::open(holder.address()).await?;
        for number in (reporter..seen.len()).step_by(REPORTERS) {
            let request = holder.change(number, seen[number].version);
            tokio::time::sleep_until(due(number).into()).await;
            let answer = connection.ask(&request).await?;
            ensure!(
                matches!(answer.status, 200..=202),
                "a report was refused: {} {}",
                answer.head,
                String::from_utf8_lossy(&answer.body)
            );
        }
        Ok(())
    });
    futures_util::future::try_join_all(reporters).await?;
    Ok((0..seen.len()).map(due).collect())
}
