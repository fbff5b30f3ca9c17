//! One Postgres cluster on disk: made whole or not at all, and matched with the programs that can open it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use super::SUPERUSER;
use super::account::{self, Account};
use super::binaries::{Binaries, leading_number};
use super::error::PrivatePostgresError;

/// Relative to the base directory, where all programs are run: `pg_ctl` and `initdb` hand paths to a shell.
pub(super) const DATA: &str = "data";
/// Where a cluster is made; followed by the maker's process id, so that an `initdb` that outlived its parent does not
/// write into the next one's work.
const UNFINISHED: &str = "data.init.";

#[derive(Debug)]
pub(super) struct Cluster {
    pub base: PathBuf,
    pub account: Account,
    binaries: Binaries,
}

impl Cluster {
    /// Makes the cluster if there is none. The caller holds the start lock.
    pub fn open(base: PathBuf, account: Account, candidates: Vec<Binaries>) -> Result<Self, PrivatePostgresError> {
        let made_by = read_major_version(&base.join(DATA))?;
        let binaries = choose_binaries(&base, &account, candidates, made_by)?;
        let cluster = Self {
            base,
            account,
            binaries,
        };
        if made_by.is_none() {
            cluster.create()?;
        }
        Ok(cluster)
    }

    pub fn data(&self) -> PathBuf {
        self.base.join(DATA)
    }

    pub fn command(&self, program: &str) -> Command {
        self.account.command(self.binaries.program(program), &self.base)
    }

    /// `--locale=C` because it is the one locale that every system has, and orders text the same on all of them.
    fn create(&self) -> Result<(), PrivatePostgresError> {
        self.account.check_name()?;
        self.remove_unfinished()?;
        let unfinished = format!("{UNFINISHED}{}", process::id());
        let mut command = self.command("initdb");
        command.args([
            "-D",
            &unfinished,
            "-U",
            SUPERUSER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        account::run(&mut command, "make the private database", "")?;
        let renamed = fs::rename(self.base.join(&unfinished), self.data());
        renamed.map_err(|source| PrivatePostgresError::io("make", self.data(), source))?;
        // Else a power cut could undo the rename after the first commits.
        let synced = File::open(&self.base).and_then(|base| base.sync_all());
        synced.map_err(|source| PrivatePostgresError::io("sync", &self.base, source))
    }

    fn remove_unfinished(&self) -> Result<(), PrivatePostgresError> {
        let failed = |source| PrivatePostgresError::io("clear up", &self.base, source);
        for entry in fs::read_dir(&self.base).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// The major version of the programs that made the cluster; `None` if there is no cluster.
fn read_major_version(data: &Path) -> Result<Option<u32>, PrivatePostgresError> {
    match fs::symlink_metadata(data) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(PrivatePostgresError::io("look at", data, source)),
        Ok(_) => {}
    }
    let version = fs::read_to_string(data.join("PG_VERSION"))
        .ok()
        .as_deref()
        .and_then(leading_number);
    version
        .map(Some)
        .ok_or_else(|| PrivatePostgresError::Damaged { path: data.into() })
}

/// The first candidate for a new cluster; for one that exists, the first of its own major version.
fn choose_binaries(
    base: &Path,
    account: &Account,
    candidates: Vec<Binaries>,
    made_by: Option<u32>,
) -> Result<Binaries, PrivatePostgresError> {
    let mut installed = Vec::new();
    for binaries in candidates {
        let major = binaries.major_version(account)?;
        if made_by.is_none_or(|wanted| wanted == major) {
            return Ok(binaries);
        }
        installed.push(format!("{major} ({})", binaries.directory().display()));
    }
    let (made_by, installed) = (made_by.unwrap_or_default(), installed.join(", "));
    Err(PrivatePostgresError::OtherMajorVersion {
        path: base.into(),
        made_by,
        installed,
    })
}
