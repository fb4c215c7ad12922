//! What requests need, as one immutable value behind one pointer.
//!
//! A request keeps the site it began with; a reload builds a new one with
//! [`Site::build`], the same that start and configuration test run, and swaps
//! the pointer. What must outlive that is in [`State`].

mod build;
mod caches;
mod cleartext;
mod exposed;
mod gaps;
mod guarded;
mod limits;
mod names;
mod needless;
mod profiles;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::HeaderName;
use tokio::sync::Semaphore;

use crate::access::{Access, Seal, Verifiers};
use crate::cache;
use crate::client::Clients;
use crate::config::Config;
use crate::files::Files;
use crate::limit::{BanPolicy, Limits, Priority, Shed, Waits};
use crate::log::RouteMetrics;
use crate::respond::{Compression, Cors, ErrorPages, Fixed, HeaderRules, Turns};
use crate::route::{Matched, NoRoute, Redirect, Rewrite, Router};
use crate::sanitise::{Head, Strict};
use crate::units::{ByteSize, OrOff, Period};
use crate::upstream::Upstream;
use crate::waf::Profile;
use crate::watch::Refresh;

pub(crate) use self::state::State;

/// Everything that requests are served by.
pub(crate) struct Site {
    pub(crate) clients: Clients,
    pub(crate) bans: BanPolicy,
    /// What answers have that belong to no route.
    pub(crate) defaults: Defaults,
    routes: Router<usize>,
    // Invariant: the router's values are indices of this.
    by_index: Vec<Arc<Route>>,
    pub(crate) upstreams: BTreeMap<String, Arc<Upstream>>,
    /// Names of query parameters whose values no log shows, besides the well-known.
    pub(crate) secrets: Vec<String>,
    /// Files of rules, to be read again when they change.
    pub(crate) files: Vec<Arc<dyn Refresh>>,
    /// What credentials are verified by, as far as routes share it.
    pub(crate) verifiers: Verifiers,
    /// The bounds on requests that wait, if there are any; the same for every
    /// site of a process.
    pub(crate) shed: Option<Arc<Shed>>,
    /// What passes are sealed with; the same for every site of a process.
    pub(crate) seal: Seal,
    /// Of bodies to be compressed; the same for every site of a process.
    pub(crate) turns: Arc<Turns>,
    /// What was written, for the operator to look at.
    pub(crate) config: Config,
    /// Whether any route has a cache.
    caches: bool,
    strict: BTreeMap<Arc<str>, Strict>,
    lenient: Strict,
}

impl Site {
    /// The route of a request, and what of its path matched.
    pub(crate) fn find(&self, head: &Head<'_>) -> Result<(&Arc<Route>, Matched), NoRoute> {
        let found = self.routes.find(head)?;
        let route = self.by_index.get(*found.route).ok_or(NoRoute::Unknown)?;
        Ok((route, found.matched))
    }

    /// Whether requests of `route` are being refused because all are too many.
    pub(crate) fn is_shedding(&self, route: &Route) -> bool {
        let Some(shed) = &self.shed else {
            return false;
        };
        match &route.action {
            Action::Proxy(targets) => targets
                .all()
                .any(|upstream| shed.is_shedding(Waits::ForServers(upstream.gate.as_ref()))),
            Action::Files { .. } => shed.is_shedding(Waits::ForUs),
            Action::Redirect(_) | Action::Respond(_) => false,
        }
    }

    pub(crate) fn routes(&self) -> impl Iterator<Item = &Route> {
        self.by_index.iter().map(|route| &**route)
    }

    /// What is odd about what was written, and no fault.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let profiles = self.routes().filter_map(|route| route.waf.as_ref());
        [
            needless::unlisted(&self.config),
            gaps::of(&self.config, &self.routes),
            cleartext::of(&self.config),
            profiles::warnings(profiles),
        ]
        .concat()
    }

    /// Whether any answers are kept.
    pub(crate) fn caches(&self) -> bool {
        self.caches
    }

    /// How strictly heads are read on the listener of this name.
    pub(crate) fn strict(&self, listener: &str) -> &Strict {
        self.strict.get(listener).unwrap_or(&self.lenient)
    }
}

impl Site {
    /// Finds the addresses of servers that are written as names.
    pub(crate) async fn resolve(&self) {
        let pools = self.upstreams.values().map(|upstream| &upstream.pool);
        // At once: a start or a reload waits no longer than for the slowest name.
        join_all(pools.filter(|pool| pool.needs_resolving()).map(|pool| pool.resolve())).await;
    }

    /// The same before there is a runtime; blocks.
    pub(crate) fn resolve_now(&self) -> std::io::Result<()> {
        if self.upstreams.values().any(|upstream| upstream.pool.needs_resolving()) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(self.resolve());
        }
        Ok(())
    }
}

/// What every route has unless it says otherwise, and answers without a route.
#[derive(Debug)]
pub(crate) struct Defaults {
    pub(crate) headers: HeaderRules,
    pub(crate) compression: Option<Compression>,
    pub(crate) error_pages: ErrorPages,
    /// Of routes only: where there is none, nothing is waited for.
    total: OrOff<Period>,
}

/// What one route does with its requests.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) action: Action,
    pub(crate) access: Access,
    /// Fields that `access` of this or another route fills for the same servers:
    /// they believe them, whatever route a request takes.
    pub(crate) guarded: Vec<HeaderName>,
    pub(crate) cors: Option<Cors>,
    pub(crate) limits: Limits,
    /// What judges requests; none where nothing does.
    pub(crate) waf: Option<Arc<Profile>>,
    /// What is kept of its answers, and how long; none where nothing is.
    pub(crate) cache: Option<Arc<cache::Profile>>,
    /// Who may fetch ahead of the clients now.
    pub(crate) ahead: Arc<Semaphore>,
    pub(crate) priority: Priority,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) headers: HeaderRules,
    pub(crate) compression: Option<Compression>,
    pub(crate) error_pages: ErrorPages,
    /// The largest request body; the listener's bound if none.
    pub(crate) body_limit: Option<ByteSize>,
    /// The longest that a request may take in all, streams aside.
    pub(crate) total: Option<Duration>,
    pub(crate) metrics: Arc<RouteMetrics>,
}

impl Route {
    fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        let targets = match &self.action {
            Action::Proxy(targets) => Some(targets),
            Action::Redirect(_) | Action::Respond(_) | Action::Files { .. } => None,
        };
        targets.into_iter().flat_map(Targets::all)
    }
}

/// Who answers.
#[derive(Debug)]
pub(crate) enum Action {
    Proxy(Targets),
    Redirect(Redirect),
    Respond(Fixed),
    Files { files: Files, named_by: NamedBy },
}

/// What of a path names a file below the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// What follows the route's prefix.
    Rest,
    /// All of it: the route is for one path, or for a pattern.
    Path,
}

/// One upstream, or several by weight.
#[derive(Debug)]
pub(crate) struct Targets {
    // Invariant: not empty, and the last bound is the sum of all weights.
    bounds: Vec<(u32, Arc<Upstream>)>,
}

impl Targets {
    fn one(upstream: Arc<Upstream>) -> Self {
        Targets { bounds: vec![(1, upstream)] }
    }

    /// `weighted` is not empty, and every weight is more than 0.
    fn weighted(weighted: Vec<(u32, Arc<Upstream>)>) -> Self {
        let mut sum = 0;
        let bounds = weighted.into_iter().map(|(weight, upstream)| {
            sum += weight;
            (sum, upstream)
        });
        Targets { bounds: bounds.collect() }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.bounds.iter().map(|(_, upstream)| upstream)
    }

    /// The upstream for one request.
    pub(crate) fn choose(&self) -> &Arc<Upstream> {
        let [(_, only)] = self.bounds.as_slice() else {
            return self.draw();
        };
        only
    }

    fn draw(&self) -> &Arc<Upstream> {
        let (total, last) = self.bounds.last().expect("never empty");
        let drawn = fastrand::u32(0..*total);
        let chosen = self.bounds.iter().find(|(bound, _)| drawn < *bound);
        chosen.map_or(last, |(_, upstream)| upstream)
    }
}
