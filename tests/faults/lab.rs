//! The laboratory: a Postgres of its own that can be killed, replicas as real processes, clients that judge every answer,
//! and the table of verdicts. A fault's file says only what breaks and what must hold.

mod balancer;
mod client;
mod forwarder;
mod holds;
mod hook;
mod judge;
mod postgres;
mod pulse;
mod replica;
mod report;
mod traffic;
mod world;

pub use balancer::Balancer;
pub use client::{Answer, Door, Http, Merchant, Order, Payer};
pub use forwarder::Forwarder;
pub use holds::{Holds, relay, relay_once};
pub use hook::Hook;
pub use judge::{Judge, Times};
pub use postgres::{OwnPostgres, url_through};
pub use pulse::Pulse;
pub use replica::{Launch, Replica};
pub use report::{Report, Verdict};
pub use traffic::Traffic;
pub use world::{World, alternate, wait_until};

/// The longest that a change of another replica may stay unseen, doorbell or not: the feed's tick.
pub const TICK: std::time::Duration = std::time::Duration::from_millis(200);

/// From sending a report at one replica to the answer at another: a tick, and what the request itself takes where all replicas,
/// Postgres and their clients share two processors.
pub const WITHIN_A_TICK: std::time::Duration = std::time::Duration::from_millis(200 + 500);
