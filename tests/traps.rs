//! Traps of the ground we stand on: what pingora does, or leaves to others,
//! that a proxy must not. Each has a test that fails where we fall into it.
//!
//! Those of heads and keep-alive (no total deadline, no time-out after the
//! first request, bounds of a head) are in `listen`.

mod answers;
mod bodies;
mod ends;
mod pool;
mod timeouts;
mod upgrade;

use crate::support::{Edge, Origin};

/// One worker, so that requests share its connections to servers.
const SITE: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'], retries: { attempts: 1 } } }
routes: [{ upstream: app }]
";

fn edge(origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin.addr)])
}

const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
