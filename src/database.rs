//! Opening the database that the configuration names, or the private one.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::config::DatabaseArgs;
use crate::db::{self, Pool};
use crate::private_postgres::{self, PrivatePostgres};

/// One that reads the log, one that claims and marks, one that counts and cleans.
const DELIVERY_CONNECTIONS: u32 = 3;
/// One for the feed, one for expiry, one for what goes out by RabbitMQ, one for the rest.
const CHORE_CONNECTIONS: u32 = 4;

/// A database that is open, and the private server behind it if there is one.
#[derive(Debug)]
pub struct Database {
    pub pool: Pool,
    /// A few connections that no request can take: for the feed, and what else the service does by itself.
    pub chores: Pool,
    /// The same for what goes out to the merchants' endpoints.
    pub deliveries: Pool,
    /// Where to listen for the doorbell: the server itself, past any pooler.
    pub listen_url: String,
    private: Option<PrivatePostgres>,
}

impl Database {
    /// Opens the server at the configured URL; without one, the private PostgreSQL, which is started when it isn't running.
    pub async fn open(args: &DatabaseArgs) -> anyhow::Result<Self> {
        let (url, private) = if let Some(url) = &args.database_url {
            (url.clone(), None)
        } else {
            let private = start_private(args).await?;
            (private.url(), Some(private))
        };
        let listen_url = args.listen_url.clone().unwrap_or_else(|| url.clone());
        match Self::connect(args, url).await {
            Ok((pool, chores, deliveries)) => Ok(Self {
                pool,
                chores,
                deliveries,
                listen_url,
                private,
            }),
            Err(error) => {
                if let Some(private) = private {
                    private.stop()?;
                }
                Err(error)
            }
        }
    }

    async fn connect(args: &DatabaseArgs, url: String) -> anyhow::Result<(Pool, Pool, Pool)> {
        let named = url.starts_with("postgres://") || url.starts_with("postgresql://");
        // Checked here and not where flags are read: that would repeat the URL, and the password in it.
        ensure!(
            named,
            "DATABASE_URL must begin with postgres:// (only PostgreSQL is supported)"
        );
        let settings = args.settings(url);
        let few = |max_connections| {
            db::connect_later(&db::Settings {
                max_connections,
                ..settings.clone()
            })
        };
        let pool = db::connect(&settings)
            .await
            .context("cannot open the database; is DATABASE_URL right?")?;
        if args.auto_migrate {
            db::migrate(&pool)
                .await
                .context("cannot bring the database's schema up to date")?;
        }
        Ok((pool, few(CHORE_CONNECTIONS)?, few(DELIVERY_CONNECTIONS)?))
    }

    /// Closes the connections, and stops the private server unless another process uses it.
    pub async fn close(self) -> anyhow::Result<()> {
        // Connections that a stopped HTTP thread opened cannot say goodbye any more; nobody waits for that.
        let closed = async { tokio::join!(self.pool.close(), self.chores.close(), self.deliveries.close()) };
        let _ = tokio::time::timeout(Duration::from_secs(2), closed).await;
        if let Some(private) = self.private {
            tokio::task::spawn_blocking(move || private.stop()).await??;
            tracing::info!("private postgres is stopped, unless others use it");
        }
        Ok(())
    }
}

async fn start_private(args: &DatabaseArgs) -> anyhow::Result<PrivatePostgres> {
    let settings = private_postgres::Settings::new(args.data_dir.clone());
    let private = tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings)).await??;
    if let Some(notice) = private.notice() {
        tracing::warn!("{notice}");
    }
    tracing::info!(directory = %private.directory().display(), "private postgres is running");
    Ok(private)
}
