//! What runs beside requests: the list of background work, and the only place
//! that starts it.
//!
//! Reloading, looking at servers, certificates and files of rules, rotating logs, and telling
//! an old process that this one serves. How the process ends is in `stop`.

pub(crate) mod admin;
mod aside;
mod background;
mod ban_file;
mod bans;
mod certificates;
mod files;
mod guard;
mod owner;
mod purge;
mod reload;
mod seal;
mod snapshot;
mod starter;
mod store;
mod stop;
mod token;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::{ServiceReadyNotifier, ServiceWithDependents};
use tidegate_sockets::Answer;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::listen::{Listener, Serving};
use crate::log::{Drain, ErrorLog};
use crate::site::State;

use self::background::Background;
use self::ban_file::Keeper;
use self::certificates::Certificates;
use self::files::Files;
use self::reload::Reloads;
use self::store::Tending;

pub(crate) use self::ban_file::{BanFile, KeptBans};
pub(crate) use self::certificates::warnings as certificate_warnings;
pub(crate) use self::guard::{AdminHosts, Guard};
pub(crate) use self::owner::{Owner, folder_of, group_named, user_named};
pub(crate) use self::purge::{What as PurgeWhat, Wish as PurgeWish};
pub(crate) use self::reload::Reloader;
pub(crate) use self::seal::find_seal;
pub(crate) use self::snapshot::learn;
pub(crate) use self::starter::Starter;
pub(crate) use self::stop::Stop;
pub(crate) use self::token::Token;

/// How often the figures of servers are set.
const FIGURES: Duration = Duration::from_secs(1);

/// Writes the pid file.
pub(crate) type Naming = Box<dyn FnOnce() -> anyhow::Result<()> + Send + Sync>;

/// Everything beside requests, as a pingora service.
pub(crate) struct Control {
    pub(crate) reloader: Arc<Reloader>,
    pub(crate) state: Arc<State>,
    pub(crate) listeners: Vec<Arc<Listener>>,
    pub(crate) error_log: ErrorLog,
    pub(crate) bans: Arc<KeptBans>,
    /// The writers of the logs of requests, until they have threads.
    pub(crate) log_drains: Vec<Drain>,
    /// The old process, until it has our word.
    pub(crate) predecessor: Option<Answer>,
    /// Who started a daemon, until they have our word.
    pub(crate) starter: Option<Starter>,
    /// True once the signals to end are handled.
    pub(crate) signals: watch::Receiver<bool>,
    /// Has the pid file name this process, where that is not done yet.
    pub(crate) name_process: Option<Naming>,
    pub(crate) serves: watch::Sender<Serving>,
    /// True once the process is to end.
    pub(crate) closing: watch::Receiver<bool>,
    /// Told once the process has taken its place.
    pub(crate) settled: watch::Sender<bool>,
}

#[async_trait]
impl ServiceWithDependents for Control {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        _: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        if let Err(error) = self.run(ready).await {
            // Nobody would look after servers, certificates and signals.
            ::log::error!("the control plane cannot start: {error:#}");
            self.serves.send_replace(Serving::Never);
        }
    }

    fn name(&self) -> &str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

impl Control {
    async fn run(&mut self, ready: ServiceReadyNotifier) -> anyhow::Result<()> {
        self.start_logs()?;
        let mut hangup = signal(SignalKind::hangup())?;
        let mut rotate = signal(SignalKind::user_defined1())?;
        // Listeners wait for this: who can reach us may send us a signal, which
        // would end a process that does not handle it yet.
        self.signals.wait_for(|handled| *handled).await?;
        // And so it is with the pid file.
        if let Some(name_process) = self.name_process.take() {
            name_process()?;
        }
        ready.notify_ready();
        let mut background = Background::default();
        background.follow(&self.reloader.site());
        let mut certificates = Certificates::new(std::mem::take(&mut self.listeners));
        certificates.warn();
        self.warn();
        self.serves.subscribe().wait_for(|serving| *serving == Serving::Now).await?;
        // One that is told to end meanwhile leaves the site to the one before.
        if !*self.closing.borrow() {
            self.tell_predecessor();
            self.tell_starter();
            self.settled.send_replace(true);
        }
        let mut figures = tokio::time::interval(FIGURES);
        let mut bans = Keeper::new(self.bans.clone());
        let mut files = Files::new();
        let mut reloads = Reloads::default();
        let mut tending = Tending::new(self.state.vault);
        loop {
            // Nothing here waits: signals are to be heard whatever a disk does.
            tokio::select! {
                _ = hangup.recv() => reloads.begin(&self.reloader),
                error = reloads.broken() => {
                    ::log::error!("not reloaded, the site stays as it is: {error}");
                }
                _ = rotate.recv() => self.reopen_logs(),
                due = certificates.due() => certificates.tend(due),
                () = files.due() => files.refresh(self.reloader.site()),
                _ = figures.tick() => self.set_figures(),
                () = bans.due() => bans.keep(),
                due = tending.due() => tending.tend(due, self.state.vault),
                () = self.reloader.replaced() => {
                    background.follow(&self.reloader.site());
                    // Whoever reloads looks at what is said.
                    certificates.warn();
                    self.warn();
                }
            }
        }
    }

    /// Gives each log its thread. Not before: a daemon forks with one thread.
    fn start_logs(&mut self) -> std::io::Result<()> {
        for drain in std::mem::take(&mut self.log_drains) {
            start_log(drain)?;
        }
        let started = self.error_log.detach().and_then(start_log);
        if started.is_err() {
            // What is said of it must arrive.
            self.error_log.finish(Duration::ZERO);
        }
        started
    }

    fn tell_starter(&mut self) {
        if let Some(Err(error)) = self.starter.take().map(Starter::serves) {
            ::log::warn!("who started this process did not hear that it serves: {error}");
        }
    }

    /// Says the word that lets the old process drain and end.
    fn tell_predecessor(&mut self) {
        let Some(answer) = self.predecessor.take() else {
            return;
        };
        match answer.ready() {
            Ok(()) => ::log::info!("took over from the process before"),
            // Two processes that serve lose nothing, so this one goes on.
            Err(error) => ::log::warn!("the process before did not hear that we serve: {error}"),
        }
    }

    fn reopen_logs(&self) {
        self.state.logs.reopen();
        match self.error_log.reopen() {
            Ok(()) => ::log::info!("opening the logs again"),
            Err(error) => ::log::error!("the error log stays where it was: {error}"),
        }
    }

    /// Says what is odd about the site that is written.
    fn warn(&self) {
        for warning in self.reloader.site().warnings() {
            ::log::warn!("{warning}");
        }
    }

    fn set_figures(&self) {
        self.state.tidy();
        self.state.weigh();
        let site = self.reloader.site();
        for upstream in site.upstreams.values() {
            let status = upstream.pool.status();
            let up = status.iter().filter(|server| server.is_up()).count();
            upstream.metrics.set_servers(status.len(), up);
        }
        if let Some(shed) = &site.shed {
            let routes = site.routes().filter(|route| site.is_shedding(route)).count();
            shed.look(
                site.upstreams.values().filter_map(|upstream| upstream.gate.as_ref()),
                routes,
            );
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the list of background work")]
fn start_log(drain: Drain) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name(drain.name().replace(' ', "-"))
        .spawn(move || drain.run())
        .map(drop)
}
