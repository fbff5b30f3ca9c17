//! One request, byte by byte, and its answer: for what no HTTP client would send.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, App};

impl App {
    /// Sends these bytes on a connection of their own and reads one answer; None when the server hangs up without any.
    pub async fn exchange(&self, bytes: impl Into<Vec<u8>>) -> Option<Answer> {
        let (mut reader, mut writer) = TcpStream::connect(self.address).await.unwrap().into_split();
        let bytes = bytes.into();
        let is_head = bytes.starts_with(b"HEAD ");
        // Beside the reading: a server that has heard enough answers before everything is sent, and may hang up then.
        let sending = tokio::spawn(async move {
            let _ = writer.write_all(&bytes).await;
            writer
        });
        let mut received = Vec::new();
        let reading = async {
            let mut chunk = [0; 4096];
            while answer_in(&received, is_head).is_none() {
                match reader.read(&mut chunk).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => received.extend_from_slice(&chunk[..count]),
                }
            }
        };
        let read = tokio::time::timeout(std::time::Duration::from_secs(30), reading).await;
        read.expect("an answer comes, or the server hangs up");
        sending.abort();
        answer_in(&received, is_head)
    }

    /// The head of a request with the merchant's key, up to the empty line, for [`App::exchange`].
    pub fn head(&self, method: &str, path: &str, more_headers: &str) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\n{more_headers}\r\n",
            self.api_key
        )
    }
}

/// The answer, once it is there whole. What answers HEAD announces a body that does not come.
fn answer_in(received: &[u8], is_head: bool) -> Option<Answer> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).expect("an answer's head is ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status code");
    let headers: HeaderMap = lines
        .map(|line| {
            let (name, value) = line.split_once(':').expect("a header line");
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            (name, HeaderValue::from_str(value.trim()).unwrap())
        })
        .collect();
    let length = headers
        .get("content-length")
        .map_or("0", |value| value.to_str().unwrap());
    let body = &received[end + 4..];
    (is_head || body.len() >= length.parse::<usize>().unwrap()).then(|| Answer {
        status,
        headers,
        text: String::from_utf8(body.to_vec()).unwrap(),
    })
}
