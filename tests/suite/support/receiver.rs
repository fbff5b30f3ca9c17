//! A merchant's webhook receiver: a real little HTTP server on a port of its own, which answers as a test says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// See the module's head. Gone when the test lets go of it.
#[derive(Debug)]
pub struct Receiver {
    /// Where it is, with a path.
    pub url: String,
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    pub head: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
    /// When it had come whole.
    pub at: Instant,
    /// Which request it is, from 0.
    pub number: usize,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The order's id; empty when the event is of none.
    pub fn order(&self) -> String {
        self.json()["order_id"].as_str().unwrap_or_default().to_owned()
    }

    pub fn kind(&self) -> String {
        self.json()["type"].as_str().unwrap().to_owned()
    }
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// With this status, these header lines and this body.
    Answer(u16, &'static str, String),
    /// The same after a while.
    Late(Duration, Box<Self>),
    /// When the test lets it: [`Receiver::let_go`].
    Held(Box<Self>),
    /// Not at all; the connection stays open.
    Never,
    /// The connection is closed without a word.
    HangUp,
    /// These bytes, and the connection is closed.
    Raw(Vec<u8>),
    /// This, and then a byte at a time for as long as somebody listens.
    Dripping(&'static str),
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self::Answer(status, "", String::new())
    }

    pub fn ok() -> Self {
        Self::status(200)
    }
}

/// How long what is to come is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// What a TLS connection begins with.
const TLS_HANDSHAKE: u8 = 0x16;

type Script = Box<dyn Fn(&Received) -> Reply + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    received: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
    held: Semaphore,
    /// Requests being answered just now, by order, and the most there ever were of one order, and in all.
    busy: Mutex<Busy>,
    connections: watch::Sender<usize>,
    closed: watch::Sender<usize>,
    /// Bumped: the connections there are are closed.
    dropping: watch::Sender<usize>,
    /// False: connections are taken, and nothing is read from them.
    is_reading: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Busy {
    now: HashMap<String, usize>,
    most_of_one_order: usize,
    most: usize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("count", &*self.count.borrow())
            .finish_non_exhaustive()
    }
}

impl Receiver {
    pub async fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_with(script, None).await
    }

    /// One that takes everything.
    pub async fn start_willing() -> Self {
        Self::start(|_| Reply::ok()).await
    }

    /// The same over TLS.
    pub async fn start_encrypted(acceptor: TlsAcceptor) -> Self {
        Self::start_with(|_| Reply::ok(), Some(acceptor)).await
    }

    async fn start_with(script: impl Fn(&Received) -> Reply + Send + Sync + 'static, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::new(Box::new(script)),
            received: Mutex::default(),
            count: watch::Sender::new(0),
            held: Semaphore::new(0),
            busy: Mutex::default(),
            connections: watch::Sender::new(0),
            closed: watch::Sender::new(0),
            dropping: watch::Sender::new(0),
            is_reading: watch::Sender::new(true),
        });
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    let (shared, tls) = (Arc::clone(&shared), tls.clone());
                    shared.connections.send_modify(|count| *count += 1);
                    let mut dropping = shared.dropping.subscribe();
                    let counted = Arc::clone(&shared);
                    tokio::spawn(async move {
                        let serving = async {
                            match tls {
                                None => serve(stream, shared).await,
                                Some(tls) => {
                                    if let Ok(stream) = tls.accept(stream).await {
                                        serve(stream, shared).await;
                                    }
                                }
                            }
                        };
                        tokio::select! {
                            () = serving => {}
                            _ = dropping.changed() => {}
                        }
                        counted.closed.send_modify(|count| *count += 1);
                    });
                }
            }
        });
        Self {
            url: format!("{scheme}://{address}/hook"),
            address,
            shared,
            task,
        }
    }

    /// From here on it answers so.
    pub fn answer_with(&self, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Box::new(script);
    }

    /// Lets that many held requests be answered.
    pub fn let_go(&self, count: usize) {
        self.shared.held.add_permits(count);
    }

    /// Stops or begins to read what comes.
    pub fn set_reading(&self, is_reading: bool) {
        self.shared.is_reading.send_replace(is_reading);
    }

    /// Closes the connections that there are, whatever came on them.
    pub async fn drop_connections(&self) {
        let (connections, mut closed) = (*self.shared.connections.borrow(), self.shared.closed.subscribe());
        self.shared.dropping.send_modify(|count| *count += 1);
        closed.wait_for(|closed| *closed >= connections).await.unwrap();
    }

    /// Waits for the first request of that order.
    pub async fn wait_for_order(&self, order: &str) -> Received {
        let find = || self.received().into_iter().find(|request| request.order() == order);
        let mut counted = self.shared.count.subscribe();
        let wait = counted.wait_for(|_| find().is_some());
        let waited = tokio::time::timeout(PATIENCE, wait).await.is_ok();
        assert!(waited, "nothing of {order} within a minute");
        find().unwrap()
    }

    /// Waits until that many connections were made.
    pub async fn wait_for_connections(&self, count: usize) {
        let mut connections = self.shared.connections.subscribe();
        let wait = connections.wait_for(|now| *now >= count);
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "not {count} connections within a minute");
    }

    /// Everything so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until that many have come, and gives all of them back.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut counted = self.shared.count.subscribe();
        let wait = counted.wait_for(|now| *now >= count);
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        let received = self.received();
        assert!(waited.is_ok(), "not {count} within a minute: {received:#?}");
        received
    }

    /// The most requests of one order that were being answered at the same time, and the most in all.
    pub fn most_at_once(&self) -> (usize, usize) {
        let busy = self.shared.busy.lock().unwrap();
        (busy.most_of_one_order, busy.most)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, shared: Arc<Shared>) {
    let mut ahead = Vec::new();
    loop {
        let _ = shared.is_reading.subscribe().wait_for(|is_reading| *is_reading).await;
        let Some((head, body)) = read_request(&mut stream, &mut ahead).await else {
            // To a TLS greeting servers without TLS say this.
            if ahead.first() == Some(&TLS_HANDSHAKE) {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            }
            return;
        };
        let (received, reply) = shared.take_in(head, body);
        let order = received.order();
        let reply = shared.settle(reply).await;
        if matches!(reply, Reply::Never) {
            // (Until the other side gives up.)
            let _ = stream.read(&mut [0; 1]).await;
            shared.leave(&order);
            return;
        }
        shared.leave(&order);
        let bytes = match reply {
            Reply::Answer(status, lines, body) => {
                let length = body.len();
                format!("HTTP/1.1 {status} So\r\nContent-Length: {length}\r\n{lines}\r\n{body}").into_bytes()
            }
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reply::Dripping(beginning) => {
                let _ = stream.write_all(beginning.as_bytes()).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                return;
            }
            Reply::HangUp | Reply::Never | Reply::Late(..) | Reply::Held(_) => return,
        };
        if stream.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

impl Shared {
    fn take_in(&self, head: String, body: String) -> (Received, Reply) {
        let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        let headers = lines
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut received = self.received.lock().unwrap();
        let request = Received {
            head,
            headers,
            body,
            at: Instant::now(),
            number: received.len(),
        };
        let mut busy = self.busy.lock().unwrap();
        let of_order = busy.now.entry(request.order()).or_default();
        *of_order += 1;
        let of_order = if request.order().is_empty() { 0 } else { *of_order };
        busy.most_of_one_order = busy.most_of_one_order.max(of_order);
        busy.most = busy.most.max(busy.now.values().sum());
        received.push(request.clone());
        drop((busy, received));
        let reply = (self.script.lock().unwrap())(&request);
        self.count.send_modify(|count| *count += 1);
        (request, reply)
    }

    async fn settle(&self, mut reply: Reply) -> Reply {
        loop {
            reply = match reply {
                Reply::Late(time, then) => {
                    tokio::time::sleep(time).await;
                    *then
                }
                Reply::Held(then) => {
                    self.held.acquire().await.unwrap().forget();
                    *then
                }
                other => return other,
            };
        }
    }

    fn leave(&self, order: &str) {
        *self.busy.lock().unwrap().now.get_mut(order).unwrap() -= 1;
    }
}

/// A head and a body; None when the other side is gone.
async fn read_request(stream: &mut (impl AsyncRead + Unpin), ahead: &mut Vec<u8>) -> Option<(String, String)> {
    let mut chunk = [0; 4096];
    loop {
        if ahead.first() == Some(&TLS_HANDSHAKE) {
            return None;
        }
        if let Some(end) = ahead.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(ahead[..end].to_vec()).unwrap();
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_lowercase()
                        .strip_prefix("content-length: ")
                        .map(|text| text.parse().unwrap())
                })
                .unwrap_or(0);
            if ahead.len() >= end + 4 + length {
                let body = String::from_utf8(ahead[end + 4..end + 4 + length].to_vec()).unwrap();
                ahead.drain(..end + 4 + length);
                return Some((head, body));
            }
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => ahead.extend_from_slice(&chunk[..count]),
        }
    }
}
