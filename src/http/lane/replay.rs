//! A connection of which something was read already: it is read again from the beginning.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::head_clock::{HeadClock, HeadTimer};

/// See the module's head.
#[derive(Debug)]
pub struct Replay {
    ahead: Vec<u8>,
    /// How much of `ahead` was read again.
    read: usize,
    stream: TcpStream,
    clock: Rc<HeadClock>,
    timer: HeadTimer,
}

impl Replay {
    pub(super) fn new(ahead: Vec<u8>, stream: TcpStream) -> Self {
        Self {
            ahead,
            read: 0,
            stream,
            clock: Rc::default(),
            timer: HeadTimer::default(),
        }
    }

    /// To be told of each head that was read.
    pub fn clock(&self) -> Rc<HeadClock> {
        Rc::clone(&self.clock)
    }

    /// Reads on; a head that takes too long is the end.
    fn poll_stream(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.clock.heard();
        }
        if read.is_pending() && self.timer.is_over(&self.clock, context) {
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl AsyncRead for Replay {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            return this.poll_stream(context, buffer);
        }
        let rest = &this.ahead[this.read..];
        let count = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..count]);
        this.read += count;
        if this.read == this.ahead.len() {
            this.ahead = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Replay {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
