//! A STOMP client, over whatever carries its texts; its frames are written and read here, not by the codec that is tested.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::{App, Order};

const PATIENCE: Duration = Duration::from_secs(30);

/// A frame that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub command: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Frame {
    /// Reads a frame in STOMP 1.2.
    pub fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or_else(|| panic!("no frame: {text:?}"));
        let body = body.strip_suffix('\0').unwrap_or_else(|| panic!("no end: {text:?}"));
        let mut lines = head.lines();
        let command = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap();
            let value = value.replace("\\c", ":").replace("\\n", "\n").replace("\\\\", "\\");
            (name.to_owned(), value)
        });
        Self {
            command,
            headers: headers.collect(),
            body: body.to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that this is an ERROR with a whole problem document of that code, and gives the document.
    #[track_caller]
    pub fn problem(&self, code: &str) -> Value {
        assert_eq!(self.command, "ERROR", "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["detail"], self.header("message"));
        assert!(
            problem["request_id"].as_str().is_some_and(|id| !id.is_empty()),
            "{problem}"
        );
        problem
    }

    /// Checks that this is a MESSAGE, and gives its document.
    #[track_caller]
    pub fn document(&self) -> Value {
        assert_eq!(self.command, "MESSAGE", "{self:?}");
        let document = self.json();
        assert_eq!(document["version"].to_string(), self.header("version"));
        document
    }
}

/// A frame as a client sends it. `lines`: the command and the headers.
pub fn frame(lines: &[&str]) -> String {
    format!("{}\n\n\0", lines.join("\n"))
}

/// A WebSocket at `/ws`.
#[derive(Debug)]
pub struct Stomp {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// The subprotocol that the server selected.
    pub protocol: Option<String>,
}

impl Stomp {
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub async fn send_frame(&mut self, lines: &[&str]) {
        self.send(&frame(lines)).await;
    }

    /// The next text, be it a frame or a heart-beat.
    pub async fn text(&mut self) -> String {
        let message = timeout(PATIENCE, self.socket.next()).await.expect("something comes");
        match message.expect("the socket is open").unwrap() {
            Message::Text(text) => text.to_string(),
            Message::Ping(_) => Box::pin(self.text()).await,
            other => panic!("no text: {other:?}"),
        }
    }

    /// The next frame, past heart-beats.
    pub async fn frame(&mut self) -> Frame {
        loop {
            let text = self.text().await;
            if text != "\n" {
                return Frame::read(&text);
            }
        }
    }

    /// The code that the server closes with, past whatever else it sends.
    pub async fn close_code(&mut self) -> u16 {
        loop {
            let message = timeout(PATIENCE, self.socket.next()).await.expect("the server closes");
            if let Message::Close(reason) = message.expect("it says so first").unwrap() {
                return reason.expect("it says why").code.into();
            }
        }
    }

    /// Connects with these headers besides the versions; what is answered.
    pub async fn connect(&mut self, headers: &[&str]) -> Frame {
        let mut lines = vec!["CONNECT", "accept-version:1.0,1.1,1.2", "host:x"];
        lines.extend(headers);
        self.send_frame(&lines).await;
        self.frame().await
    }

    pub async fn subscribe(&mut self, id: &str, order: &Order, headers: &[&str]) {
        let (id, destination) = (format!("id:{id}"), format!("destination:/topic/orders.{}", order.id));
        let mut lines = vec!["SUBSCRIBE", &id, &destination];
        lines.extend(headers);
        self.send_frame(&lines).await;
    }
}

impl App {
    /// A socket at `/ws`, nothing sent yet.
    pub async fn stomp(&self) -> Stomp {
        self.stomp_offering("").await
    }

    /// The same, offering these subprotocols.
    pub async fn stomp_offering(&self, protocols: &str) -> Stomp {
        let mut request = format!("ws://{}/ws", self.address).into_client_request().unwrap();
        if !protocols.is_empty() {
            let offer = protocols.parse().unwrap();
            request.headers_mut().insert("sec-websocket-protocol", offer);
        }
        let (socket, answer) = connect_async(request).await.unwrap();
        let protocol = answer.headers().get("sec-websocket-protocol");
        Stomp {
            socket,
            protocol: protocol.map(|name| name.to_str().unwrap().to_owned()),
        }
    }

    /// A connection that was let in with that order's client secret.
    pub async fn stomp_of(&self, order: &Order) -> Stomp {
        let mut stomp = self.stomp().await;
        let secret = format!("client-secret:{}", order.secret);
        let connected = stomp.connect(&[&secret]).await;
        assert_eq!(connected.command, "CONNECTED", "{connected:?}");
        stomp
    }

    /// The same, subscribed as "1" and told of the order as it stands.
    pub async fn stomp_following(&self, order: &Order) -> Stomp {
        let mut stomp = self.stomp_of(order).await;
        stomp.subscribe("1", order, &[]).await;
        stomp.frame().await.document();
        stomp
    }
}

impl Stomp {
    /// Sends a piece of a conversation, as text or as bytes.
    pub async fn send_piece(&mut self, piece: &str, as_text: bool) {
        let message = if as_text {
            Message::text(piece)
        } else {
            Message::binary(piece.as_bytes().to_vec())
        };
        self.socket.send(message).await.unwrap();
    }
}
