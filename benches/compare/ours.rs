//! payquery as it is shipped: authentication, rate limits, metrics and logs at work; the quotas so high that nothing is refused.

use std::fmt::Write as _;
use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use payquery::domain::client_secret::{ClientSecret, IssuingKey};
use payquery::domain::order::OrderId;
use sqlx::Row as _;
use uuid::Uuid;

use super::client::{Connection, get, request};
use super::lab::Lab;
use super::server::{Server, free_address};

/// A running payquery.
#[derive(Debug)]
pub struct Payquery {
    pub server: Server,
}

/// An order that exists.
#[derive(Debug, Clone)]
pub struct Order {
    pub id: Uuid,
    pub secret: String,
}

/// How one is started.
#[derive(Debug, Clone)]
pub struct Launch<'a> {
    pub database: &'a str,
    pub cores: &'a str,
    pub workers: u32,
    pub flags: &'a [&'a str],
    /// A program that runs it, such as valgrind.
    pub under: &'a [&'a str],
}

impl<'a> Launch<'a> {
    /// With one HTTP thread, on the processors that the load is on too.
    pub fn beside_the_load(lab: &'a Lab, database: &'a str) -> Self {
        Self {
            database,
            cores: &lab.cores.both,
            workers: 1,
            flags: &[],
            under: &[],
        }
    }
}

/// More than any load here asks for. The burst stays below what the headers are kept ready for, as with the default quotas; and
/// it lasts for some milliseconds at that rate, for which a thread may be kept waiting between looking at the clock and counting.
const FLAGS: [&str; 6] = [
    "--poll-rate=300000",
    "--poll-burst=2000",
    "--merchant-rate=300000",
    "--merchant-burst=2000",
    "--max-held=12000",
    "--max-held-per-order=12000",
];

impl Payquery {
    pub fn start(lab: &Lab, launch: &Launch<'_>) -> anyhow::Result<Self> {
        let address = free_address()?;
        let program = lab.payquery.to_string_lossy();
        let line: Vec<&str> = launch.under.iter().copied().chain([&*program]).collect();
        let mut command = Command::new(line[0]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYQUERY_")) {
            command.env_remove(name);
        }
        command
            .args(&line[1..])
            .arg("serve")
            .arg(format!("--addr={address}"))
            .arg(format!("--workers={}", launch.workers))
            .args(FLAGS)
            .args(launch.flags)
            .env("DATABASE_URL", lab.cluster.url(launch.database));
        let log = lab.directory.join("payquery.log");
        let server = Server::start("payquery", launch.cores, address, &log, &command)?;
        wait_until_ready(address)?;
        Ok(Self { server })
    }

    /// With one worker on the server's processor.
    pub fn start_alone(lab: &Lab, database: &str) -> anyhow::Result<Self> {
        let launch = Launch {
            cores: &lab.cores.server,
            ..Launch::beside_the_load(lab, database)
        };
        Self::start(lab, &launch)
    }

    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.server.address).await
    }

    /// Asks once for each of the orders: from then on they are in memory.
    pub async fn warm(&self, orders: &[Order]) -> anyhow::Result<()> {
        let share = orders.len().div_ceil(WARMERS).max(1);
        let chunks = orders.chunks(share).map(|orders| async move {
            let mut connection = self.connect().await?;
            for order in orders {
                connection.ask(&order.poll(0)).await?.expect(200)?;
            }
            anyhow::Ok(())
        });
        futures_util::future::try_join_all(chunks).await?;
        Ok(())
    }

    /// A value of `/metrics`: of the series of that name and labels, or the sum of all of that name.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let answer = self.connect().await?.ask(&get("/metrics", &[])).await?.expect(200)?;
        let text = String::from_utf8(answer.body)?;
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            (series == name || series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap_or(0.0))
        });
        Ok(values.sum())
    }
}

const WARMERS: usize = 32;
/// Under valgrind all is slow.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// It takes connections a little before it answers them.
fn wait_until_ready(address: SocketAddr) -> anyhow::Result<()> {
    let deadline = Instant::now() + READY_LIMIT;
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    loop {
        let answer = ask();
        if matches!(&answer, Ok(answer) if answer.starts_with("HTTP/1.1 200")) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "payquery does not get ready: {answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Order {
    fn path(&self) -> String {
        format!("/v1/orders/{}/status", self.id)
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.secret)
    }

    /// The headers of a poll by somebody who has seen that version; 0 is nobody who has seen anything.
    pub fn poll_headers(&self, seen: i64) -> Vec<(String, String)> {
        let mut headers = vec![("Authorization".to_owned(), self.bearer())];
        if seen > 0 {
            headers.push(("If-None-Match".to_owned(), format!("\"{seen}\"")));
        }
        headers
    }

    pub fn url_path(&self) -> String {
        self.path()
    }

    pub fn poll(&self, seen: i64) -> Vec<u8> {
        let headers = self.poll_headers(seen);
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        get(&self.path(), &headers)
    }

    pub fn hold(&self, seen: i64) -> Vec<u8> {
        let path = format!("{}?since_version={seen}&wait=55", self.path());
        get(&path, &[("Authorization", &self.bearer())])
    }

    /// A report that changes the order's status: its versions alternate between two.
    pub fn report(&self, api_key: &str, version: i64) -> Vec<u8> {
        let status = if version % 2 == 1 { "processing" } else { "pending" };
        let body = format!(r#"{{"status":"{status}"}}"#);
        let bearer = format!("Bearer {api_key}");
        request("PUT", &self.path(), &[("Authorization", &bearer)], Some(&body))
    }
}

/// A database with payquery's tables, a merchant and its key.
#[derive(Debug, Clone)]
pub struct Shop {
    pub database: String,
    pub merchant: Uuid,
    pub api_key: String,
}

impl Shop {
    pub async fn open(lab: &Lab, database: &str) -> anyhow::Result<Self> {
        lab.cluster.create_database(database).await?;
        let created = Command::new(&lab.payquery)
            .args(["key", "create", "--merchant", "bench", "--json"])
            .env("DATABASE_URL", lab.cluster.url(database))
            .output()?;
        ensure!(
            created.status.success(),
            "payquery key create: {}",
            String::from_utf8_lossy(&created.stderr)
        );
        let created: serde_json::Value = serde_json::from_slice(&created.stdout)?;
        let api_key = created["api_key"].as_str().context("an API key")?.to_owned();
        let mut connection = lab.cluster.connect(database).await?;
        let row = sqlx::query("select id from merchants")
            .fetch_one(&mut connection)
            .await?;
        Ok(Self {
            database: database.to_owned(),
            merchant: row.try_get("id")?,
            api_key,
        })
    }

    /// Writes orders straight into the table, each with the secret that payquery would have issued. A payquery must have
    /// been started on the database before: it makes the issuing key.
    pub async fn stock(&self, lab: &Lab, count: usize) -> anyhow::Result<Vec<Order>> {
        let mut connection = lab.cluster.connect(&self.database).await?;
        let row = sqlx::query("select key from issuing_keys")
            .fetch_one(&mut connection)
            .await?;
        let key: Vec<u8> = row.try_get("key")?;
        let key = IssuingKey::new(key.as_slice().try_into().context("a key of 32 bytes")?);
        let orders: Vec<Order> = (0..count).map(|_| Order::new(&key)).collect();
        let mut copy = connection
            .copy_in_raw(
                "copy orders (id, merchant_id, out_trade_no, amount, currency, client_secret, fingerprint, status, late,
                              version, refunded_amount, created_at, updated_at, expires_at) from stdin",
            )
            .await?;
        let (now, fingerprint) = (chrono::Utc::now(), format!("\\\\x{}", "00".repeat(32)));
        let expires_at = (now + chrono::TimeDelta::days(1)).to_rfc3339();
        let now = now.to_rfc3339();
        for chunk in orders.chunks(5000) {
            let mut lines = String::new();
            for order in chunk {
                let (id, secret, merchant) = (order.id, &order.secret, self.merchant);
                let _ = writeln!(
                    lines,
                    "{id}\t{merchant}\t{id}\t1000\tCNY\t{secret}\t{fingerprint}\tpending\tf\t1\t0\t{now}\t{now}\t{expires_at}"
                );
            }
            copy.send(lines.into_bytes()).await?;
        }
        copy.finish().await?;
        sqlx::raw_sql("analyze orders").execute(&mut connection).await?;
        Ok(orders)
    }
}

impl Order {
    fn new(key: &IssuingKey) -> Self {
        let id = OrderId::generate();
        let secret = ClientSecret::issue(key, id, fastrand::u128(..).to_ne_bytes());
        Self {
            id: id.0,
            secret: secret.expose().to_owned(),
        }
    }
}
