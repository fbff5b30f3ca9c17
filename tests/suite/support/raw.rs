//! A connection on which a test says what it likes, byte by byte.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// See the module's head.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    pub async fn open(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// The same, where the server may close the connection in the middle of it.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Sends until the server has taken nothing for a second; says how many bytes went.
    pub async fn send_until_stuck(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while let Ok(Ok(taken)) = tokio::time::timeout(Duration::from_secs(1), self.0.write(&bytes[sent..])).await {
            sent += taken;
            if sent == bytes.len() {
                break;
            }
        }
        sent
    }

    /// Sends a byte now and then until the server closes the connection; what it answered.
    pub async fn drip(self, pause: Duration) -> String {
        let (read, mut write) = self.0.into_split();
        let dripping = tokio::spawn(async move {
            while write.write_all(b"a").await.is_ok() {
                tokio::time::sleep(pause).await;
            }
        });
        let mut bytes = Vec::new();
        let mut read = read;
        let end = tokio::time::timeout(Duration::from_secs(30), read.read_to_end(&mut bytes)).await;
        dripping.abort();
        let _ = end.expect("the server closes the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Everything until the server closes the connection.
    pub async fn read_to_end(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), self.0.read_to_end(&mut bytes)).await;
        let _ = read.expect("the server closes the connection");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Closes politely: FIN.
    pub async fn close(mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Closes rudely: RST.
    pub fn reset(self) {
        self.0.set_zero_linger().unwrap();
    }
}
