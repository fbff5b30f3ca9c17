//! What somebody may try who means harm: `docs/security.md` says which line of it each test holds.

mod costs;
mod framing;
mod limits;
mod slowness;
