//! STOMP frames: bytes to frames and back, by the rules of each version.
//!
//! What stays true: frames may arrive cut anywhere, and mean the same; every byte is looked at once, however small the pieces;
//! a frame has at most [`MAX_BYTES`] and [`MAX_HEADERS`]; junk is an error and never a panic.

mod escape;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says by it that something is there")]
mod tests;

use std::borrow::Cow;

use bytes::{Buf as _, Bytes, BytesMut};

use super::Version;

/// The largest frame, its head included, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// The most header lines. Clients send about ten.
pub const MAX_HEADERS: usize = 64;

/// One frame. Of a header that is repeated the first line counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub command: Cow<'static, str>,
    pub headers: Vec<(Cow<'static, str>, String)>,
    pub body: Bytes,
}

/// Why bytes are no frame; the texts go on after "the frame". Nothing can be read after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("may have {MAX_BYTES} bytes at most")]
    TooLarge,
    #[error("may have {MAX_HEADERS} headers at most")]
    TooManyHeaders,
    #[error("must have its command and its headers in UTF-8")]
    NotUtf8,
    #[error("must have a name and a colon in each header line")]
    NoHeader,
    #[error("has an escape sequence in a header that this version of STOMP does not know")]
    BadEscape,
    #[error("must have as many bytes in its body as content-length says")]
    BadLength,
    #[error("must have an empty line after its headers")]
    NoEmptyLine,
}

impl Frame {
    pub fn new(command: &'static str) -> Self {
        Self {
            command: command.into(),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// The frame as it is sent. What a version cannot express in a header (a line break, before 1.1) becomes a space.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.command.len() + self.headers.len() * 48 + self.body.len() + 32);
        let rules = escape::Rules::of(&self.command, version);
        bytes.extend_from_slice(self.command.as_bytes());
        bytes.push(b'\n');
        for (name, value) in &self.headers {
            rules.escape(name, &mut bytes);
            bytes.push(b':');
            rules.escape(value, &mut bytes);
            bytes.push(b'\n');
        }
        if !self.body.is_empty() && self.header(CONTENT_LENGTH).is_none() {
            bytes.extend_from_slice(format!("{CONTENT_LENGTH}:{}\n", self.body.len()).as_bytes());
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(&self.body);
        bytes.push(0);
        bytes
    }
}

const CONTENT_LENGTH: &str = "content-length";

/// Reads frames from bytes that arrive in any pieces.
#[derive(Debug)]
pub struct Decoder {
    /// By whose rules headers are read, once it was agreed.
    pub version: Version,
    buffer: BytesMut,
    /// The bytes at the front that were looked at in vain.
    scanned: usize,
    /// The frame whose head has been read.
    head: Option<Head>,
}

#[derive(Debug)]
struct Head {
    frame: Frame,
    length: Option<usize>,
    /// Bytes that the head took.
    size: usize,
}

impl Decoder {
    pub fn new() -> Self {
        Self {
            version: Version::V12,
            buffer: BytesMut::new(),
            scanned: 0,
            head: None,
        }
    }

    /// Adds what arrived. The caller takes all frames out before it adds more, so at most one frame and one piece are kept.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; None when more must arrive first. Line ends between frames (heart-beats) are passed over.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.head.is_none() {
            self.head = self.read_head()?;
        }
        let Some((size, length)) = self.head.as_ref().map(|head| (head.size, head.length)) else {
            return Ok(None);
        };
        let end = match length {
            Some(length) => (self.buffer.len() > length).then_some(length),
            None => self.find_null(),
        };
        let Some(end) = end else {
            let expected = length.unwrap_or(self.buffer.len());
            return within_bounds(size + expected).map(|()| None);
        };
        within_bounds(size + end)?;
        if self.buffer[end] != 0 {
            return Err(FrameError::BadLength);
        }
        let mut frame = self.head.take().expect("has just been looked at").frame;
        // Copied: a slice would keep the whole buffer.
        frame.body = Bytes::copy_from_slice(&self.buffer[..end]);
        self.consume(end + 1);
        Ok(Some(frame))
    }

    fn read_head(&mut self) -> Result<Option<Head>, FrameError> {
        while self.scanned == 0 {
            match &self.buffer[..] {
                [b'\n', ..] => self.buffer.advance(1),
                [b'\r', b'\n', ..] => self.buffer.advance(2),
                [] | [b'\r'] => return Ok(None),
                _ => break,
            }
        }
        let Some(size) = self.find_empty_line()? else {
            return within_bounds(self.buffer.len()).map(|()| None);
        };
        within_bounds(size)?;
        let head = parse_head(&self.buffer[..size], self.version)?;
        self.consume(size);
        Ok(Some(head))
    }

    /// The length of the head, with the empty line that ends it.
    fn find_empty_line(&mut self) -> Result<Option<usize>, FrameError> {
        for at in self.scanned..self.buffer.len() {
            match self.buffer[at] {
                0 => return Err(FrameError::NoEmptyLine),
                b'\n' if self.buffer[..at].ends_with(b"\n") || self.buffer[..at].ends_with(b"\n\r") => {
                    return Ok(Some(at + 1));
                }
                _ => {}
            }
        }
        self.scanned = self.buffer.len();
        Ok(None)
    }

    fn find_null(&mut self) -> Option<usize> {
        let found = self.buffer[self.scanned..].iter().position(|byte| *byte == 0);
        let found = found.map(|at| self.scanned + at);
        self.scanned = found.unwrap_or(self.buffer.len());
        found
    }

    fn consume(&mut self, count: usize) {
        self.buffer.advance(count);
        self.scanned = 0;
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

fn within_bounds(size: usize) -> Result<(), FrameError> {
    if size > MAX_BYTES {
        return Err(FrameError::TooLarge);
    }
    Ok(())
}

fn parse_head(bytes: &[u8], version: Version) -> Result<Head, FrameError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FrameError::NotUtf8)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let command = lines.next().unwrap_or_default().to_owned();
    let rules = escape::Rules::of(&command, version);
    let mut headers = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        if headers.len() == MAX_HEADERS {
            return Err(FrameError::TooManyHeaders);
        }
        let (name, value) = line.split_once(':').ok_or(FrameError::NoHeader)?;
        let name = rules.unescape(name)?;
        if name.is_empty() {
            return Err(FrameError::NoHeader);
        }
        headers.push((name.into(), rules.unescape(value)?));
    }
    let frame = Frame {
        command: command.into(),
        headers,
        body: Bytes::new(),
    };
    let length = frame.header(CONTENT_LENGTH).map(|value| value.trim().parse::<usize>());
    let length = length.transpose().map_err(|_| FrameError::BadLength)?;
    if length.is_some_and(|length| length > MAX_BYTES) {
        return Err(FrameError::TooLarge);
    }
    Ok(Head {
        frame,
        length,
        size: bytes.len(),
    })
}
