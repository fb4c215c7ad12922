//! How TLS ends here, seen by real clients.

mod clients;
mod ends;
mod handshake;
mod hosts;
mod names;
mod noise;
mod renewal;

use crate::support::tools::Ran;
use crate::support::{Authority, Edge, s_client};

/// Certificates of a.example, and of b.example and names below it.
const SITE: &str = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    {listener}
    tls:
      certificates:
        - { cert: '{certs}/a.pem', key: '{certs}/a.key' }
        - { cert: '{certs}/b.pem', key: '{certs}/b.key' }
      {tls}
{site}
";
const OK: &str = "routes: [{ respond: { status: 200, body: ok } }]";

/// Starts [`SITE`] with more keys of `tls`.
fn start(tls: &str) -> (Edge, Authority) {
    start_all(OK, tls, "")
}

/// The same, with more keys of the listener.
fn start_with(tls: &str, listener: &str) -> (Edge, Authority) {
    start_all(OK, tls, listener)
}

/// The same, with other routes.
fn start_at(site: &str, tls: &str) -> (Edge, Authority) {
    start_all(site, tls, "")
}

fn start_all(site: &str, tls: &str, listener: &str) -> (Edge, Authority) {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    certs.write("b", &["b.example", "*.b.example"]);
    let at = certs.dir().display();
    let edge = Edge::start_with(
        SITE,
        &[("site", &site), ("tls", &tls), ("listener", &listener), ("certs", &at)],
    );
    (edge, certs)
}

/// Connects with `openssl s_client` and says nothing.
fn knock(edge: &Edge, arguments: &[&str]) -> Ran {
    let at = edge.tls_addr().to_string();
    s_client(&[&["-connect", &at], arguments].concat(), "")
}

/// How many handshakes failed for this reason.
fn failed(edge: &Edge, reason: &str) -> f64 {
    edge.metric(&format!("tidegate_listen_handshakes_failed_total{{reason=\"{reason}\"}}"))
}

/// Waits until this many handshakes have failed for this reason.
fn await_failed(edge: &Edge, reason: &str, count: f64) {
    let series = format!("tidegate_listen_handshakes_failed_total{{reason=\"{reason}\"}}");
    edge.await_metric(&series, count);
}
