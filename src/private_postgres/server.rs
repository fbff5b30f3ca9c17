//! The server of a cluster: find, start, stop. The caller holds the start lock.
//!
//! Whether the server runs is not read from its pid file, which outlives a crash and a reboot and may then name somebody
//! else's process. The server's stdout and stderr are its log file, and that file is locked: the kernel frees the lock
//! when the last process of the server is gone, orphans of a killed postmaster included.

use std::fs::{self, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::account;
use super::cluster::{Cluster, DATA};
use super::error::PrivatePostgresError;
use super::{DATABASE, PORT, connection_url, directory, locks};

const LOG: &str = "postgres.log";
/// Seconds for a start or a stop. Recovery after a crash has to fit in.
const PATIENCE: u64 = 60;
const PAUSE: Duration = Duration::from_millis(20);
/// How much of the log an error quotes.
const LOG_TAIL_BYTES: u64 = 4096;
const LOG_TAIL_LINES: usize = 8;

/// Returns the directory of the socket that the server listens on.
pub(super) fn ensure_running(cluster: &Cluster, options: &[String]) -> Result<PathBuf, PrivatePostgresError> {
    match wait_until_decided(cluster)? {
        Some(socket_directory) => Ok(socket_directory),
        None => start(cluster, options),
    }
}

pub(super) fn stop(cluster: &Cluster, socket_directory: &Path) -> Result<(), PrivatePostgresError> {
    if wait_until_decided(cluster)?.is_some() {
        let mut command = cluster.command("pg_ctl");
        command.args(["stop", "-w", "-m", "fast", "-D", DATA, "-t", &PATIENCE.to_string()]);
        let stopped = account::run(&mut command, "stop the private PostgreSQL server", "");
        // A server that died on its own meanwhile is gone as well.
        if stopped.is_err() && wait_until_decided(cluster)?.is_some() {
            return stopped.map(drop);
        }
    }
    if socket_directory != cluster.base {
        let _ = fs::remove_dir(socket_directory); // made again by the next start
    }
    Ok(())
}

fn start(cluster: &Cluster, options: &[String]) -> Result<PathBuf, PrivatePostgresError> {
    let socket_directory = directory::prepare_socket_directory(&cluster.base, &cluster.account)?;
    remove_leftovers(cluster, &socket_directory)?;
    let log_path = cluster.base.join(LOG);
    let failed = |source| PrivatePostgresError::io("lock", &log_path, source);
    let log = locks::open_owned(&log_path, &cluster.account)?;
    log.lock_shared().map_err(failed)?;
    let mut command = cluster.command("pg_ctl");
    command.args(["start", "-w", "-D", DATA, "-t", &PATIENCE.to_string()]);
    command.args(["-o", &server_arguments(&socket_directory, options)]);
    command.stdout(log.try_clone().map_err(failed)?).stderr(log);
    let status = command
        .status()
        .map_err(|source| PrivatePostgresError::io("run", command.get_program(), source))?;
    drop(command); // and with it our own handles on the locked log
    if !status.success() {
        let action = "start the private PostgreSQL server";
        return Err(PrivatePostgresError::Server {
            action,
            log: log_tail(cluster),
        });
    }
    create_database(cluster, &socket_directory)?;
    Ok(socket_directory)
}

/// The server would take these files for a living predecessor's if a process of the same account now has the id that
/// they name, as happens after a reboot. No server process is alive when this is called.
fn remove_leftovers(cluster: &Cluster, socket_directory: &Path) -> Result<(), PrivatePostgresError> {
    let socket = directory::socket_path(socket_directory);
    for path in [postmaster_file(cluster), socket.with_extension("5432.lock"), socket] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PrivatePostgresError::io("remove", path, error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn create_database(cluster: &Cluster, socket_directory: &Path) -> Result<(), PrivatePostgresError> {
    let script = format!(
        "select 'create database {DATABASE}' \
         where not exists (select from pg_database where datname = '{DATABASE}') \\gexec\n"
    );
    let mut command = cluster.command("psql");
    command.args([
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        &connection_url(socket_directory, "postgres"),
    ]);
    account::run(
        &mut command,
        "create the database in the private PostgreSQL server",
        &script,
    )
    .map(drop)
}

/// Waits out a start or a stop that is under way, then says where the server listens, if there is one.
fn wait_until_decided(cluster: &Cluster) -> Result<Option<PathBuf>, PrivatePostgresError> {
    let deadline = Instant::now() + Duration::from_secs(PATIENCE);
    loop {
        match look(cluster)? {
            Presence::Absent => return Ok(None),
            Presence::Ready { socket_directory } => return Ok(Some(socket_directory)),
            Presence::Between if Instant::now() < deadline => sleep(PAUSE),
            Presence::Between => {
                let (path, log) = (cluster.base.clone(), log_tail(cluster));
                return Err(PrivatePostgresError::Undecided {
                    path,
                    seconds: PATIENCE,
                    log,
                });
            }
        }
    }
}

enum Presence {
    Absent,
    /// Starting, stopping, or dying after its postmaster was killed.
    Between,
    Ready {
        socket_directory: PathBuf,
    },
}

fn look(cluster: &Cluster) -> Result<Presence, PrivatePostgresError> {
    let path = cluster.base.join(LOG);
    let is_alive = match locks::open_owned(&path, &cluster.account)?.try_lock() {
        Ok(()) => false,
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(source)) => return Err(PrivatePostgresError::io("lock", path, source)),
    };
    let recorded = fs::read_to_string(postmaster_file(cluster))
        .ok()
        .as_deref()
        .and_then(read_postmaster_file);
    // A server that answers counts even if the log is free: it was started by hand, or its log was moved away.
    match recorded {
        Some((socket_directory, is_ready)) if answers(&socket_directory) => Ok(if is_ready {
            Presence::Ready { socket_directory }
        } else {
            Presence::Between
        }),
        _ => Ok(if is_alive { Presence::Between } else { Presence::Absent }),
    }
}

fn answers(socket_directory: &Path) -> bool {
    UnixStream::connect(directory::socket_path(socket_directory)).is_ok()
}

fn postmaster_file(cluster: &Cluster) -> PathBuf {
    cluster.data().join("postmaster.pid")
}

/// The socket's directory, and whether the server is ready. By line: pid, data directory, start time, port, socket
/// directory, listen address, shared memory key, status (which also takes its time to appear).
fn read_postmaster_file(text: &str) -> Option<(PathBuf, bool)> {
    let lines: Vec<_> = text.lines().collect();
    let is_ready = lines.get(7).is_some_and(|status| status.trim() == "ready");
    lines.get(4).map(|directory| (directory.into(), is_ready))
}

/// What `pg_ctl -o` hands through a shell to the server.
fn server_arguments(socket_directory: &Path, options: &[String]) -> String {
    // The server reads a list of directories, in which a quoted one may hold anything.
    let directories = format!("\"{}\"", socket_directory.to_string_lossy().replace('"', "\"\""));
    let fixed = format!("-p {PORT} -c listen_addresses='' -k {}", quote_for_shell(&directories));
    options.iter().fold(fixed, |arguments, option| {
        format!("{arguments} -c {}", quote_for_shell(option))
    })
}

fn quote_for_shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn log_tail(cluster: &Cluster) -> String {
    let read = || -> Result<Vec<u8>, io::Error> {
        let mut file = locks::open_owned(&cluster.base.join(LOG), &cluster.account).map_err(io::Error::other)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_else(|error| format!("(cannot be read: {error})").into_bytes());
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}
