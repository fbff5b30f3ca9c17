//! Answers as bytes. Each HTTP thread has one piece of memory that all its answers are written in, one after the other.

use std::cell::{Ref, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderName;

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: RefCell<Vec<u8>>,
    date: RefCell<Date>,
}

/// The second that was written last, as it is written (RFC 9110 §5.6.7).
#[derive(Debug, Default)]
struct Date {
    second: u64,
    text: String,
}

/// Whether the connection stays open after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    KeepOpen,
    Close,
}

impl Outbox {
    /// Writes an answer, in the place of the one before: `fields` writes its header fields. To be sent, or taken out, before
    /// its connection waits for anything: the next connection of the thread writes in the same place.
    pub(super) fn write(
        &self,
        code: StatusCode,
        after: After,
        body: &[u8],
        fields: impl FnOnce(&mut dyn FnMut(&HeaderName, &[u8])),
    ) {
        let mut out = self.bytes.borrow_mut();
        out.clear();
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(code.as_str().as_bytes());
        out.push(b' ');
        out.extend_from_slice(code.canonical_reason().unwrap_or_default().as_bytes());
        out.extend_from_slice(b"\r\n");
        // A 304 has no content, and tells no length of any (RFC 9110 §8.6).
        if code != StatusCode::NOT_MODIFIED {
            write_field(
                &mut out,
                "content-length",
                itoa::Buffer::new().format(body.len()).as_bytes(),
            );
        }
        if after == After::Close {
            write_field(&mut out, "connection", b"close");
        }
        fields(&mut |name, value| write_field(&mut out, name.as_str(), value));
        self.write_date(&mut out);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }

    /// The answer that was written last.
    pub(super) fn bytes(&self) -> Ref<'_, [u8]> {
        Ref::map(self.bytes.borrow(), Vec::as_slice)
    }

    fn write_date(&self, out: &mut Vec<u8>) {
        let now = SystemTime::now();
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut date = self.date.borrow_mut();
        if date.second != second || date.text.is_empty() {
            *date = Date {
                second,
                text: httpdate::fmt_http_date(now),
            };
        }
        write_field(out, "date", date.text.as_bytes());
    }
}

fn write_field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
