//! The real binary as a process of its own, for signals, logs and command lines.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running `payquery`; killed when the test lets go of it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    address: mpsc::Receiver<String>,
}

impl Process {
    /// A command with nothing inherited that would change what it does.
    pub fn command(arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_payquery"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PAYQUERY_") || name == "DATABASE_URL") {
            command.env_remove(name);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// Starts `payquery serve` on a free port.
    pub fn serve(database_url: &str, flags: &[&str]) -> Self {
        let mut command = Self::command(&["serve", "--addr=127.0.0.1:0"]);
        command.args(flags).env("DATABASE_URL", database_url);
        Self::spawn(command)
    }

    /// Starts the command and keeps what it writes to standard error.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (tell, address) = mpsc::channel();
        let (lines, kept) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Some((_, rest)) = line.split_once("listening on http://") {
                    let _ = tell.send(rest.split([' ', '"']).next().unwrap().to_owned());
                }
                let mut log = kept.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log, address }
    }

    /// The address it listens on, once it does.
    pub fn address(&self) -> String {
        self.address
            .recv_timeout(Duration::from_secs(30))
            .unwrap_or_else(|_| panic!("does not listen within 30 s:\n{}", self.log()))
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end: the exit code, and how long it took.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let status = self.child.wait().unwrap();
        (status.code(), start.elapsed())
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn run(mut command: Command) -> (Option<i32>, String, String) {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut output = String::new();
        child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        let status = child.wait().unwrap();
        (status.code(), output, reader.join().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
