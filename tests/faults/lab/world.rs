//! A world for one fault: a database of its own, replicas over it, a merchant, a judge.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use payquery::domain::text::MerchantName;
use payquery::service::authenticate::issue_key;
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::{Door, Http, Judge, Launch, Merchant, Order, OwnPostgres, Payer, Replica};

/// See the module's head. The replicas end with it.
#[derive(Debug)]
pub struct World {
    pub replicas: Vec<Replica>,
    pub pool: PgPool,
    pub merchant: Merchant,
    pub judge: Arc<Judge>,
    launches: Vec<Launch>,
    url: String,
    name: &'static str,
}

impl World {
    /// That many replicas, all alike.
    pub async fn of(postgres: &OwnPostgres, name: &'static str, replicas: usize) -> Self {
        Self::with(postgres, name, vec![Launch::default(); replicas]).await
    }

    pub async fn with(postgres: &OwnPostgres, name: &'static str, launches: Vec<Launch>) -> Self {
        postgres.create_database(name).await;
        let url = postgres.url(name);
        let replicas: Vec<_> = launches
            .iter()
            .enumerate()
            .map(|(number, launch)| start(name, number, &url, launch))
            .collect();
        let options = PgPoolOptions::new()
            .max_connections(70)
            .acquire_timeout(Duration::from_secs(20));
        let pool = options.connect(&url).await.expect("Postgres answers");
        let merchant = MerchantName::parse("acme").expect("a name");
        let api_key = issue_key(&pool, &merchant)
            .await
            .expect("a key")
            .key
            .expose()
            .to_owned();
        let judge = Arc::new(Judge::default());
        let merchant = Merchant {
            http: Http::new(),
            api_key,
            judge: Arc::clone(&judge),
        };
        Self {
            replicas,
            pool,
            merchant,
            judge,
            launches,
            url,
            name,
        }
    }

    pub fn door(&self, number: usize) -> Door {
        self.replicas[number].door
    }

    /// Starts a new replica in the place of another one; gives that one back, for whatever is to become of it.
    pub fn start_again(&mut self, number: usize) -> Replica {
        let new = start(self.name, number, &self.url, &self.launches[number]);
        std::mem::replace(&mut self.replicas[number], new)
    }

    /// Stops a replica as an upgrade does, and starts it again where it listened: its balancer knows no other place.
    pub async fn restart(&mut self, number: usize) {
        let address = self.door(number).address;
        self.replicas.remove(number).stop().await;
        let mut launch = self.launches[number].clone();
        launch.flags.push(format!("--addr={address}"));
        let again = start(self.name, number, &self.url, &launch);
        self.replicas.insert(number, again);
    }

    /// That many orders, made at the first replica.
    pub async fn create_orders(&self, count: usize) -> Vec<Order> {
        self.create_orders_with(count, json!({})).await
    }

    pub async fn create_orders_with(&self, count: usize, fields: Value) -> Vec<Order> {
        let mut orders = Vec::with_capacity(count);
        while orders.len() < count {
            let batch = (count - orders.len()).min(32);
            let created = join_all((0..batch).map(|_| self.merchant.create(self.door(0), fields.clone()))).await;
            orders.extend(created.into_iter().map(|order| order.expect("an order is created").0));
        }
        orders
    }

    /// Somebody who has just made the order and has its first version before them.
    pub fn payer(&self, order: &Order) -> Payer {
        let (http, judge) = (self.merchant.http.clone(), Arc::clone(&self.judge));
        Payer {
            http,
            judge,
            order: order.clone(),
            seen: 1,
        }
    }

    /// How many requests a replica holds, by its own account.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    pub async fn held(&self, number: usize) -> usize {
        self.merchant
            .http
            .metric(self.door(number), "payquery_held_requests")
            .await as usize
    }

    pub async fn wait_for_held(&self, number: usize, held: usize) {
        let reached = wait_until(Duration::from_secs(20), async || self.held(number).await >= held);
        assert!(
            reached.await.is_some(),
            "{held} requests are not held at replica {number} within 20 s"
        );
    }
}

/// Asks until it is so; says how long that took, or None when the time was up.
pub async fn wait_until(limit: Duration, mut ask: impl AsyncFnMut() -> bool) -> Option<Duration> {
    let start = Instant::now();
    loop {
        if ask().await {
            return Some(start.elapsed());
        }
        if start.elapsed() > limit {
            return None;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The status to report next, so that each report is a change.
pub fn alternate(version: i64) -> &'static str {
    if version % 2 == 1 { "processing" } else { "pending" }
}

fn start(name: &str, number: usize, url: &str, launch: &Launch) -> Replica {
    let logs = PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/faults"));
    std::fs::create_dir_all(&logs).expect("a directory for logs");
    let log = logs.join(format!("{name}-{number}.log"));
    tokio::task::block_in_place(|| Replica::start(number, url, launch, &log))
}
