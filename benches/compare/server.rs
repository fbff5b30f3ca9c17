//! A server as a process of its own: started on chosen processors, watched, and stopped with whatever it has started.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::machine;

/// See the module's head.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    name: String,
    child: Child,
}

/// How long a server may take until it listens. Under valgrind it is slow.
const START_LIMIT: Duration = Duration::from_secs(90);
const STOP_LIMIT: Duration = Duration::from_secs(8);

impl Server {
    /// Starts `program` with these arguments on these processors, and waits until it takes connections. What it writes goes
    /// to `log`. It ends when this process does, however that ends.
    pub fn start(
        name: &str,
        cores: &str,
        address: SocketAddr,
        log: &PathBuf,
        command: &Command,
    ) -> anyhow::Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let mut tied = Command::new("taskset");
        tied.args(["-c", cores, "setpriv", "--pdeathsig", "TERM"]);
        tied.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => tied.env(name, value),
                None => tied.env_remove(name),
            };
        }
        let child = tied
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("taskset and setpriv (of util-linux) are needed")?;
        let mut server = Self {
            address,
            name: name.to_owned(),
            child,
        };
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                let said = fs::read_to_string(log).unwrap_or_default();
                let last: Vec<_> = said.lines().rev().take(5).collect();
                bail!("{name} does not start ({status}): {}", last.join(" | "));
            }
            if Instant::now() > deadline {
                bail!("{name} does not listen; see {}", log.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processors' time that it has used so far.
    pub fn processor_time(&self) -> Duration {
        machine::processor_time(&machine::family_of(self.pid()))
    }

    /// Bytes of memory.
    pub fn memory(&self) -> u64 {
        machine::memory(&machine::family_of(self.pid()))
    }

    pub fn signal(&self, signal: Signal) {
        send_signal(self.pid(), signal);
    }
}

fn send_signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let family = machine::family_of(self.pid());
        self.signal(Signal::CONT);
        self.signal(Signal::TERM);
        let deadline = Instant::now() + STOP_LIMIT;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("{} does not stop, and is killed", self.name);
                for pid in family {
                    send_signal(pid, Signal::KILL);
                }
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.wait();
    }
}

/// An address that nobody listens on at this moment.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}
