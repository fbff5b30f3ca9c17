//! The base directory: which one, whose it is, and where the server's socket goes when its path is too long.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::{env, path};

use rustix::fs::{Dir, OFlags};

use super::account::Account;
use super::error::PrivatePostgresError;
use super::{PORT, Settings, locks};

/// Root's default, and where root falls back to.
pub(super) const SYSTEM_DIRECTORY: &str = "/var/lib/payquery";
const PRIVATE: u32 = 0o700;
/// What `sun_path` holds besides its closing zero.
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// A directory of mode 0700 that belongs to the server's account.
#[derive(Debug)]
pub(super) struct BaseDirectory {
    pub path: PathBuf,
    pub account: Account,
    pub notice: Option<String>,
}

impl BaseDirectory {
    pub fn prepare(settings: &Settings) -> Result<Self, PrivatePostgresError> {
        let wanted = settings.data_dir.clone().map_or_else(default_directory, Ok)?;
        let wanted = path::absolute(&wanted).map_err(|source| PrivatePostgresError::io("find", &wanted, source))?;
        match Self::claim(&wanted) {
            Err(reason @ PrivatePostgresError::NotEnterable { .. }) if wanted != settings.fallback_dir => {
                let fallback = Self::claim(&settings.fallback_dir)?;
                let notice = format!("the database is in {} instead: {reason}", fallback.path.display());
                Ok(Self {
                    notice: Some(notice),
                    ..fallback
                })
            }
            result => result,
        }
    }

    /// Takes a directory that is absent, empty or ours already.
    fn claim(path: &Path) -> Result<Self, PrivatePostgresError> {
        let account = Account::choose(path)?;
        if let Some(nearest) = path.ancestors().skip(1).find(|ancestor| ancestor.exists()) {
            account.check_entry(nearest)?; // before anything is made in there
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| PrivatePostgresError::io("make", parent, source))?;
        }
        make_private(path)?;
        let path = path
            .canonicalize()
            .map_err(|source| PrivatePostgresError::io("find", path, source))?;
        if path.to_str().is_none() {
            return Err(PrivatePostgresError::NotUtf8 { path });
        }
        let directory = open_directory(&path)?;
        // In this order: another process may be claiming it now, and the first file that it makes is its start lock.
        let is_empty = is_empty(&directory).map_err(|source| PrivatePostgresError::io("list", &path, source))?;
        if !is_empty && !path.join(locks::START).exists() {
            return Err(PrivatePostgresError::NotOurs { path });
        }
        if !take_ownership(&directory, &path, &account)? {
            let owner = read_metadata(&directory, &path)?.uid();
            return Err(PrivatePostgresError::OtherOwner {
                path,
                owner,
                wanted: account.uid,
            });
        }
        account.check_entry(&path)?;
        Ok(Self {
            path,
            account,
            notice: None,
        })
    }
}

/// The directory for the server's socket: the base itself, or a short one for a base whose path is too long for a
/// socket or has the comma with which libpq separates hosts.
pub(super) fn prepare_socket_directory(base: &Path, account: &Account) -> Result<PathBuf, PrivatePostgresError> {
    let text = base.as_os_str().as_encoded_bytes();
    if socket_path(base).as_os_str().len() <= SOCKET_PATH_MAX && !text.contains(&b',') {
        return Ok(base.to_owned());
    }
    let mut hasher = DefaultHasher::new();
    base.hash(&mut hasher);
    let path = PathBuf::from(format!("/tmp/payquery-{:016x}", hasher.finish()));
    make_private(&path)?;
    // Anyone may have put anything there before us. What passes is a directory, no link to one, that only the account
    // can enter; in sticky /tmp nobody else can then replace it.
    let refused = || PrivatePostgresError::SocketDirectory {
        path: path.clone(),
        wanted: account.uid,
    };
    let directory = open_directory(&path).map_err(|_| refused())?;
    if take_ownership(&directory, &path, account)? {
        Ok(path)
    } else {
        Err(refused())
    }
}

/// The file that the server listens on.
pub(super) fn socket_path(directory: &Path) -> PathBuf {
    directory.join(format!(".s.PGSQL.{PORT}"))
}

fn default_directory() -> Result<PathBuf, PrivatePostgresError> {
    if rustix::process::geteuid().is_root() {
        return Ok(SYSTEM_DIRECTORY.into());
    }
    let variable = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path: &PathBuf| path.is_absolute())
    };
    if let Some(data_home) = variable("XDG_DATA_HOME") {
        return Ok(data_home.join("payquery"));
    }
    let home = variable("HOME").ok_or(PrivatePostgresError::NoHome)?;
    let data_home = if cfg!(target_os = "macos") {
        "Library/Application Support"
    } else {
        ".local/share"
    };
    Ok(home.join(data_home).join("payquery"))
}

/// Makes a directory that nobody but its maker can enter; one that is there already is left as it is.
fn make_private(path: &Path) -> Result<(), PrivatePostgresError> {
    match DirBuilder::new().mode(PRIVATE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(PrivatePostgresError::io("make", path, error))
        }
        _ => Ok(()),
    }
}

/// The directory itself, whatever its name may be changed to mean while we look.
fn open_directory(path: &Path) -> Result<File, PrivatePostgresError> {
    let flags = (OFlags::DIRECTORY | OFlags::NOFOLLOW).bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.map_err(|source| PrivatePostgresError::io("open", path, source))
}

fn is_empty(directory: &File) -> io::Result<bool> {
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if ![c".", c".."].contains(&entry.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Sees to owner and mode; false if the directory is somebody else's. Root gives away only an empty directory of its
/// own: what it has just made, or a mount point.
fn take_ownership(directory: &File, path: &Path, account: &Account) -> Result<bool, PrivatePostgresError> {
    let failed = |action, source| PrivatePostgresError::io(action, path, source);
    let metadata = read_metadata(directory, path)?;
    if metadata.uid() != account.uid {
        let is_roots = account.dropped_to.is_some() && metadata.uid() == 0;
        if !is_roots || !is_empty(directory).map_err(|source| failed("list", source))? {
            return Ok(false);
        }
        fchown(directory, Some(account.uid), Some(account.gid)).map_err(|source| failed("give away", source))?;
    }
    if metadata.mode() & 0o777 != PRIVATE {
        let closed = directory.set_permissions(Permissions::from_mode(PRIVATE));
        closed.map_err(|source| failed("change the mode of", source))?;
    }
    Ok(true)
}

fn read_metadata(directory: &File, path: &Path) -> Result<Metadata, PrivatePostgresError> {
    directory
        .metadata()
        .map_err(|source| PrivatePostgresError::io("look at", path, source))
}
