//! Directories for private Postgres servers.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use payquery::private_postgres::Settings;
use rustix::process::{Pid, Signal, kill_process};

/// A directory that the server's account can enter, and which leaves no server behind however a test ends.
#[derive(Debug)]
pub struct Place {
    pub directory: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir_in(fs::canonicalize("/tmp").unwrap()).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
        Self { directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Settings for a base directory in here. The data of tests need not survive a power cut.
    pub fn settings(&self, name: &str) -> Settings {
        Settings {
            server_options: vec!["fsync=off".to_owned()],
            ..Settings::new(Some(self.path(name)))
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.directory.path()).into_iter().flatten().flatten() {
            let base = entry.path();
            if is_running(&base) {
                let _ = kill_process(postmaster(&base), Signal::QUIT);
                wait_for_the_last_process(&base);
            }
        }
    }
}

/// The log is locked by every process of the server.
fn wait_for_the_last_process(base: &Path) {
    File::open(base.join("postgres.log")).unwrap().lock().unwrap();
}

/// The server that runs in a base directory.
pub fn postmaster(base: &Path) -> Pid {
    let text = fs::read_to_string(base.join("data/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
}

pub fn is_running(base: &Path) -> bool {
    base.join("data/postmaster.pid").exists()
}
