//! Tidegate, an edge reverse proxy on Pingora.
//!
//! The list below is the table of contents, the path of a request and the
//! dependency rule in one: a room may use only rooms declared above it.
//! `tests/tidy.rs` reads this list and holds the code to it.

// Words every room uses.
mod encoding;
mod fault;
mod units;
mod networks;
mod values;
mod ranges;
mod watch;
mod pem;

// What is remembered of a request: its last stop, yet rooms on the way keep
// handles of their figures.
mod log;

// The path of a request.
mod listen;
mod sanitise;
mod client;
mod route;
mod access;
mod limit;
mod waf;
mod cache;
mod files;
mod balance;
mod upstream;
mod respond;

// From configuration to a running site, and the conductor that walks the path.
mod config;
mod site;
mod proxy;

// The control plane.
mod control;
mod server;
mod demo;
pub mod cli;

// Any bytes, for the readers above; there for tests and fuzzers alone.
#[cfg(any(test, fuzzing))]
pub mod fuzz;
