//! The client of the load: HTTP/1.1 over a raw connection, so that it costs little beside what it measures.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use tokio::net::{TcpSocket, TcpStream};

/// One connection. Requests go one after the other.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, and when the last of it arrived.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub at: Instant,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The order's version, from the ETag of payquery.
    pub fn version(&self) -> Option<i64> {
        self.header("etag")?.trim_matches('"').parse().ok()
    }

    pub fn expect(self, status: u16) -> anyhow::Result<Self> {
        ensure!(
            self.status == status,
            "{status} was expected: {} {}",
            self.head,
            String::from_utf8_lossy(&self.body)
        );
        Ok(self)
    }
}

/// A request without a body.
pub fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers, None)
}

pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if let Some(body) = body {
        let length = body.len();
        let _ = write!(
            text,
            "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
    } else {
        text += "\r\n";
    }
    text.into_bytes()
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        Self::open_from(Ipv4Addr::LOCALHOST, address).await
    }

    /// From one of the addresses of the loopback: each has ports of its own.
    pub async fn open_from(source: Ipv4Addr, address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((source, 0).into())?;
        let stream = socket
            .connect(address)
            .await
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        // Closed at once: no thousands of sockets that linger and keep their ports.
        stream.set_zero_linger()?;
        Ok(Self {
            stream,
            received: Vec::new(),
        })
    }

    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let mut rest = request;
        while !rest.is_empty() {
            match self.stream.try_write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.stream.writable().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next answer, whole.
    pub async fn receive(&mut self) -> anyhow::Result<Answer> {
        loop {
            if let Some(answer) = self.take_answer()? {
                return Ok(answer);
            }
            self.stream.readable().await?;
            let mut chunk = [0; 4096];
            match self.stream.try_read(&mut chunk) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<Answer> {
        self.send(request).await?;
        self.receive().await
    }

    fn take_answer(&mut self) -> anyhow::Result<Option<Answer>> {
        let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(None);
        };
        let at = Instant::now();
        let head = std::str::from_utf8(&self.received[..end]).context("a head that is no text")?;
        let status = head.get(9..12).and_then(|word| word.parse().ok());
        let status: u16 = status.with_context(|| format!("no answer of HTTP/1.1: {head}"))?;
        let length = if status == 304 || status == 204 {
            0
        } else {
            length_of(head)?
        };
        let whole = end + 4 + length;
        if self.received.len() < whole {
            return Ok(None);
        }
        let answer = Answer {
            status,
            at,
            head: head.to_owned(),
            body: self.received[end + 4..whole].to_vec(),
        };
        self.received.drain(..whole);
        Ok(Some(answer))
    }
}

fn length_of(head: &str) -> anyhow::Result<usize> {
    let mut lines = head.lines().filter_map(|line| line.split_once(':'));
    let length = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let (_, length) = length.with_context(|| format!("an answer without a length: {head}"))?;
    length.trim().parse().context("a length that is no number")
}
