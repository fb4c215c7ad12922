//! Fields that servers believe, and that no route may let clients write.

use std::collections::HashMap;

use http::HeaderName;

use super::Route;

/// Says to each route which fields its servers believe, whatever upstreams they are in.
pub(super) fn guard(routes: &mut [Route]) {
    let mut filled: HashMap<String, Vec<HeaderName>> = HashMap::new();
    for route in routes.iter().filter(|route| route.access.names().next().is_some()) {
        for server in servers(route) {
            filled.entry(server).or_default().extend(route.access.names().cloned());
        }
    }
    for route in routes {
        let believed = servers(route).filter_map(|server| filled.get(&server));
        let mut names: Vec<HeaderName> = believed.flatten().cloned().collect();
        names.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        route.guarded = names;
    }
}

/// What tells the processes apart that a route asks.
fn servers(route: &Route) -> impl Iterator<Item = String> {
    let destinations = route.upstreams().flat_map(|upstream| upstream.pool.destinations());
    destinations.map(|destination| match destination.rsplit_once(':') {
        // Three names of the same machine, and most often of the same process.
        Some(("localhost" | "127.0.0.1" | "[::1]", port)) => format!("localhost:{port}"),
        _ => destination,
    })
}
