//! The parts of a whole-proxy test: the proxy, servers behind it, clients.
//!
//! Everything here fails loudly: a wait has a deadline, a missing tool names
//! its package, and a process ends with the value that started it.

#![expect(clippy::needless_pass_by_ref_mut, reason = "a client is used by one at a time")]

pub(crate) mod app;
pub(crate) mod browser;
pub(crate) mod certs;
pub(crate) mod client;
pub(crate) mod edge;
pub(crate) mod h2_client;
pub(crate) mod h2_frames;
pub(crate) mod h2_origin;
pub(crate) mod keys;
pub(crate) mod mmdb;
pub(crate) mod nginx;
pub(crate) mod origin;
pub(crate) mod ports;
pub(crate) mod response;
pub(crate) mod tools;
pub(crate) mod websocket;

use std::time::{Duration, Instant};

pub(crate) use certs::Authority;
pub(crate) use client::Client;
pub(crate) use edge::Edge;
pub(crate) use h2_client::H2Client;
pub(crate) use h2_frames::H2Frames;
pub(crate) use h2_origin::H2Origin;
pub(crate) use nginx::Nginx;
pub(crate) use origin::{Conn, Origin};
pub(crate) use response::Response;
pub(crate) use tools::{Load, curl, s_client};

/// The longest wait for anything; only a failing test waits so long.
///
/// What must not be waited out is a minute or longer: a hand-over, the drains
/// of tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(40);

/// Asks `ready` again and again until it has an answer, on a blocking thread.
pub(crate) fn poll<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Awaits `future`, at most until the deadline.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} for {what}"),
    }
}
