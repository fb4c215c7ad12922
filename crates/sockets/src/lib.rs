//! Listening sockets: opened with options, handed from one process to the next.
//!
//! Everything here blocks, with deadlines; nothing here knows an event loop, a
//! proxy or a configuration file.

mod handover;
mod listening;

pub use handover::{Answer, Breaker, Handover, HandoverError, Receiver, Snapshot, offer};
pub use listening::open;
