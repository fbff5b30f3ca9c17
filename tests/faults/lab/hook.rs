//! A merchant's webhook receiver: takes everything after a moment, and notes what came.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long an answer takes: so that there is always something under way.
const PAUSE: Duration = Duration::from_millis(10);

/// See the module's head. Gone with this value.
#[derive(Debug)]
pub struct Hook {
    pub url: String,
    notes: Arc<Mutex<Notes>>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Notes {
    arrivals: Vec<Arrival>,
    /// Orders of which something is being answered.
    busy: HashSet<Uuid>,
    /// Orders of which there were two at once.
    crowded: HashSet<Uuid>,
}

/// An event that came.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    pub order: Uuid,
    pub version: i64,
}

impl Hook {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let notes = Arc::<Mutex<Notes>>::default();
        let shared = Arc::clone(&notes);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { url, notes, task }
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.notes.lock().unwrap().arrivals.clone()
    }

    /// How many different events came.
    pub fn distinct(&self) -> usize {
        let arrivals = self.arrivals();
        let distinct: HashSet<_> = arrivals.iter().map(|it| (it.order, it.version)).collect();
        distinct.len()
    }

    /// Orders of which two events were under way at once.
    pub fn crowded(&self) -> usize {
        self.notes.lock().unwrap().crowded.len()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, notes: Arc<Mutex<Notes>>) {
    let mut ahead = Vec::new();
    while let Some(event) = read_event(&mut stream, &mut ahead).await {
        let order = event["order_id"].as_str().and_then(|id| id.parse().ok());
        let (Some(order), Some(version)) = (order, event["version"].as_i64()) else {
            continue;
        };
        {
            let mut notes = notes.lock().unwrap();
            if !notes.busy.insert(order) {
                notes.crowded.insert(order);
            }
            notes.arrivals.push(Arrival { order, version });
        }
        tokio::time::sleep(PAUSE).await;
        notes.lock().unwrap().busy.remove(&order);
        if stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// The next request's body; None when the other side is gone.
async fn read_event(stream: &mut TcpStream, ahead: &mut Vec<u8>) -> Option<Value> {
    loop {
        if let Some(end) = ahead.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&ahead[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            let whole = end + 4 + length.parse::<usize>().ok()?;
            if ahead.len() >= whole {
                let event = serde_json::from_slice(&ahead[end + 4..whole]).ok();
                ahead.drain(..whole);
                return event;
            }
        }
        if stream.read_buf(ahead).await.ok()? == 0 {
            return None;
        }
    }
}
