//! From a configuration to a running process.

mod daemon;
mod descriptors;
mod pid_file;
mod settings;
#[cfg(test)]
mod silence;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use arc_swap::ArcSwap;
use pingora::apps::HttpServerOptions;
use pingora::server::configuration::ServerConf;
use pingora::server::{RunArgs, Server};
use pingora_proxy::HttpProxy;
use tidegate_sockets::{Answer, Handover, Receiver, Snapshot};
use tokio::sync::watch;

use crate::cache::Vault;
use crate::config::{self, Config, Written};
use crate::control::admin::{Admin, AdminDoor};
use crate::control::{
    AdminHosts, BanFile, Control, Guard, Naming, Owner, Reloader, Starter, Stop, Token,
    certificate_warnings, find_seal, folder_of,
};
use crate::fault::{Faults, KeyPath};
use crate::limit::Ledger;
use crate::listen::{Bounds, Edge, Listener, Opened, Seats, Serving, Shutdown};
use crate::log::{Drain, ErrorLog, Logs, Metrics};
use crate::proxy::{Conductor, FrontDoor};
use crate::site::{Site, State};

use self::pid_file::PidFile;

/// How long a new process waits for the old one's sockets.
const TAKEOVER: Duration = Duration::from_secs(60);
/// Connections of the admin listener.
const ADMIN_CONNECTIONS: usize = 256;
/// Connections a pool keeps per worker in all; each upstream bounds its own.
const POOL: usize = 4096;
/// Attempts that pingora allows a request; `retries.attempts` is less.
const MOST_ATTEMPTS: usize = 64;
/// How long each log may take to write its last lines.
const LAST_LINES: Duration = Duration::from_secs(5);

/// How the process is started, besides its configuration.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Start {
    /// Take the sockets over from the running process.
    pub(crate) upgrade: bool,
    /// Run in the background.
    pub(crate) daemon: bool,
}

/// Checks a configuration as start does, and changes nothing; gives what is odd
/// about a good one.
pub(crate) fn test(written: &Written) -> Result<Vec<String>, config::Report> {
    let (_, plan) = written.load()?.build(|config| Plan::new(config, &Metrics::new()))?;
    Ok([certificate_warnings(&plan.listeners), plan.site.warnings()].concat())
}

/// Runs until the process is told to end.
pub(crate) fn run(written: Written, start: Start) -> Result<()> {
    let metrics = Metrics::new();
    let (config, mut plan) = written.load()?.build(|config| Plan::new(config, &metrics))?;
    let settings = &config.server;
    let owner = Owner::new(settings.user.as_deref())?;
    // First, for the logs may lie in it.
    owner.keep_private(folder_of(&settings.upgrade_sock))?;
    let dropped = metrics.lines_dropped().error;
    let path = settings.error_log.as_deref();
    let error_log = crate::log::init(config.log.level, path, owner.uid(), dropped)?;
    if let Some(warning) = descriptors::raise(settings, settings.workers(), &plan) {
        ::log::warn!("{warning}");
    }
    let pid_file = PidFile::new(&settings.pid_file, owner);
    let inherited = if start.upgrade { Some(take_over(&settings.upgrade_sock)?) } else { None };
    let mut sockets = Sockets::open(&plan, inherited)?;
    let token = token(&config, &sockets, owner).inspect_err(|error| sockets.refuse(error))?;
    plan.site.seal = find_seal(&settings.upgrade_sock.with_file_name("challenge.key"), owner);
    plan.site.resolve_now()?;
    let ledger = Ledger::default();
    crate::control::learn(&plan.site, &ledger, sockets.snapshot.as_ref());
    if sockets.predecessor.is_none() {
        BanFile::beside(&settings.upgrade_sock, owner).read(&ledger);
    }
    let is_daemon = start.daemon || settings.daemon.0;
    let named = pid_file.clone();
    let process =
        Process { written, config, owner, metrics, ledger, error_log, token, is_daemon, pid_file };
    let done = process.run(plan, sockets);
    named.leave(matches!(done, Ok(Place::Taken)));
    done.map(drop)
}

/// The admin token, if it is asked for. The file that a made one is in is
/// written only here, where the sockets are ours: until then it may be that of
/// a running process.
fn token(config: &Config, sockets: &Sockets, owner: Owner) -> Result<Option<Token>> {
    if sockets.admin.is_none() {
        return Ok(None);
    }
    let made = config.server.upgrade_sock.with_file_name("admin.token");
    let token = match (Token::configured(&config.admin.token), &sockets.predecessor) {
        (Some(token), _) => token,
        (None, Some(_)) => Token::inherit(&made, owner)?,
        (None, None) => Token::make(&made, owner)?,
    };
    Ok(Some(token))
}

/// Everything of a configuration that could be wrong, built.
struct Plan {
    site: Site,
    listeners: Vec<Arc<Listener>>,
    admin: Option<Arc<Listener>>,
    admin_hosts: AdminHosts,
}

impl Plan {
    fn new(config: &Config, metrics: &Metrics) -> Result<Plan, Faults> {
        let mut faults = Faults::none();
        let site = Site::build(config, metrics, None).map_err(|found| faults.extend(found)).ok();
        let listeners = faults.collect("listeners", build_listeners(config));
        let admin = faults.collect("admin", settings::admin_listener(config));
        let admin_hosts = faults.collect("admin", AdminHosts::new(&config.admin));
        faults.collect("server", settings::check(&config.server));
        faults.into_result(|| {
            let (site, listeners, admin) = (site?, listeners?, admin?);
            Some(Plan { site, listeners, admin, admin_hosts: admin_hosts? })
        })
    }

    fn all_listeners(&self) -> impl Iterator<Item = &Arc<Listener>> {
        self.listeners.iter().chain(&self.admin)
    }
}

fn build_listeners(config: &Config) -> Result<Vec<Arc<Listener>>, Faults> {
    let mut faults = Faults::none();
    let mut listeners = Vec::new();
    let mut addresses: Vec<(usize, SocketAddr)> = Vec::new();
    for (index, written) in config.listeners.iter().enumerate() {
        listeners.extend(faults.collect(index, Listener::new(written)).map(Arc::new));
        let Ok(address) = written.address.parse() else { continue };
        if let Some((other, what)) = settings::taken(address, addresses.iter().copied()) {
            let address_of = |index: usize| KeyPath::root().child(index).child("address");
            faults.add_beside(address_of(index), vec![address_of(other)], what);
        } else {
            addresses.push((index, address));
        }
    }
    if config.listeners.is_empty() {
        faults.extend(Faults::one("none; write at least `- address: 0.0.0.0:8080`"));
    }
    faults.into_result(|| Some(listeners))
}

/// The sockets of a process, and the process before it if they are its.
struct Sockets {
    listeners: Vec<Opened>,
    admin: Option<Opened>,
    predecessor: Option<Answer>,
    /// What the process before knew.
    snapshot: Option<Snapshot>,
}

/// What a running process handed over.
struct Inherited {
    sockets: Vec<(String, std::net::TcpListener)>,
    snapshot: Option<Snapshot>,
    answer: Answer,
}

/// Waits for the running process to hand over its sockets.
fn take_over(upgrade_sock: &Path) -> Result<Inherited> {
    ::log::info!("waiting for the running process: send it SIGQUIT");
    let receiver = Receiver::bind(upgrade_sock)?;
    let Handover { sockets, snapshot, answer } = receiver.accept(TAKEOVER)?;
    Ok(Inherited { sockets, snapshot, answer })
}

impl Sockets {
    /// Opens every socket that was not inherited; inherited ones that no
    /// listener has any more are closed.
    fn open(plan: &Plan, inherited: Option<Inherited>) -> Result<Sockets> {
        let (mut ready, snapshot, answer) = match inherited {
            Some(Inherited { sockets, snapshot, answer }) => (sockets, snapshot, Some(answer)),
            None => (Vec::new(), None, None),
        };
        let open = |(index, listener)| {
            let of_admin = index == plan.listeners.len();
            let key =
                if of_admin { "admin.listen".to_owned() } else { format!("listeners[{index}]") };
            open_one(listener, &mut ready).context(key)
        };
        let opened: Result<Vec<Opened>> = plan.all_listeners().enumerate().map(open).collect();
        match (opened, answer) {
            (Ok(mut opened), predecessor) => {
                // It is the last of all.
                let admin = opened.split_off(plan.listeners.len()).pop();
                Ok(Sockets { listeners: opened, admin, predecessor, snapshot })
            }
            (Err(error), None) => Err(error),
            (Err(error), Some(answer)) => {
                tell_why(answer, &error);
                Err(error)
            }
        }
    }

    /// Leaves them to the running process, if they are its.
    fn refuse(&mut self, error: &anyhow::Error) {
        if let Some(answer) = self.predecessor.take() {
            tell_why(answer, error);
        }
    }

    fn all(&self) -> Vec<Opened> {
        self.listeners.iter().chain(&self.admin).cloned().collect()
    }
}

fn tell_why(answer: Answer, error: &anyhow::Error) {
    if let Err(unheard) = answer.failed(&format!("{error:#}")) {
        ::log::warn!("the running process did not hear why: {unheard}");
    }
}

fn open_one(
    listener: &Arc<Listener>,
    ready: &mut Vec<(String, std::net::TcpListener)>,
) -> Result<Opened> {
    let inherited = ready.iter().position(|(name, _)| **name == *listener.name);
    let socket = match inherited {
        Some(at) => ready.swap_remove(at).1,
        None => tidegate_sockets::open(listener.address)?,
    };
    Ok(Opened { listener: listener.clone(), socket: Arc::new(socket) })
}

/// Whether a process served in its place, or was told to end before.
enum Place {
    Taken,
    Left,
}

/// A process whose parts are all there.
struct Process {
    written: Written,
    config: Config,
    owner: Owner,
    metrics: Metrics,
    ledger: Ledger,
    error_log: ErrorLog,
    /// Of the admin listener, if there is one.
    token: Option<Token>,
    is_daemon: bool,
    pid_file: PidFile,
}

impl Process {
    fn run(self, plan: Plan, sockets: Sockets) -> Result<Place> {
        let (logs, log_drains) = self.open_logs()?;
        let conf = self.pingora_conf();
        let starter = self.leave_if_told()?;
        let state = State::new(self.metrics, logs, self.ledger, leaked_vault(&self.config)?);
        let site = Arc::new(ArcSwap::from_pointee(plan.site));
        let settings = &self.config.server;
        let (closing, shutdown) = watch::channel(false);
        let (replaced, admin_shutdown) = watch::channel(false);
        let (cut, cutting) = watch::channel(false);
        let (served, serving) = watch::channel(Serving::NotYet);
        let (handled, signals) = watch::channel(false);
        let (settled, has_settled) = watch::channel(false);
        let reloader = Arc::new(Reloader::new(self.written, site.clone(), state.clone()));
        let (seats, bans) = settings::held(settings, self.owner, &state);
        let stop = Stop {
            state: state.clone(),
            reloader: reloader.clone(),
            seats: seats.clone(),
            closing,
            replaced,
            handled,
            cut,
            serving: serving.clone(),
            drain: settings.drain.0,
            upgrade_sock: settings.upgrade_sock.clone(),
            bans: bans.clone(),
            sockets: Mutex::new(sockets.all()),
            name_again: self.pid_file.keeper(),
        };
        let mut server = Server::new_with_opt_and_conf(None, conf);
        let apps = (0..server.configuration.threads).map(|worker| {
            let conductor = Conductor::new(site.clone(), state.clone(), worker);
            Arc::new(proxy(&server.configuration, conductor))
        });
        let door = Arc::new(FrontDoor::new(site.clone(), state.clone()));
        let listeners = sockets.listeners.iter().map(|opened| opened.listener.clone()).collect();
        let shutdown = Shutdown::new(shutdown, cutting.clone());
        let edge = Edge::new(sockets.listeners, seats, door, apps.collect(), shutdown.clone())
            .announce(served.clone());
        let admin = sockets.admin.zip(self.token).map(|(opened, token)| {
            let guard = Guard::new(opened.listener.address, plan.admin_hosts, token);
            let (reloader, state) = (reloader.clone(), state.clone());
            let shutdown = Shutdown::new(admin_shutdown, cutting);
            admin_edge(opened, Admin { reloader, state, guard }, shutdown)
        });
        let control = server.add_service(Control {
            reloader,
            state: state.clone(),
            listeners,
            error_log: self.error_log.clone(),
            bans,
            log_drains,
            predecessor: sockets.predecessor,
            starter,
            signals,
            name_process: naming(self.is_daemon, &self.pid_file),
            serves: served,
            closing: shutdown.watch().clone(),
            settled,
        });
        server.add_service(edge).add_dependency(&control);
        if let Some(admin) = admin {
            server.add_service(admin).add_dependency(&control);
        }
        server.run(RunArgs { shutdown_signal: Box::new(stop) });
        state.logs.finish(LAST_LINES);
        self.error_log.finish(LAST_LINES);
        place(&serving, &has_settled)
    }

    fn open_logs(&self) -> Result<(Logs, Vec<Drain>)> {
        Logs::open(&self.config.log, self.owner.uid(), &self.metrics).map_err(|faults| {
            let whats: Vec<_> = faults.iter().map(|fault| fault.what.as_str()).collect();
            anyhow::anyhow!("{}", whats.join("; "))
        })
    }

    /// As a daemon, goes on in the background.
    fn leave_if_told(&self) -> Result<Option<Starter>> {
        if !self.is_daemon {
            return Ok(None);
        }
        daemon::leave(&self.config.server, &self.error_log, &self.pid_file).map(Some)
    }

    /// What pingora is told; the rest is done here.
    fn pingora_conf(&self) -> ServerConf {
        ServerConf {
            threads: self.config.server.workers(),
            upstream_keepalive_pool_size: POOL,
            max_retries: MOST_ATTEMPTS,
            ..ServerConf::default()
        }
    }
}

/// The store. Pingora keeps what it asks for ever.
fn leaked_vault(config: &Config) -> Result<&'static Vault> {
    Ok(Box::leak(Box::new(Vault::open(&config.cache)?)))
}

/// What became of the place of a process that has ended.
fn place(serving: &watch::Receiver<Serving>, settled: &watch::Receiver<bool>) -> Result<Place> {
    let may_serve = *serving.borrow() != Serving::Never;
    anyhow::ensure!(may_serve, "nothing was served; the log says why");
    Ok(if *settled.borrow() { Place::Taken } else { Place::Left })
}

/// Writes the pid file, but for a daemon, which has written it as root.
fn naming(is_daemon: bool, pid_file: &PidFile) -> Option<Naming> {
    let pid_file = pid_file.clone();
    (!is_daemon).then(|| Box::new(move || pid_file.write()) as Naming)
}

/// The proxy of one worker.
fn proxy(conf: &Arc<ServerConf>, conductor: Conductor) -> HttpProxy<Conductor> {
    let mut options = HttpServerOptions::default();
    // The conductor refuses CONNECT; pingora would with neither page nor record.
    options.allow_connect_method_proxying = true;
    let mut proxy = pingora_proxy::http_proxy(conf, conductor);
    proxy.server_options = Some(options);
    proxy
}

fn admin_edge(opened: Opened, admin: Admin, shutdown: Shutdown) -> Edge<AdminDoor, Admin> {
    let bounds = Bounds { connections: ADMIN_CONNECTIONS, per_client: ADMIN_CONNECTIONS };
    let (door, apps) = (Arc::new(AdminDoor), vec![Arc::new(admin)]);
    Edge::new(vec![opened], Seats::new(bounds), door, apps, shutdown)
}
