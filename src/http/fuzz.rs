//! Whatever strangers send is read here: nothing panics, and what is taken means what it says.
//!
//! `cargo test` runs each target for about a second; `cargo bolero test -T 1h http::fuzz::heads::entity_tag_lists` (after
//! `cargo install cargo-bolero`) for as long as one likes, led by the coverage.

mod bodies;
mod heads;
mod queries;

/// A text made of a grammar's words, one for each byte: comes much further than random bytes do.
fn spell(bytes: &[u8], words: &[&str]) -> String {
    bytes
        .iter()
        .map(|byte| words[usize::from(*byte) % words.len()])
        .collect()
}
