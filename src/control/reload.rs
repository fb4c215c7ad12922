//! Replaces the site by what the file says now; all of it, or nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};

use crate::config::{Config, Report, Written};
use crate::site::{Site, State};

/// Reloads the configuration that the process was started with.
pub(crate) struct Reloader {
    written: Written,
    site: Arc<ArcSwap<Site>>,
    state: Arc<State>,
    replaced: Notify,
    // Two reloads at the same time could leave the older file's site.
    one_at_a_time: Mutex<()>,
}

/// Why the site stays as it is: every fault, a line each.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotReloaded(String);

impl Reloader {
    pub(crate) fn new(written: Written, site: Arc<ArcSwap<Site>>, state: Arc<State>) -> Self {
        let (replaced, one_at_a_time) = (Notify::new(), Mutex::new(()));
        Reloader { written, site, state, replaced, one_at_a_time }
    }

    /// The site as it is now.
    pub(crate) fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// Reads the file and swaps the site. Requests in flight keep theirs.
    ///
    /// What only a new process can change is refused, lest the file and the
    /// process disagree in silence.
    pub(crate) async fn reload(self: &Arc<Self>) -> Result<(), NotReloaded> {
        let _one = self.one_at_a_time.lock().await;
        let me = self.clone();
        let built = tokio::task::spawn_blocking(move || me.build()).await;
        let site = built.map_err(|error| NotReloaded(error.to_string()))??;
        site.resolve().await;
        self.site.store(Arc::new(site));
        self.state.metrics.forget_unused();
        self.replaced.notify_one();
        Ok(())
    }

    /// Reads and builds; blocks on files.
    fn build(&self) -> Result<Site, NotReloaded> {
        let not_reloaded = |report: Report| NotReloaded(report.to_string());
        let loaded = self.written.load().map_err(not_reloaded)?;
        let before = self.site();
        let (metrics, previous) = (&self.state.metrics, Some(&*before));
        let built = loaded.build(|config| Site::build(config, metrics, previous));
        let (config, site) = built.map_err(not_reloaded)?;
        match needs_new_process(&before.config, &config) {
            None => Ok(site),
            Some(key) => Err(NotReloaded(format!(
                "`{key}` changed, which needs a new process: start one with -u"
            ))),
        }
    }

    /// Returns when the site has been replaced since the last call.
    pub(super) async fn replaced(&self) {
        self.replaced.notified().await;
    }
}

/// The first section that a reload cannot change.
fn needs_new_process(before: &Config, now: &Config) -> Option<&'static str> {
    if before.server != now.server {
        Some("server")
    } else if before.admin != now.admin {
        Some("admin")
    } else if before.log != now.log {
        Some("log")
    } else if before.listeners != now.listeners {
        Some("listeners")
    } else {
        None
    }
}
