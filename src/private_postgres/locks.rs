//! The files that are locked, or told apart, in the base directory.
//!
//! When root opens a file in a directory that the server's account may write to, that account may have put something
//! else in its place: links are not followed, and a file of another owner is refused.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use rustix::fs::OFlags;

use super::account::Account;
use super::error::PrivatePostgresError;

/// Held exclusively while the cluster is made, and its server started or stopped. The first file in a base directory,
/// and so the mark of one.
pub(super) const START: &str = "start.lock";
/// Held in shared mode by everyone who uses the server.
pub(super) const USERS: &str = "users.lock";

/// Waits for whoever is starting or stopping the server now; each step of theirs has a time limit.
pub(super) fn lock_start(base: &Path, account: &Account) -> Result<File, PrivatePostgresError> {
    let path = base.join(START);
    let file = open_owned(&path, account)?;
    file.lock()
        .map_err(|source| PrivatePostgresError::io("lock", path, source))?;
    Ok(file)
}

pub(super) fn open_users(base: &Path, account: &Account) -> Result<File, PrivatePostgresError> {
    open_owned(&base.join(USERS), account)
}

/// Opens for reading and appending a file that belongs to the account, and makes it if it isn't there. Children do not
/// inherit it: std opens every file close-on-exec.
pub(super) fn open_owned(path: &Path, account: &Account) -> Result<File, PrivatePostgresError> {
    let failed = |source| PrivatePostgresError::io("open", path, source);
    let mut options = OpenOptions::new();
    options
        .read(true)
        .append(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Ok(file) => {
            if account.dropped_to.is_some() {
                fchown(&file, Some(account.uid), Some(account.gid)).map_err(failed)?;
            }
            return Ok(file);
        }
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        Err(_) => {}
    }
    let file = options.open(path).map_err(failed)?;
    let owner = file.metadata().map_err(failed)?.uid();
    if owner == account.uid || owner == rustix::process::geteuid().as_raw() {
        return Ok(file);
    }
    Err(PrivatePostgresError::OtherOwner {
        path: path.into(),
        owner,
        wanted: account.uid,
    })
}
