//! Work on behalf of the upstreams of the current site.

use tokio::task::JoinSet;

use crate::site::Site;

/// The tasks of one site; a new site's replace them.
#[derive(Default)]
pub(super) struct Background {
    tasks: JoinSet<()>,
}

impl Background {
    /// Looks after the servers of `site`, and of no site before it.
    pub(super) fn follow(&mut self, site: &Site) {
        self.tasks = JoinSet::new();
        for upstream in site.upstreams.values() {
            if upstream.pool.needs_resolving() {
                self.tasks.spawn(upstream.pool.clone().keep_resolved());
            }
            if upstream.pool.checks_health() {
                self.tasks.spawn(upstream.pool.clone().keep_checked());
            }
        }
    }
}
