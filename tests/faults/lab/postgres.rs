//! A Postgres that belongs to this run alone: it is killed, stopped and restarted, and its disk really is asked to keep things.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use payquery::private_postgres::{PrivatePostgres, Settings};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// See the module's head. Stopped and removed with this value, in whatever state it is.
#[derive(Debug)]
pub struct OwnPostgres {
    base: PathBuf,
    settings: Settings,
    server: Mutex<Option<PrivatePostgres>>,
    socket_directory: PathBuf,
}

impl OwnPostgres {
    pub fn start() -> Self {
        Self::start_in(PathBuf::from(format!("/tmp/payquery-faults-{}", std::process::id())))
    }

    pub fn start_in(base: PathBuf) -> Self {
        let settings = Settings {
            keep_running: true, // it is stopped by hand, and not only by its last user
            server_options: ["max_connections=300", "log_connections=on", "fsync=on"]
                .map(Into::into)
                .into(),
            fallback_dir: base.clone(),
            ..Settings::new(Some(base.clone()))
        };
        let server = PrivatePostgres::start(&settings).expect("Postgres starts");
        let pid_file = fs::read_to_string(base.join("data/postmaster.pid")).expect("a running server has a pid file");
        let socket_directory = pid_file.lines().nth(4).expect("its fifth line").into();
        Self {
            base,
            settings,
            server: Mutex::new(Some(server)),
            socket_directory,
        }
    }

    pub fn url(&self, database: &str) -> String {
        url_through(&self.socket_directory, database)
    }

    /// The socket that clients connect to.
    pub fn socket(&self) -> PathBuf {
        self.socket_directory.join(".s.PGSQL.5432")
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    pub async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.url(database))
            .await
            .expect("Postgres answers")
    }

    /// An empty database of that name.
    pub async fn create_database(&self, name: &str) {
        let mut admin = self.connect("postgres").await;
        for sql in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name}"),
        ] {
            admin.execute(AssertSqlSafe(sql)).await.expect("a database is made");
        }
    }

    /// kill -9 of the postmaster and of every child: nobody gets to say goodbye.
    pub fn kill(&self) {
        self.signal_all(Signal::KILL);
    }

    /// SIGSTOP of the whole server: connections stay open, and nothing answers.
    pub fn freeze(&self) {
        self.signal_all(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal_all(Signal::CONT);
    }

    /// A fast shutdown: sessions are ended, and the server is gone when this returns.
    pub fn stop(&self) {
        let Some(postmaster) = self.postmaster() else { return };
        let _ = kill_process(postmaster, Signal::INT);
        let deadline = Instant::now() + Duration::from_secs(30);
        while kill_process_exists(postmaster) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Starts it again, with recovery where it was killed.
    pub fn start_again(&self) {
        let server = PrivatePostgres::start(&self.settings).expect("Postgres starts again");
        *self.server.lock().unwrap() = Some(server);
    }

    /// Sessions of that database so far, and attempts at one that were turned away, by the server's own log.
    pub fn sessions_so_far(&self, database: &str) -> (usize, usize) {
        let log = fs::read(self.base.join("postgres.log")).unwrap_or_default();
        let (log, database) = (String::from_utf8_lossy(&log), format!("database={database}"));
        let mut sessions = log.lines().filter(|line| line.contains("connection authorized"));
        let sessions = sessions
            .by_ref()
            .filter(|line| line.split(' ').any(|word| word == database))
            .count();
        (sessions, log.matches("FATAL:  the database system is ").count())
    }

    fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.base.join("data/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
    }

    /// The postmaster first, so that it makes no more children; then all that it has.
    fn signal_all(&self, signal: Signal) {
        let Some(postmaster) = self.postmaster() else { return };
        let children = children_of(postmaster);
        let _ = kill_process(postmaster, signal);
        for child in children.into_iter().chain(children_of(postmaster)) {
            let _ = kill_process(child, signal);
        }
    }
}

impl Drop for OwnPostgres {
    fn drop(&mut self) {
        self.thaw();
        self.stop();
        drop(self.server.lock().unwrap().take());
        let _ = fs::remove_dir_all(&self.base);
    }
}

pub fn url_through(socket_directory: &Path, database: &str) -> String {
    let directory = socket_directory.display();
    format!("postgresql:///{database}?host={directory}&port=5432&user=payquery&sslmode=disable")
}

fn kill_process_exists(pid: Pid) -> bool {
    rustix::process::test_kill_process(pid).is_ok()
}

fn children_of(parent: Pid) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent.as_raw_nonzero().get()))
        .filter_map(Pid::from_raw)
        .collect()
}

/// The fourth field of /proc/PID/stat; the second one is a name in brackets that may hold anything.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}
