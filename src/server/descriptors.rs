//! File descriptors: as many as the machine allows, and whether they will do.

use rustix::process::{Resource, getrlimit, setrlimit};

use super::{ADMIN_CONNECTIONS, Plan};
use crate::config::Server;

/// What a process needs besides its connections and listeners: logs, the pid
/// file, runtimes, the socket of an upgrade. Left out, as it has no bound of its
/// own or is rarely much: health checks and questions to name servers, files that
/// are served, idle connections to servers, and that the streams of one client
/// over HTTP/2 may need several connections to servers.
const OTHERS: u64 = 100;
/// What each worker needs for itself.
const PER_WORKER: u64 = 4;
/// A client's connection and one to a server.
const PER_CONNECTION: u64 = 2;

/// Raises the limit as far as the process may; says if that is too little.
pub(super) fn raise(server: &Server, threads: usize, plan: &Plan) -> Option<String> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            return Some(format!("the limit of file descriptors cannot be raised: {error}"));
        }
    }
    let admin = plan.admin.as_ref().map_or(0, |_| ADMIN_CONNECTIONS);
    let counted = plan.all_listeners().count() + admin;
    let others = OTHERS + PER_WORKER * threads as u64 + counted as u64;
    shortage(limit.maximum?, others, server.connections as u64)
}

/// What is wrong with a limit, if it is too little.
fn shortage(limit: u64, others: u64, connections: u64) -> Option<String> {
    let needed = connections.saturating_mul(PER_CONNECTION).saturating_add(others);
    if limit >= needed {
        return None;
    }
    let enough_for = limit.saturating_sub(others) / PER_CONNECTION;
    Some(format!(
        "{limit} file descriptors are too few for server.connections: {connections}, which may take \
         {needed}: start with a higher hard limit (`LimitNOFILE=` of systemd, `ulimit -Hn`), or \
         write server.connections: {}",
        enough_for.max(1)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_little_is_said_with_what_would_do() {
        assert_eq!(shortage(2100, 100, 1000), None);
        let said = shortage(2099, 100, 1000).expect("one is missing");
        assert!(said.contains("may take 2100"), "{said}");
        assert!(said.ends_with("write server.connections: 999"), "{said}");
        let said = shortage(10, 100, 1000).expect("far too few");
        assert!(said.ends_with("write server.connections: 1"), "{said}");
        assert!(shortage(u64::MAX - 1, 100, u64::MAX).is_some());
    }
}
