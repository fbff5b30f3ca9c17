//! Where an installed Postgres keeps its server programs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::account::{self, Account};
use super::error::PrivatePostgresError;

/// What the private server is run with; a directory that lacks one of them is passed over.
const PROGRAMS: [&str; 4] = ["initdb", "pg_ctl", "postgres", "psql"];
/// Places with one directory for each major version, and what precedes the number: Debian's, PGDG's for Red Hat, and
/// Homebrew's on Apple silicon, on Intel and on Linux.
const VERSIONED_PLACES: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
];

/// One directory with all the programs that the private server needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The server's major version, as it says itself: `postgres (Postgres) 17.2 (Debian 17.2-1)`.
    pub(super) fn major_version(&self, account: &Account) -> Result<u32, PrivatePostgresError> {
        let mut command = account.command(self.program("postgres"), Path::new("/"));
        let text = account::run(command.arg("--version"), "ask postgres for its version", "")?;
        let number = text.split_whitespace().find_map(leading_number);
        number.ok_or(PrivatePostgresError::Program {
            action: "understand the version of postgres",
            output: text,
        })
    }
}

/// The installed Postgres that a new database would be made with.
pub fn find_binaries() -> Result<Binaries, PrivatePostgresError> {
    let mut candidates = find_candidates(configured_directory().as_deref())?;
    Ok(candidates.swap_remove(0)) // never empty
}

/// `PG_BINDIR`, unless it is empty.
pub(super) fn configured_directory() -> Option<PathBuf> {
    env::var_os("PG_BINDIR")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

/// All installed servers, best first and at least one; only the configured one if a directory was configured.
pub(super) fn find_candidates(configured: Option<&Path>) -> Result<Vec<Binaries>, PrivatePostgresError> {
    let places = configured.map_or_else(usual_places, |directory| vec![directory.to_owned()]);
    let is_complete = |directory: &PathBuf| PROGRAMS.iter().all(|name| directory.join(name).is_file());
    let found: Vec<_> = places
        .into_iter()
        .filter(is_complete)
        .map(|directory| Binaries { directory })
        .collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let searched = configured.map_or_else(
        || "the usual places".to_owned(),
        |directory| format!("PG_BINDIR ({} lacks {})", directory.display(), PROGRAMS.join(", ")),
    );
    Err(PrivatePostgresError::NoServer { searched })
}

fn usual_places() -> Vec<PathBuf> {
    let mut places: Vec<_> = versioned_directories(VERSIONED_PLACES[0]).collect();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        places.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    places.extend(env::var_os("PATH").iter().flat_map(env::split_paths));
    places.extend(VERSIONED_PLACES[1..].iter().copied().flat_map(versioned_directories));
    places
}

/// The `bin` directories of one place, the highest version first (by number: 10 comes after 9).
fn versioned_directories((parent, prefix): (&str, &str)) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            Some((
                leading_number(name.to_str()?.strip_prefix(prefix)?)?,
                entry.path().join("bin"),
            ))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, directory)| directory)
}

/// `17`, `17.2`, `17beta1`, `9.6` → the number they begin with.
pub(super) fn leading_number(text: &str) -> Option<u32> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number_and_other_names_are_passed_over() -> std::io::Result<()> {
        let place = tempfile::tempdir()?;
        for name in ["pg-9.6", "pg-10", "pg-17", "pg-common", "other-18"] {
            fs::create_dir(place.path().join(name))?;
        }
        let found: Vec<_> = versioned_directories((&place.path().to_string_lossy(), "pg-")).collect();
        assert_eq!(
            found,
            ["pg-17", "pg-10", "pg-9.6"].map(|name| place.path().join(name).join("bin"))
        );
        Ok(())
    }
}
