//! One `payquery serve` as a process of its own.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::Door;

/// How a replica is started.
#[derive(Debug, Clone, Default)]
pub struct Launch {
    pub flags: Vec<String>,
    pub variables: Vec<(String, String)>,
}

impl Launch {
    fn replaces(&self, default: &str) -> bool {
        let name = |flag: &str| flag.split('=').next().map(ToOwned::to_owned);
        self.flags.iter().any(|flag| name(flag) == name(default))
    }
}

/// A running replica; killed when its owner lets go of it.
#[derive(Debug)]
pub struct Replica {
    child: Child,
    pub door: Door,
}

/// What every replica of the lab is told. Nothing but the fault is to get in the way.
const FLAGS: [&str; 9] = [
    "--addr=127.0.0.1:0",
    "--workers=1",
    "--db-connections=8",
    "--poll-rate=0",
    "--merchant-rate=0",
    "--auth-failure-rate=0",
    "--max-held-per-order=1000",
    "--drain-ms=200",
    "--log=info,payquery=debug",
];

impl Replica {
    /// Starts it and waits until it listens. Its log goes to `log`.
    pub fn start(number: usize, database_url: &str, launch: &Launch, log: &PathBuf) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payquery"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYQUERY_")) {
            command.env_remove(name);
        }
        command
            .arg("serve")
            .args(FLAGS.iter().filter(|flag| !launch.replaces(flag)))
            .args(&launch.flags)
            .env("DATABASE_URL", database_url);
        command.envs(launch.variables.iter().cloned());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("payquery starts");
        let lines = BufReader::new(child.stderr.take().expect("it is piped"));
        let mut file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .expect("the log can be written");
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some((_, address)) = line.split_once("listening on http://") {
                    let _ = tell.send(address.split([' ', '"']).next().unwrap_or_default().parse());
                }
                let _ = writeln!(file, "{line}");
            }
        });
        let told = told.recv_timeout(Duration::from_secs(30));
        let mut replica = Self {
            child,
            door: Door {
                number,
                address: ([127, 0, 0, 1], 0).into(),
            },
        };
        replica.door.address = told
            .unwrap_or_else(|_| panic!("does not listen; see {}", log.display()))
            .expect("an address");
        replica
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }

    /// kill -9, and gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its end.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        while matches!(self.child.try_wait(), Ok(None)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Resident memory in KiB.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or(0)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.kill();
    }
}
