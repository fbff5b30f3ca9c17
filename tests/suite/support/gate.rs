//! A gate before Postgres: a socket of its own whose bytes go to the real one, until a test shuts it.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// See the module's head. Threads, not tasks: it goes on while a test's runtime is busy with something else.
#[derive(Debug)]
pub struct Gate {
    /// Like the database's own URL, through the gate.
    pub url: String,
    directory: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    listening: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct State {
    behind: PathBuf,
    shut: bool,
    answers_are_lost: bool,
    connections: Vec<UnixStream>,
}

impl Gate {
    /// An open gate before the database of that URL.
    pub fn before(database_url: &str) -> Self {
        let mut url = reqwest::Url::parse(database_url).unwrap();
        let parameters: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        let directory = tempfile::tempdir().unwrap();
        let mut behind = PathBuf::new();
        url.query_pairs_mut().clear();
        for (name, value) in parameters {
            let value = if name == "host" {
                behind = PathBuf::from(value);
                directory.path().to_str().unwrap().to_owned()
            } else {
                value
            };
            url.query_pairs_mut().append_pair(&name, &value);
        }
        let state = State {
            behind: behind.join(SOCKET),
            shut: true,
            answers_are_lost: false,
            connections: Vec::new(),
        };
        let mut gate = Self {
            url: url.into(),
            directory,
            state: Arc::new(Mutex::new(state)),
            listening: None,
        };
        gate.open();
        gate
    }

    /// Postgres goes away: every connection breaks, and new ones are refused.
    pub fn shut(&mut self) {
        let broken = {
            let mut state = self.state.lock().unwrap();
            state.shut = true;
            std::mem::take(&mut state.connections)
        };
        for connection in broken {
            let _ = connection.shutdown(Shutdown::Both);
        }
        if let Some(listening) = self.listening.take() {
            // Wakes the listener, which then sees that it is to go.
            let _ = UnixStream::connect(self.socket());
            listening.join().unwrap();
        }
    }

    /// Postgres is back.
    pub fn open(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let listener = UnixListener::bind(self.socket()).unwrap();
        {
            let mut state = self.state.lock().unwrap();
            (state.shut, state.answers_are_lost) = (false, false);
        }
        let state = Arc::clone(&self.state);
        self.listening = Some(std::thread::spawn(move || {
            while let Ok((connection, _)) = listener.accept() {
                if !forward(connection, &state) {
                    return;
                }
            }
        }));
    }

    /// From here on Postgres hears and does everything, and what it answers is lost: what a connection that breaks at the
    /// worst moment looks like.
    pub fn lose_answers(&self) {
        self.state.lock().unwrap().answers_are_lost = true;
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join(SOCKET)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

const SOCKET: &str = ".s.PGSQL.5432";

/// Copies both ways in threads of their own; false when the gate is shut.
fn forward(near: UnixStream, state: &Arc<Mutex<State>>) -> bool {
    let mut guard = state.lock().unwrap();
    if guard.shut {
        return false;
    }
    let far = UnixStream::connect(&guard.behind).unwrap();
    guard.connections.push(near.try_clone().unwrap());
    guard.connections.push(far.try_clone().unwrap());
    let (near_too, far_too) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    std::thread::spawn(move || copy(near, far, || false));
    let state = Arc::clone(state);
    std::thread::spawn(move || copy(far_too, near_too, || state.lock().unwrap().answers_are_lost));
    true
}

fn copy(mut from: UnixStream, mut to: UnixStream, is_lost: impl Fn() -> bool) {
    let mut chunk = [0; 8192];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        if !is_lost() && to.write_all(&chunk[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}
