//! What can go wrong with the private server, and what to do about it.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum PrivatePostgresError {
    #[error(
        "no PostgreSQL server found in {searched}; install one with `apt-get install postgresql` (Debian, Ubuntu) or \
         `brew install postgresql@17` (macOS), or set DATABASE_URL to a server that is running"
    )]
    NoServer { searched: String },

    #[error(
        "the database in {} was made by PostgreSQL {made_by}, which cannot be opened by PostgreSQL {installed}; install \
         PostgreSQL {made_by} (PG_BINDIR names its programs), carry the data over with pg_upgrade, or choose another \
         data directory", path.display()
    )]
    OtherMajorVersion {
        path: PathBuf,
        made_by: u32,
        installed: String,
    },

    #[error(
        "PostgreSQL does not run as root, and neither `postgres` nor `nobody` is in /etc/passwd to run it as; add one of \
         them, or set DATABASE_URL"
    )]
    NoAccount,

    #[error(
        "user id {uid} has no entry in the password database, without which PostgreSQL cannot make a database; run as a \
         user that has one, or set DATABASE_URL"
    )]
    UnknownUser { uid: u32 },

    #[error("there is no home directory to keep the database in; set HOME or PAYQUERY_DATA_DIR, or set DATABASE_URL")]
    NoHome,

    #[error("{} cannot be entered by `{account}`, which PostgreSQL runs as; choose another data directory", path.display())]
    NotEnterable { path: PathBuf, account: String },

    #[error("{} is not empty and was not made by payquery; choose another data directory", path.display())]
    NotOurs { path: PathBuf },

    #[error(
        "{} belongs to user id {owner}, but PostgreSQL would run as user id {wanted}; change its owner or choose another \
         data directory", path.display()
    )]
    OtherOwner { path: PathBuf, owner: u32, wanted: u32 },

    #[error(
        "{} is needed for the server's socket but is not a private directory of user id {wanted}; remove it, or choose a \
         data directory with a shorter path", path.display()
    )]
    SocketDirectory { path: PathBuf, wanted: u32 },

    #[error("the path {} is not UTF-8; choose another data directory", path.display())]
    NotUtf8 { path: PathBuf },

    #[error("{} is damaged: it has no readable PG_VERSION; restore it from a backup or move it away", path.display())]
    Damaged { path: PathBuf },

    #[error("the server in {} has been starting or stopping for {seconds} s; its log ends with:\n{log}", path.display())]
    Undecided { path: PathBuf, seconds: u64, log: String },

    #[error("cannot {action}; the server's log ends with:\n{log}")]
    Server { action: &'static str, log: String },

    #[error("cannot {action}: {output}")]
    Program { action: &'static str, output: String },

    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl PrivatePostgresError {
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.into(),
            source,
        }
    }
}
