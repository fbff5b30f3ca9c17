//! WebSockets as a client has them: JSON messages of `/v1/ws`, and frames as bytes for what no client library would send.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, Request};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::{App, Order};

/// An open socket.
#[derive(Debug)]
pub struct Socket {
    pub protocol: Option<String>,
    stream: WebSocketStream<TcpStream>,
}

/// What a handshake was answered with when it opened no socket.
#[derive(Debug)]
pub struct NoSocket {
    pub status: u16,
    pub headers: HeaderMap,
    pub problem: Value,
}

/// The longest that a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

impl App {
    /// Opens a socket at that path with those header fields, or says what came instead.
    pub async fn try_socket(&self, path: &str, fields: &[(&str, &str)]) -> Result<Socket, NoSocket> {
        let mut request: Request<()> = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        for (name, value) in fields {
            let name: HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        let connection = TcpStream::connect(self.address).await.unwrap();
        match client_async(request, connection).await {
            Ok((stream, answer)) => {
                let protocol = answer.headers().get("sec-websocket-protocol");
                Ok(Socket {
                    protocol: protocol.map(|name| name.to_str().unwrap().to_owned()),
                    stream,
                })
            }
            Err(Error::Http(answer)) => Err(NoSocket {
                status: answer.status().as_u16(),
                headers: answer.headers().clone(),
                problem: serde_json::from_slice(answer.body().as_deref().unwrap_or_default()).unwrap_or_default(),
            }),
            Err(other) => panic!("{other}"),
        }
    }

    pub async fn socket(&self, path: &str) -> Socket {
        self.try_socket(path, &[]).await.unwrap()
    }

    /// A socket that follows that order, up to its `auth_ack`.
    pub async fn follow(&self, order: &Order) -> Socket {
        let mut socket = self.socket("/v1/ws").await;
        socket.send(&auth(order)).await;
        let ack = socket.next().await;
        assert_eq!(
            (&ack["msgType"], &ack["code"]),
            (&json!("auth_ack"), &json!("200")),
            "{ack}"
        );
        socket
    }

    /// A socket that follows all orders of the merchant with that key.
    pub async fn follow_merchant(&self, api_key: &str) -> Socket {
        let mut socket = self.socket("/v1/ws").await;
        socket.send(&json!({ "type": "auth", "api_key": api_key })).await;
        assert_eq!(socket.next().await["msgType"], "auth_ack");
        socket
    }
}

/// The first message of a payer's screen.
pub fn auth(order: &Order) -> Value {
    json!({ "type": "auth", "order_id": order.id, "client_secret": order.secret })
}

/// One more order on the same socket.
pub fn subscribe(order: &Order) -> Value {
    json!({ "type": "subscribe", "order_id": order.id, "client_secret": order.secret })
}

impl Socket {
    pub async fn send(&mut self, message: &Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    pub async fn send_frame(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Bytes past the protocol.
    pub fn connection(&mut self) -> &mut TcpStream {
        self.stream.get_mut()
    }

    /// The next frame, whatever it is; None when the connection broke.
    pub async fn frame(&mut self) -> Option<Message> {
        let frame = tokio::time::timeout(PATIENCE, self.stream.next()).await;
        frame.expect("something comes within 30 s").and_then(Result::ok)
    }

    /// The next frame that is no ping or pong.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            match self.frame().await {
                Some(Message::Ping(_) | Message::Pong(_)) => {}
                other => return other,
            }
        }
    }

    /// The next message, which must be JSON.
    #[track_caller]
    pub fn next(&mut self) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            match self.message().await {
                Some(Message::Text(text)) => serde_json::from_str(&text).unwrap(),
                other => panic!("at {caller}: no message: {other:?}"),
            }
        }
    }

    /// The next message, which must be an order's document.
    #[track_caller]
    pub fn document(&mut self) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let next = self.next();
        async move {
            let message = next.await;
            assert_eq!(message["msgType"], "order_status", "at {caller}: {message}");
            message["data"].clone()
        }
    }

    /// The next message, which must be a refusal with that status and code.
    #[track_caller]
    pub fn refusal(&mut self, status: u16, code: &str) -> impl Future<Output = Value> {
        let (caller, code) = (std::panic::Location::caller(), code.to_owned());
        let next = self.next();
        async move {
            let message = next.await;
            let problem = &message["data"];
            let told = (
                &message["msgType"],
                &message["success"],
                &problem["status"],
                &problem["code"],
            );
            let expected = (&json!("error"), &json!(false), &json!(status), &json!(code));
            assert_eq!(told, expected, "at {caller}: {message}");
            assert_eq!(message["code"], status.to_string(), "at {caller}");
            assert!(
                problem["request_id"].is_string() && problem["detail"].is_string(),
                "{message}"
            );
            message
        }
    }

    /// The code that the server closes the socket with, past whatever it says before; None when it just breaks off.
    pub async fn close_code(&mut self) -> Option<u16> {
        loop {
            if let Message::Close(frame) = self.message().await? {
                return Some(frame.map_or(1005, |frame| frame.code.into()));
            }
        }
    }

    /// Shows that the socket still works.
    pub async fn assert_alive(&mut self) {
        self.send(&json!({ "type": "heartBeat", "msg": "ping" })).await;
        assert_eq!(self.next().await, json!({ "msgType": "heartBeat_ack" }));
    }
}

/// A frame as a client sends it, masked with zeros.
pub fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame_head(head, payload.len() as u64);
    bytes.extend_from_slice(payload);
    bytes
}

/// The head of a frame that announces that many bytes.
pub fn frame_head(head: u8, length: u64) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut bytes = vec![head];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => bytes.push(MASKED | length),
        (_, Ok(length)) => {
            bytes.push(MASKED | 0x7e);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 0x7f);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

impl App {
    /// The status of a handshake's answer and the subprotocol that was selected, as they came over the connection.
    pub async fn handshake(&self, path: &str, fields: &[(&str, &str)]) -> (u16, Option<String>) {
        let fields: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let fields = fields.concat();
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
        );
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(connection.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut lines = head.lines();
        let protocol = lines.find_map(|line| line.strip_prefix("sec-websocket-protocol: "));
        (status, protocol.map(str::to_owned))
    }
}
