//! A proxy with one upstream, `app`, that every request goes to.

use std::fmt::Display;

use serde_json::Value as Json;

use super::{Edge, poll};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c] }
upstreams:
  app: {app}
routes: [{ upstream: app }]
";

/// The plainest request.
pub(crate) const GET: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// Starts a proxy whose `app` is this, in flow style, its places filled.
pub(crate) fn start(app: &str, places: &[(&str, &dyn Display)]) -> Edge {
    Edge::start_with(SITE, &[&[("app", &app as &dyn Display)], places].concat())
}

/// What the admin listener says of the servers of `app`, in their order.
pub(crate) fn servers(edge: &Edge) -> Vec<Json> {
    let status: Json = serde_json::from_slice(&edge.admin_get("/api/upstreams").body).unwrap();
    status["app"].as_array().unwrap().clone()
}

/// Waits until active checks say this of a server of `app`.
pub(crate) fn await_healthy(edge: &Edge, index: usize, expected: bool) {
    poll(&format!("server {index} to be healthy: {expected}"), || {
        (servers(edge)[index]["healthy"] == expected).then_some(())
    });
}
