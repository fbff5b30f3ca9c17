//! The one PostgreSQL of a run: as it is installed, with fsync on. Ours and `pgbench` use databases of their own in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use payquery::private_postgres::{PrivatePostgres, Settings, find_binaries};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};

/// Stopped with this value. Its directory is the run's.
#[derive(Debug)]
pub struct Cluster {
    server: PrivatePostgres,
    programs: PathBuf,
}

/// What one statement of `pg_stat_statements` has been asked so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub id: i64,
    pub text: String,
    pub calls: i64,
}

impl Cluster {
    pub async fn start(directory: &Path) -> anyhow::Result<Self> {
        let settings = Settings {
            // All else is the default. The connections are for several replicas at once.
            server_options: ["shared_preload_libraries=pg_stat_statements", "max_connections=250"]
                .map(Into::into)
                .into(),
            fallback_dir: directory.to_owned(), // never anybody else's
            ..Settings::new(Some(directory.to_owned()))
        };
        let programs = find_binaries().context("PostgreSQL is needed")?;
        let cluster = Self {
            server: PrivatePostgres::start(&settings).context("PostgreSQL does not start")?,
            programs: programs.directory().to_owned(),
        };
        let mut admin = cluster.connect("postgres").await?;
        admin.execute("create extension pg_stat_statements").await?;
        // Counting statements is not to slow down what is measured by time.
        admin
            .execute("alter system set pg_stat_statements.track = 'none'")
            .await?;
        admin.execute("select pg_reload_conf()").await?;
        Ok(cluster)
    }

    pub fn url(&self, database: &str) -> String {
        self.server.url_of(database)
    }

    pub async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        Ok(PgConnection::connect(&self.url(database)).await?)
    }

    /// An empty database.
    pub async fn create_database(&self, name: &str) -> anyhow::Result<()> {
        let mut admin = self.connect("postgres").await?;
        for sql in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            admin.execute(AssertSqlSafe(sql)).await?;
        }
        Ok(())
    }

    /// From here on the statements of that database are counted.
    pub async fn count_statements(&self, database: &str) -> anyhow::Result<()> {
        let mut admin = self.connect("postgres").await?;
        let sql = format!("alter database {database} set pg_stat_statements.track = 'all'");
        admin.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }

    /// The statements of that database, each with its calls so far.
    pub async fn statements(&self, database: &str) -> anyhow::Result<Vec<Counted>> {
        let mut admin = self.connect("postgres").await?;
        let rows = sqlx::query(
            "select s.queryid, min(s.query) as query, sum(s.calls)::bigint as calls
             from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = $1 group by s.queryid",
        );
        let rows = rows.bind(database).fetch_all(&mut admin).await?;
        let counted = rows.into_iter().map(|row| {
            Ok(Counted {
                id: row.try_get("queryid")?,
                text: row.try_get("query")?,
                calls: row.try_get("calls")?,
            })
        });
        counted.collect()
    }

    /// Transactions per second of a script, row by row, by 64 clients with prepared statements. `cores` are the client's.
    pub fn pgbench(&self, database: &str, script: &str, seconds: u32) -> anyhow::Result<f64> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(script);
        let program = ["pgbench"].map(|name| self.programs.join(name));
        let program = program.into_iter().find(|path| path.exists());
        let output = Command::new(program.unwrap_or_else(|| "pgbench".into()))
            .envs(self.server.variables())
            .env("PGDATABASE", database)
            .args(["-n", "-M", "prepared", "-c", "64", "-j", "2", "-D"])
            .arg(format!("orders={}", super::rows::writes::ORDERS))
            .args(["-T", &seconds.to_string(), "-f"])
            .arg(script)
            .output()
            .context("pgbench (of PostgreSQL) is needed")?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "pgbench: {said} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rest| rest.split(' ').next()?.parse().ok());
        rate.with_context(|| format!("pgbench tells no rate: {said}"))
    }

    pub async fn version(&self) -> anyhow::Result<String> {
        let mut admin = self.connect("postgres").await?;
        let row = sqlx::query("show server_version").fetch_one(&mut admin).await?;
        let version: String = row.try_get(0)?;
        Ok(version.split(' ').next().unwrap_or_default().to_owned())
    }
}
