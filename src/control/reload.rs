//! Replaces the site by what the file says now; all of it, or nothing.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::task::{JoinError, JoinSet};

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

/// Reloads that signals ask for, beside all else: names and files may take long.
#[derive(Debug, Default)]
pub(super) struct Reloads {
    // Invariant: at most one under way, and one more that sees what was written
    // meanwhile.
    begun: JoinSet<()>,
}

impl Reloads {
    /// Begins one, unless one is to come that sees the same.
    pub(super) fn begin(&mut self, reloader: &Arc<Reloader>) {
        if self.begun.len() > 1 {
            return;
        }
        let reloader = reloader.clone();
        self.begun.spawn(async move {
            match reloader.reload().await {
                Ok(()) => ::log::info!("reloaded"),
                Err(faults) => ::log::error!("not reloaded, the site stays as it is: {faults}"),
            }
        });
    }

    /// Returns when a reload has ended without a word, for it broke.
    pub(super) async fn broken(&mut self) -> JoinError {
        loop {
            match self.begun.join_next().await {
                Some(Err(error)) => return error,
                Some(Ok(())) => {}
                // Whoever asks asks again once one has begun.
                None => std::future::pending().await,
            }
        }
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
    } else if before.cache.memory != now.cache.memory {
        Some("cache.memory")
    } else if before.cache.disks != now.cache.disks {
        Some("cache.disks")
    } else {
        None
    }
}

/// What the tests here start from: a site of one answer, and what its process
/// remembers, without a log.
#[cfg(test)]
pub(super) fn reloader_of_one_answer() -> (Arc<Reloader>, Arc<State>) {
    const FILE: &str = "
listeners: [{ address: '127.0.0.1:0' }]
log: { access: { to: off } }
routes: [{ respond: { status: 200 } }]
";
    let written = Written::Text { name: "test".to_owned(), text: FILE.to_owned() };
    let loaded = written.load().map_err(|faults| faults.to_string()).expect("good");
    let metrics = crate::log::Metrics::new();
    let built = loaded.build(|config| Site::build(config, &metrics, None));
    let (config, site) = built.map_err(|faults| faults.to_string()).expect("good");
    let owner = rustix::process::geteuid();
    let (logs, _) = crate::log::Logs::open(&config.log, owner, &metrics).expect("no log");
    let vault = crate::cache::Vault::small();
    let state = State::new(metrics, logs, crate::limit::Ledger::default(), vault);
    let site = Arc::new(ArcSwap::from_pointee(site));
    (Arc::new(Reloader::new(written, site, state.clone())), state)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn signals_are_heard_while_a_reload_takes_its_time() {
        let (reloader, _) = reloader_of_one_answer();
        let before = reloader.site();
        let mut reloads = Reloads::default();
        let busy = reloader.one_at_a_time.lock().await;
        for expected in [1, 2, 2, 2] {
            reloads.begin(&reloader);
            assert_eq!(reloads.begun.len(), expected);
        }
        drop(busy);
        while reloads.begun.join_next().await.is_some() {}
        assert!(!Arc::ptr_eq(&before, &reloader.site()));
        reloads.begin(&reloader);
        assert_eq!(reloads.begun.len(), 1);
    }

    #[tokio::test]
    async fn a_reload_that_broke_is_known() {
        let (reloader, _) = reloader_of_one_answer();
        let mut reloads = Reloads::default();
        reloads.begin(&reloader);
        reloads.begun.spawn(async { panic!("on purpose") });
        assert!(reloads.broken().await.is_panic());
        assert!(reloads.broken().now_or_never().is_none(), "the other one did not break");
    }
}
