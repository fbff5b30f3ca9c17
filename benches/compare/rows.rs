//! The rows of the table, by family. A family is a file: what is started, what is done in turn, what is counted.

pub mod fan_out;
pub mod feed;
pub mod growth;
pub mod held;
pub mod idle;
pub mod messages;
pub mod polls;
pub mod reads;
pub mod replicas;
pub mod webhooks;
pub mod writes;
