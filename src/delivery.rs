//! What leaves for the merchants' other systems. Each way out is a reader of the log with a place of its own in it, which it
//! moves when what it read is dealt with for good: whoever is killed in the middle leaves the place where it was, and the
//! next one, on whatever replica, begins there. So each event goes out at least once, and those of one order in their order.

pub mod rabbitmq;
mod turn;
pub mod webhooks;

pub use turn::{Gaps, Turn};
