//! The embedded default: a Postgres server of our own, for when no `DATABASE_URL` is given.
//!
//! It finds an installed Postgres, makes a cluster in the data directory, runs its server behind a Unix socket and
//! stops it with the last process that used it. What stays true:
//!
//! - Nobody else gets in. There is no TCP port, and the socket lies in a directory of mode 0700 that belongs to the
//!   server's account, so the server itself may trust whoever reaches it (root does, as another user than the server's:
//!   `peer` would turn it away).
//! - Init, start and stop happen under one exclusive file lock; users are counted by shared locks on another. The kernel
//!   frees both when a process dies, however it dies.
//! - A cluster is whole or absent: it is made beside its place and moved there in one step.
//! - `fsync` and `synchronous_commit` stay on unless the caller's own server options say otherwise.

mod account;
mod binaries;
mod cluster;
mod directory;
mod error;
mod locks;
mod server;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

pub use binaries::{Binaries, find_binaries};
pub use error::PrivatePostgresError;

use cluster::Cluster;
use directory::BaseDirectory;

/// The database that [`PrivatePostgres::start`] makes sure of.
const DATABASE: &str = "payquery";
/// The cluster's superuser. Its name is the same whichever account the server runs under.
const SUPERUSER: &str = "payquery";
/// Only a part of the socket's file name, since the server opens no TCP port.
const PORT: u16 = 5432;

/// Where and how the private server runs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base directory; `None` for the platform's own place (see [`Settings::new`]).
    pub data_dir: Option<PathBuf>,
    /// Configuration parameters for a server that is started here, each as `name=value`.
    pub server_options: Vec<String>,
    /// Leave the server running when its last user goes. For tests, which come and go by the hundred.
    pub keep_running: bool,
    /// Where the server programs are; `None` searches the usual places.
    pub binaries_dir: Option<PathBuf>,
    /// Taken instead of a data directory that the server's account cannot enter, when root drops to one.
    pub fallback_dir: PathBuf,
}

impl Settings {
    /// Without a data directory: `/var/lib/payquery` for root, `$XDG_DATA_HOME/payquery` (`~/.local/share/payquery`)
    /// or on macOS `~/Library/Application Support/payquery` for everyone else. `PG_BINDIR` names the server programs.
    pub fn new(data_dir: Option<PathBuf>) -> Self {
        Self {
            data_dir,
            server_options: Vec::new(),
            keep_running: false,
            binaries_dir: binaries::configured_directory(),
            fallback_dir: PathBuf::from(directory::SYSTEM_DIRECTORY),
        }
    }
}

/// One user's hold on the private server. All calls block.
///
/// Dropping it gives the hold up as [`PrivatePostgres::stop`] does, but swallows errors.
#[derive(Debug)]
pub struct PrivatePostgres {
    cluster: Cluster,
    socket_directory: PathBuf,
    notice: Option<String>,
    keep_running: bool,
    /// Locked in shared mode for as long as we use the server; `None` once the hold is given up.
    users: Option<File>,
}

impl PrivatePostgres {
    /// Makes the cluster if there is none, starts its server unless it runs, and makes sure of the database `payquery`.
    pub fn start(settings: &Settings) -> Result<Self, PrivatePostgresError> {
        let candidates = binaries::find_candidates(settings.binaries_dir.as_deref())?;
        let BaseDirectory { path, account, notice } = BaseDirectory::prepare(settings)?;
        let _starting = locks::lock_start(&path, &account)?;
        let users = locks::open_users(&path, &account)?;
        users
            .lock_shared()
            .map_err(|source| PrivatePostgresError::io("lock", path.join(locks::USERS), source))?;
        let cluster = Cluster::open(path, account, candidates)?;
        let socket_directory = server::ensure_running(&cluster, &settings.server_options)?;
        Ok(Self {
            cluster,
            socket_directory,
            notice,
            keep_running: settings.keep_running,
            users: Some(users),
        })
    }

    /// A connection string that sqlx and libpq both take, for the database `payquery`.
    pub fn url(&self) -> String {
        self.url_of(DATABASE)
    }

    /// The same for another database of this server.
    pub fn url_of(&self, database: &str) -> String {
        connection_url(&self.socket_directory, database)
    }

    /// The same as libpq's environment variables, for psql, pg_dump and their like.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", self.socket_directory.to_string_lossy().into_owned()),
            ("PGPORT", PORT.to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
            ("PGDATABASE", DATABASE.to_owned()),
        ]
    }

    /// The base directory in use: the cluster, the server's log, the locks.
    pub fn directory(&self) -> &Path {
        &self.cluster.base
    }

    /// What the person who chose the settings should know, such as another directory than the wanted one.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Gives up this hold, and stops the server if nobody else has one (and it was not to be kept running).
    pub fn stop(mut self) -> Result<(), PrivatePostgresError> {
        self.give_up()
    }

    fn give_up(&mut self) -> Result<(), PrivatePostgresError> {
        let Some(users) = self.users.take() else {
            return Ok(());
        };
        if self.keep_running {
            return Ok(());
        }
        let _stopping = locks::lock_start(&self.cluster.base, &self.cluster.account)?;
        let failed = |source| PrivatePostgresError::io("lock", self.cluster.base.join(locks::USERS), source);
        users.unlock().map_err(failed)?;
        match users.try_lock() {
            Ok(()) => server::stop(&self.cluster, &self.socket_directory),
            Err(TryLockError::WouldBlock) => Ok(()),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Drop for PrivatePostgres {
    /// An early return or a panic between start and stop must not leave a server behind.
    fn drop(&mut self) {
        let _ = self.give_up();
    }
}

/// `sslmode` and `port` are spelt out because both readers would else take them from the environment.
fn connection_url(socket_directory: &Path, database: &str) -> String {
    let host = percent_encode(&socket_directory.to_string_lossy());
    let database = percent_encode(database);
    format!("postgresql:///{database}?host={host}&port={PORT}&user={SUPERUSER}&sslmode=disable")
}

/// Percent-encodes all but the unreserved characters of RFC 3986 and `/`.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                encoded.push(char::from(byte));
            } else {
                let _ = write!(encoded, "%{byte:02X}"); // writing to a String cannot fail
            }
            encoded
        })
}
