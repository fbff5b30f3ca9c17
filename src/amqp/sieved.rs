//! A line to the broker with the sieve in it, and what the AMQP library needs to take such a line for its own.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::{DummyIO, RuntimeParts};
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use futures_util::Stream;
use lapin::tcp::{AMQPUriTcpExt as _, AsyncTcpStream, OwnedTLSConfig};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::lifeline::Lifeline;
use super::sieve::{LARGEST_FRAME, Sieve};

/// Bytes that are read at once.
const READ: usize = 16 * 1024;

/// A stream whose reader gets what the sieve lets through. (With TLS the sieve is on the inside of it.)
#[derive(Debug)]
struct Sieved<S> {
    stream: S,
    sieve: Sieve,
    lifeline: Lifeline,
    read: Box<[u8]>,
    /// What came through, and how much of it was taken.
    through: Vec<u8>,
    taken: usize,
}

impl<S> Sieved<S> {
    fn new(stream: S, largest_frame: u32, lifeline: Lifeline) -> Self {
        Self {
            stream,
            sieve: Sieve::new(largest_frame),
            lifeline,
            read: vec![0; READ].into(),
            through: Vec::new(),
            taken: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Sieved<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        while this.taken == this.through.len() {
            this.through.clear();
            this.taken = 0;
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut this.read));
            let count = read.inspect_err(|_| this.lifeline.end())?;
            if count == 0 {
                this.lifeline.end();
                return Poll::Ready(Ok(0));
            }
            this.lifeline.hear()?;
            let passed = this.sieve.pass(&this.read[..count], &mut this.through);
            passed.map_err(|bad| io::Error::new(io::ErrorKind::InvalidData, bad))?;
        }
        let waiting = &this.through[this.taken..];
        let count = waiting.len().min(buffer.len());
        buffer[..count].copy_from_slice(&waiting[..count]);
        this.taken += count;
        Poll::Ready(Ok(count))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Sieved<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// A line as the library makes it, plain or with TLS.
type Line = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Tokio, but that its lines have a sieve: the library takes no other line than its runtime's.
#[derive(Debug, Clone)]
struct SievedTokio(Tokio);

impl Reactor for SievedTokio {
    type TcpStream = Sieved<Line>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// (Nobody here has sockets to hand over.)
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<DummyIO, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, period: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(period)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let connecting = self.0.tcp_connect_addr(address);
        async move {
            let line = AsyncTcpStream::Plain(connecting.await?);
            Ok(Sieved::new(line, LARGEST_FRAME, Lifeline::new()))
        }
    }
}

/// What the library itself does to connect, and the sieve between the line and its parser. Frames are not larger than the address
/// asks for.
pub(super) async fn connect(
    uri: AMQPUri,
    properties: ConnectionProperties,
    tls: OwnedTLSConfig,
    lifeline: Lifeline,
) -> lapin::Result<Connection> {
    let tokio = Runtime::new(Tokio::current());
    let sieved = RuntimeParts::new(Tokio::current(), SievedTokio(Tokio::current()));
    let connect = async move |uri: AMQPUri, _| {
        let line = uri.connect_with_config_async(tls.as_ref(), &tokio).await?;
        let largest_frame = uri.query.frame_max.unwrap_or(LARGEST_FRAME);
        // (To the library the line is plain: any TLS is on this side of the sieve.)
        Ok(AsyncTcpStream::Plain(Sieved::new(
            line,
            largest_frame,
            lifeline.clone(),
        )))
    };
    Connection::connector(uri, Runtime::new(sieved), connect, properties).await
}
