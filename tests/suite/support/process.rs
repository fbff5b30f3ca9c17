//! The real binary as a process of its own, for signals, logs and command lines.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A running `payquery`; killed when the test lets go of it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: Stream,
    output: Stream,
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
        Self::serve_with(database_url, flags, &[])
    }

    /// The same with more in its environment.
    pub fn serve_with(database_url: &str, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Self::command(&["serve"]);
        command
            .args(flags)
            .env("DATABASE_URL", database_url)
            .env("PAYQUERY_ADDR", "127.0.0.1:0")
            .envs(environment.iter().copied());
        Self::spawn(command)
    }

    /// Starts the command and keeps what it writes.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self {
            log: Stream::keep(child.stderr.take().unwrap()),
            output: Stream::keep(child.stdout.take().unwrap()),
            child,
        }
    }

    /// The address it listens on, once it does.
    pub fn address(&self) -> String {
        let log = self.log.wait_for("listening on http://");
        let (_, rest) = log.split_once("listening on http://").unwrap();
        rest.split([' ', '"', '\n']).next().unwrap().to_owned()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// What it wrote to standard output, once that contains `text`.
    pub fn wait_for_output(&self, text: &str) -> String {
        self.output.wait_for(text)
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end: the exit code, and how long it took.
    pub fn wait(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        let status = self.child.wait().unwrap();
        let took = start.elapsed();
        self.log.wait_for_end();
        self.output.wait_for_end();
        (status.code(), took)
    }

    /// Waits for its end: exit code, standard output, standard error.
    pub fn finish(mut self) -> (Option<i32>, String, String) {
        let (code, _) = self.wait();
        (code, self.output.text(), self.log.text())
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub fn run(command: Command) -> (Option<i32>, String, String) {
        Self::spawn(command).finish()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process writes, kept line by line as it comes.
#[derive(Debug)]
struct Stream {
    kept: Arc<Kept>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Kept {
    text: Mutex<String>,
    grown: Condvar,
}

impl Stream {
    fn keep(source: impl Read + Send + 'static) -> Self {
        let kept = Arc::new(Kept::default());
        let reader = std::thread::spawn({
            let kept = Arc::clone(&kept);
            move || {
                for line in BufReader::new(source).lines().map_while(Result::ok) {
                    kept.text.lock().unwrap().extend([&*line, "\n"]);
                    kept.grown.notify_all();
                }
            }
        });
        Self {
            kept,
            reader: Some(reader),
        }
    }

    fn text(&self) -> String {
        self.kept.text.lock().unwrap().clone()
    }

    fn wait_for(&self, part: &str) -> String {
        let text = self.kept.text.lock().unwrap();
        let patience = Duration::from_mins(1);
        let missing = |text: &mut String| !text.contains(part);
        let (text, outcome) = self.kept.grown.wait_timeout_while(text, patience, missing).unwrap();
        assert!(!outcome.timed_out(), "not within 60 s: {part:?} in:\n{text}");
        text.clone()
    }

    fn wait_for_end(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
    }
}
