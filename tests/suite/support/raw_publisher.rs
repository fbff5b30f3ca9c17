//! A publisher that writes AMQP 0-9-1 byte by byte: what no library would send.

use std::time::Duration;

use lapin::uri::AMQPUri;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
const BODY: u8 = 3;
const END: u8 = 0xCE;

/// A connection with one channel that confirms.
#[derive(Debug)]
pub struct RawPublisher {
    stream: TcpStream,
}

/// A short text, whatever bytes it has.
pub fn short_text(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
}

/// A long text, a table or an array: its length and then it.
pub fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

impl RawPublisher {
    /// As the broker's guest.
    pub async fn connect(url: &str) -> Self {
        let uri: AMQPUri = url.parse().unwrap();
        let (host, port) = (uri.authority.host.as_str(), uri.authority.port);
        let stream = TcpStream::connect((host, port)).await.unwrap();
        let mut this = Self { stream };
        this.stream.write_all(b"AMQP\x00\x00\x09\x01").await.unwrap();
        this.expect(10, 10).await;
        let start_ok = [
            &long(b"")[..],
            &short_text(b"PLAIN"),
            &long(b"\0guest\0guest"),
            &short_text(b"en_US"),
        ];
        this.method(0, (10, 11), &start_ok.concat()).await;
        let tune = this.expect(10, 30).await;
        // The broker's own limits, and no heartbeat.
        this.method(0, (10, 31), &[&tune[..6], &[0, 0]].concat()).await;
        let open = [&short_text(uri.vhost.as_bytes())[..], &[0, 0]].concat();
        this.method(0, (10, 40), &open).await;
        this.expect(10, 41).await;
        this.method(1, (20, 10), &[0]).await;
        this.expect(20, 11).await;
        this.method(1, (85, 10), &[0]).await;
        this.expect(85, 11).await;
        this
    }

    /// Publishes to a queue with these properties (flags, and then values); the broker has it when this ends.
    pub async fn publish(&mut self, queue: &str, properties: &[u8], body: &[u8]) {
        let publish = [&[0, 0][..], &short_text(b""), &short_text(queue.as_bytes()), &[0]].concat();
        self.method(1, (60, 40), &publish).await;
        let size = u64::try_from(body.len()).unwrap().to_be_bytes();
        let header = [&[0, 60, 0, 0][..], &size, properties].concat();
        self.frame(CONTENT_HEADER, 1, &header).await;
        if !body.is_empty() {
            self.frame(BODY, 1, body).await;
        }
        self.expect(60, 80).await;
    }

    async fn method(&mut self, channel: u16, (class, method): (u16, u16), arguments: &[u8]) {
        let payload = [&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat();
        self.frame(METHOD, channel, &payload).await;
    }

    async fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        let bytes = [&[kind][..], &channel.to_be_bytes(), &long(payload), &[END]].concat();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// The arguments of the next method, which must be that one.
    async fn expect(&mut self, class: u16, method: u16) -> Vec<u8> {
        let reading = async {
            loop {
                let mut head = [0; 7];
                self.stream.read_exact(&mut head).await.unwrap();
                let size = u32::from_be_bytes(head[3..].try_into().unwrap());
                let mut payload = vec![0; size as usize + 1];
                self.stream.read_exact(&mut payload).await.unwrap();
                payload.pop();
                if head[0] == METHOD {
                    return payload;
                }
            }
        };
        let payload = timeout(Duration::from_secs(30), reading)
            .await
            .expect("the broker answers");
        let expected = [class.to_be_bytes(), method.to_be_bytes()].concat();
        assert_eq!(payload[..4], expected, "{}", String::from_utf8_lossy(&payload));
        payload[4..].to_vec()
    }
}
