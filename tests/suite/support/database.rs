//! One Postgres for all tests, and a database for each, copied from a template that has the schema.

use std::path::PathBuf;
use std::sync::OnceLock;

use payquery::private_postgres::{PrivatePostgres, Settings};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use uuid::Uuid;

/// Also read by the script that stops the server after `make test`.
fn base_directory() -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    std::env::temp_dir().join(format!("payquery-tests-{uid}"))
}

/// The server that all tests share: kept running from one test process to the next.
fn server() -> &'static PrivatePostgres {
    static SERVER: OnceLock<PrivatePostgres> = OnceLock::new();
    SERVER.get_or_init(|| {
        let settings = Settings {
            keep_running: true,
            // Tests lose nothing that matters in a power cut. The rest is what they count with, and room for many at once.
            server_options: [
                "fsync=off",
                "shared_preload_libraries=pg_stat_statements",
                "max_connections=500",
                // Each database has statements of its own, some 40,000 in a run; what is crowded out would be counted as never sent.
                "pg_stat_statements.max=150000",
                "pg_stat_statements.save=off",
            ]
            .map(Into::into)
            .into(),
            fallback_dir: PathBuf::from(format!("/tmp/payquery-tests-{}", rustix::process::getuid().as_raw())),
            ..Settings::new(Some(base_directory()))
        };
        PrivatePostgres::start(&settings).expect("the tests' Postgres starts")
    })
}

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    pub url: String,
    name: String,
}

impl TestDatabase {
    /// An empty database with today's schema.
    pub async fn create() -> Self {
        let template = template().await;
        Self::create_from(&format!("template {template} strategy file_copy")).await
    }

    /// A database without a schema.
    pub async fn create_empty() -> Self {
        Self::create_from("").await
    }

    async fn create_from(options: &str) -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        let create = format!("create database {name} {options}");
        admin().await.execute(AssertSqlSafe(create)).await.unwrap();
        Self {
            url: server().url_of(&name),
            name,
        }
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// The statements that ran in this database, and how often, by Postgres' own count.
    pub async fn statements(&self) -> Vec<(String, i64)> {
        let mut connection = self.connect().await;
        sqlx::query_as(
            "select query, calls from pg_stat_statements s join pg_database d on d.oid = s.dbid
             where d.datname = current_database() and query not like '%pg_stat_statements%'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap()
    }

    /// The statements that ran in this database, and how many pages each looked at per call: what they cost, whatever else the
    /// machine is at.
    pub async fn pages_per_call(&self) -> Vec<(String, f64)> {
        let mut connection = self.connect().await;
        sqlx::query_as(
            "select query, (shared_blks_hit + shared_blks_read)::float8 / calls
             from pg_stat_statements s join pg_database d on d.oid = s.dbid
             where d.datname = current_database() and calls > 0 and query not like '%pg_stat_statements%'",
        )
        .fetch_all(&mut connection)
        .await
        .unwrap()
    }

    /// How often statements whose text has all of `words` ran.
    pub async fn count_statements(&self, words: &[&str]) -> i64 {
        let statements = self.statements().await;
        let counted = statements
            .iter()
            .filter(|(query, _)| words.iter().all(|word| query.contains(word)));
        counted.map(|(_, calls)| calls).sum()
    }

    /// Reads of single orders by id: what a poll of a cold order costs.
    pub async fn count_order_reads(&self) -> i64 {
        self.count_statements(&["from orders", "where id = $1"]).await
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A test's runtime may be the one that is going away, so this one has its own.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let drop = format!("drop database if exists {name} with (force)");
                admin().await.execute(AssertSqlSafe(drop)).await
            })
        });
        if let Ok(Err(error)) = dropped.join() {
            eprintln!("the test database stays: {error}");
        }
    }
}

async fn admin() -> PgConnection {
    let url = tokio::task::spawn_blocking(|| server().url_of("postgres"))
        .await
        .unwrap();
    PgConnection::connect(&url).await.unwrap()
}

/// The template's name holds the schema's fingerprint, so an older one is never taken. Made by the first who comes.
async fn template() -> String {
    let migrations = sqlx::migrate!();
    let fingerprint = migrations.iter().flat_map(|migration| migration.checksum.iter());
    let fingerprint = fingerprint.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let name = format!("template_{fingerprint:016x}");
    let mut admin = admin().await;
    sqlx::query("select pg_advisory_lock(7361)")
        .execute(&mut admin)
        .await
        .unwrap();
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&name)
        .fetch_one(&mut admin)
        .await
        .unwrap();
    if !there {
        let unfinished = format!("{name}_unfinished");
        admin
            .execute(AssertSqlSafe(format!(
                "drop database if exists {unfinished} with (force)"
            )))
            .await
            .unwrap();
        admin
            .execute(AssertSqlSafe(format!("create database {unfinished}")))
            .await
            .unwrap();
        let mut connection = PgConnection::connect(&server().url_of(&unfinished)).await.unwrap();
        migrations.run(&mut connection).await.unwrap();
        connection.execute("create extension pg_stat_statements").await.unwrap();
        connection.close().await.unwrap();
        admin
            .execute(AssertSqlSafe(format!("alter database {unfinished} rename to {name}")))
            .await
            .unwrap();
    }
    sqlx::query("select pg_advisory_unlock(7361)")
        .execute(&mut admin)
        .await
        .unwrap();
    name
}
