//! The account that the server runs under: our own, or, since Postgres refuses root, the one root drops to.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, fs};

use super::error::PrivatePostgresError;

const ROOT: u32 = 0;
/// Whom root drops to, best first.
const DROP_TO: [&str; 2] = ["postgres", "nobody"];
/// All that children see of our environment: settings may hold secrets, and every `PG*` would change what programs do.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"];

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub uid: u32,
    pub gid: u32,
    /// The account's name when we are root and drop to it.
    pub dropped_to: Option<&'static str>,
}

impl Account {
    /// The account for this base directory. Root prefers the one that owns it already: a cluster made under `nobody`
    /// stays usable when a `postgres` account appears later.
    pub fn choose(directory: &Path) -> Result<Self, PrivatePostgresError> {
        let uid = rustix::process::geteuid().as_raw();
        if uid != ROOT {
            return Ok(Self {
                uid,
                gid: rustix::process::getegid().as_raw(),
                dropped_to: None,
            });
        }
        let passwd = fs::read_to_string("/etc/passwd")
            .map_err(|source| PrivatePostgresError::io("read", "/etc/passwd", source))?;
        let known: Vec<Self> = DROP_TO.iter().filter_map(|name| Self::find(&passwd, name)).collect();
        let owner = fs::metadata(directory).ok().map(|metadata| metadata.uid());
        let of_owner = known.iter().find(|account| Some(account.uid) == owner);
        of_owner
            .or(known.first())
            .cloned()
            .ok_or(PrivatePostgresError::NoAccount)
    }

    /// Looks the name up in the text of /etc/passwd, where system accounts are on every platform.
    fn find(passwd: &str, name: &'static str) -> Option<Self> {
        let fields = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| fields[0] == name)?;
        let (uid, gid) = (parse_id(fields.get(2)?)?, parse_id(fields.get(3)?)?);
        (uid != ROOT).then_some(Self {
            uid,
            gid,
            dropped_to: Some(name),
        })
    }

    /// A command that will run as this account, in that directory, with next to nothing of our environment. When root
    /// sets a uid, std clears the supplementary groups too.
    pub fn command(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        let mut command = Command::new(program);
        let kept = KEPT_VARIABLES
            .iter()
            .filter_map(|name| env::var_os(name).map(|value| (name, value)));
        command
            .env_clear()
            .envs(kept)
            .env("LC_ALL", "C")
            .current_dir(directory)
            .stdin(Stdio::null());
        if self.dropped_to.is_some() {
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Asks the kernel rather than the mode bits, which know nothing of access lists.
    pub fn check_entry(&self, directory: &Path) -> Result<(), PrivatePostgresError> {
        let Some(name) = self.dropped_to else {
            return Ok(()); // our own steps will tell
        };
        match self.command("/bin/sh", directory).args(["-c", ":"]).status() {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(PrivatePostgresError::NotEnterable {
                path: directory.into(),
                account: name.into(),
            }),
            Err(source) => Err(PrivatePostgresError::io("enter", directory, source)),
        }
    }

    /// Fails for a uid that has no name, as containers run with; `id` knows every source of names, not only a file.
    pub fn check_name(&self) -> Result<(), PrivatePostgresError> {
        let output = self.command("id", Path::new("/")).arg("-un").output();
        let output = output.map_err(|source| PrivatePostgresError::io("run", "id", source))?;
        if output.status.success() {
            Ok(())
        } else {
            Err(PrivatePostgresError::UnknownUser { uid: self.uid })
        }
    }
}

/// Accounts such as macOS' `nobody` are written as negative numbers.
fn parse_id(field: &str) -> Option<u32> {
    field
        .parse()
        .ok()
        .or_else(|| field.parse().ok().map(i32::cast_unsigned))
}

/// Runs a command to its end and returns what it printed; a failure carries what it complained of.
pub(super) fn run(command: &mut Command, action: &'static str, input: &str) -> Result<String, PrivatePostgresError> {
    let failed = |command: &Command, source| PrivatePostgresError::io("run", command.get_program(), source);
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = spawned.map_err(|source| failed(command, source))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading says why itself.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|source| failed(command, source))?;
    let printed = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(printed(&output.stdout));
    }
    let complaint = match printed(&output.stderr) {
        silent if silent.is_empty() => output.status.to_string(),
        complaint => complaint,
    };
    Err(PrivatePostgresError::Program {
        action,
        output: complaint,
    })
}
