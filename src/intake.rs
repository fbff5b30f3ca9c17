//! The door for messages: status reports that come by a queue of RabbitMQ. The door for requests reads them and carries them
//! out ([`desk::Desk`]), so they have the rules and the answers of `PUT …/status`.
//!
//! What stays true in it:
//! - A message is acknowledged when its report is committed, or when the dead-letter queue has confirmed it, never before. What
//!   is neither when the process or a line dies comes again; the same report twice is no change.
//! - The reports of one order are carried out in the order of the queue: one consumer at a time (`x-single-active-consumer`),
//!   which does one after the other for each order, and never gives back one and keeps a later one. A message that was given
//!   back, or taken back, is not decided on here any more, however far it had come ([`hold`]).
//! - What passes by itself (the database is away) is tried again for as long as it takes. What cannot be applied goes to the
//!   dead-letter queue with the problem document that a request would have been answered with, and without the API key.
//! - At most `PREFETCH` messages are in memory.
//! - Whoever may publish to the queue can send whatever he likes: each message is carried out or put away, and the next one is
//!   looked at. What the AMQP library itself could not read is made readable before it (`amqp::sieve`).

mod answers;
mod clerk;
mod consumer;
mod dead_letter;
pub mod desk;
mod hold;
mod lanes;
mod message;
mod outgoing;

pub use consumer::Consumer;

/// Where reports are taken from.
pub const UPDATES: &str = "payquery.updates";
/// Where those go that cannot be applied.
pub const DEAD: &str = "payquery.updates.dead";
