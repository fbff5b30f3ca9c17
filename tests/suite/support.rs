//! What the tests stand on: a real Postgres with a database for each test, the real application on a real port, and typed
//! helpers to talk to it. Everything cleans up after itself, also when a test panics.

mod app;
mod broker;
mod client;
mod database;
mod events;
mod exchange;
pub mod feed;
mod gate;
mod held;
pub mod merchant;
mod metrics;
mod place;
mod process;
pub mod rabbit;
mod raw;
pub mod raw_publisher;
pub mod receiver;
pub mod schema;
pub mod socket;
mod sockjs;
pub mod stomp;
pub mod webhooks;

pub use app::{App, AppBuilder, install_tls};
pub use broker::{OwnBroker, VirtualHost};
pub use client::{Answer, Asking, Order};
pub use database::TestDatabase;
pub use events::Piece;
pub use gate::Gate;
pub use place::{Place, is_running, postmaster};
pub use process::Process;
pub use raw::RawConnection;
pub use receiver::{Receiver, Reply};
pub use sockjs::Polled;
pub use stomp::Stomp;

use std::time::{Duration, Instant};

/// Asks again and again until the answer is good; panics with the last one when it doesn't become so. The asking itself is
/// what takes the time: nothing sleeps.
pub async fn eventually<T, F>(mut ask: F, good: impl Fn(&T) -> bool) -> T
where
    T: std::fmt::Debug,
    F: AsyncFnMut() -> T,
{
    let start = Instant::now();
    loop {
        let answer = ask().await;
        if good(&answer) {
            return answer;
        }
        assert!(
            start.elapsed() < Duration::from_mins(1),
            "not within 60 s; the last answer: {answer:?}"
        );
        tokio::task::yield_now().await;
    }
}
