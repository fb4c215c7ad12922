//! Where connections enter: heads, bodies, connections and PROXY headers.

mod bodies;
mod connections;
mod h2_answers;
mod h2_floods;
mod h2_heads;
mod heads;
mod proxy_protocol;
mod records;
mod stalls;

use serde_json::Value as Json;

use crate::support::{Edge, Origin};

/// One listener in front of one server.
pub(crate) const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    {listener}
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

/// Starts [`SITE`]; `listener` holds more keys, such as `protocols: [h1, h2c]`.
pub(crate) fn edge(origin: &Origin, listener: &str) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin.addr), ("listener", &listener)])
}

/// The status and the refusal of each record.
pub(crate) fn outcomes<'a>(records: &'a [Json]) -> Vec<(u64, &'a str)> {
    let outcome = |record: &'a Json| {
        let status = record["status"].as_u64().expect("a status");
        (status, record["refusal"].as_str().unwrap_or(""))
    };
    records.iter().map(outcome).collect()
}
