//! Opening the database that the configuration names, or the private one.

use std::time::Duration;

use anyhow::Context as _;

use crate::config::DatabaseArgs;
use crate::db::{self, Pool};
use crate::private_postgres::{self, PrivatePostgres};

/// A database that is open, and the private server behind it if there is one.
#[derive(Debug)]
pub struct Database {
    pub pool: Pool,
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
            Ok(pool) => Ok(Self {
                pool,
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

    async fn connect(args: &DatabaseArgs, url: String) -> anyhow::Result<Pool> {
        let pool = db::connect(&args.settings(url))
            .await
            .context("cannot open the database; is DATABASE_URL right?")?;
        if args.auto_migrate {
            db::migrate(&pool)
                .await
                .context("cannot bring the database's schema up to date")?;
        }
        Ok(pool)
    }

    /// Closes the connections, and stops the private server unless another process uses it.
    pub async fn close(self) -> anyhow::Result<()> {
        // Connections that a stopped HTTP thread opened cannot say goodbye any more; nobody waits for that.
        let _ = tokio::time::timeout(Duration::from_secs(2), self.pool.close()).await;
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
