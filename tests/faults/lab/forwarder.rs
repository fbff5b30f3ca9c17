//! A line to Postgres that can be made to swallow everything: connections stay open, connecting works, nothing comes through.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use super::url_through;

/// See the module's head. What went through it while it swallowed is dead for ever, as behind a firewall that forgot.
#[derive(Debug)]
pub struct Forwarder {
    directory: PathBuf,
    swallows: Arc<AtomicBool>,
    /// Connections that were ever opened.
    pub opened: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub fn start(directory: PathBuf, server: PathBuf) -> Self {
        std::fs::create_dir_all(&directory).expect("a directory for the socket");
        let listener = UnixListener::bind(directory.join(".s.PGSQL.5432")).expect("a socket");
        let (swallows, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let task = tokio::spawn(accept(listener, server, Arc::clone(&swallows), Arc::clone(&opened)));
        Self {
            directory,
            swallows,
            opened,
            task,
        }
    }

    pub fn url(&self, database: &str) -> String {
        url_through(&self.directory, database)
    }

    pub fn swallow(&self, swallows: bool) {
        self.swallows.store(swallows, Ordering::SeqCst);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn accept(listener: UnixListener, server: PathBuf, swallows: Arc<AtomicBool>, opened: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        opened.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(forward(client, server.clone(), Arc::clone(&swallows)));
    }
}

async fn forward(client: UnixStream, server: impl AsRef<Path>, swallows: Arc<AtomicBool>) {
    let Ok(server) = UnixStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut asked, mut answered) = ([0; 4096], [0; 4096]);
    let mut dead = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                dead |= swallows.load(Ordering::SeqCst);
                let Ok(length @ 1..) = read else { return };
                if !dead && to_server.write_all(&asked[..length]).await.is_err() { return }
            }
            read = from_server.read(&mut answered) => {
                dead |= swallows.load(Ordering::SeqCst);
                // A dead line does not tell of the other side's end either.
                let length = read.unwrap_or(0);
                if length == 0 && dead { std::future::pending::<()>().await }
                if length == 0 || !dead && to_client.write_all(&answered[..length]).await.is_err() { return }
            }
        }
    }
}
