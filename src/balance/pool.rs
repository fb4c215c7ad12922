//! The servers of one upstream, from their words to the one that answers.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderName;
use log::warn;
use pingora::protocols::l4::socket::SocketAddr;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::address::Place;
use super::config::{Balance, Config, Key, Outlier, Sticky, WhenNoneHealthy};
use super::entry::Entry;
use super::health::{Checker, Checks};
use super::lease::Lease;
use super::members::{MAX_SERVERS, Member, Members, Rules};
use super::names::{self, Answer, Found};
use super::server::Server;
use super::status::ServerStatus;
use super::{Ask, NoServer};
use crate::fault::{Faults, KeyPath};

/// The servers of one upstream.
///
/// What is known of a server lives on in the pool that a reload puts in place
/// of this one, as long as its name and address stay.
#[derive(Debug)]
pub(crate) struct Pool {
    name: Arc<str>,
    entries: Vec<Entry>,
    rules: Arc<Rules>,
    checks: Option<Checks>,
    is_required: bool,
    /// Held while a new list of members is made.
    found: Mutex<Found>,
    members: ArcSwap<Members>,
    /// Told when there are new members.
    changed: Notify,
}

impl Pool {
    /// Faults are relative to the upstream: `servers[0].address`.
    pub(crate) fn new(
        name: &str,
        config: &Config,
        previous: Option<&Pool>,
    ) -> Result<Pool, Faults> {
        let mut faults = config.balance.faults();
        faults.extend(config.sticky.as_ref().map(Sticky::faults).unwrap_or_default());
        faults.extend(config.outlier.as_ref().map(Outlier::faults).unwrap_or_default());
        let keep = |faults: &mut Faults, bad: Faults| faults.extend(bad);
        let entries = Entry::read_all(&config.servers).map_err(|bad| keep(&mut faults, bad)).ok();
        let checks = config.health.as_ref().map(|health| Checks::new(health, config.peer.clone()));
        let checks = match checks.transpose() {
            Ok(checks) => checks,
            Err(bad) => {
                faults.extend(bad.under("health"));
                None
            }
        };
        let entries = faults.into_result(|| entries)?;
        Ok(Pool::start(name, config, entries, checks, previous))
    }

    /// Chooses the server of one attempt.
    pub(crate) fn pick(&self, ask: &Ask<'_>) -> Result<Lease, NoServer> {
        Lease::pick(&self.members.load(), ask)
    }

    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        ServerStatus::of_all(&self.members.load())
    }

    /// Whether a request would find a server that is up, or any if that must do.
    pub(crate) fn has_server(&self) -> bool {
        let members = self.members.load();
        let now = Instant::now();
        let any_will_do = members.rules.when_none_healthy == WhenNoneHealthy::TryAll;
        members.list.iter().any(|member| any_will_do || members.is_up(&member.server, now))
    }

    /// Whether the site is not ready while this pool has no server.
    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(crate) fn needs_resolving(&self) -> bool {
        self.entries.iter().any(|entry| entry.to_resolve().is_some())
    }

    pub(crate) fn checks_health(&self) -> bool {
        self.checks.is_some()
    }

    /// Looks up every name once. One without an answer keeps its last addresses.
    pub(crate) async fn resolve(&self) {
        let answers = names::look_up(&self.entries).await;
        self.settle(answers);
    }

    /// Looks names up again and again; ends only by being dropped.
    pub(crate) async fn keep_resolved(self: Arc<Self>) {
        loop {
            sleep(names::PERIOD).await;
            self.resolve().await;
        }
    }

    /// Checks servers again and again, at once first; ends only by being dropped.
    pub(crate) async fn keep_checked(self: Arc<Self>) {
        let Some(checks) = &self.checks else { return std::future::pending().await };
        let checker = Checker::new(checks);
        loop {
            let next = Instant::now() + checker.pause();
            checker.check(&self.members.load_full()).await;
            tokio::select! {
                () = sleep_until(next) => {}
                // New servers are checked at once too.
                () = self.changed.notified() => {}
            }
        }
    }

    fn start(
        name: &str,
        config: &Config,
        entries: Vec<Entry>,
        checks: Option<Checks>,
        previous: Option<&Pool>,
    ) -> Pool {
        let name: Arc<str> = name.into();
        let found = match previous {
            Some(old) => Found::new(&entries, Some((&old.entries, &old.found()))),
            None => Found::new(&entries, None),
        };
        let old = previous.map(|old| old.members.load_full());
        let rules = Arc::new(Rules::new(config));
        let list = gather(&name, &entries, &found, old.as_deref());
        let members = ArcSwap::from_pointee(Members { rules: rules.clone(), list });
        Pool {
            name,
            entries,
            rules,
            checks,
            is_required: config.required.0,
            found: Mutex::new(found),
            members,
            changed: Notify::new(),
        }
    }

    /// Takes in answers, and new members if they lead elsewhere.
    fn settle(&self, answers: Vec<(usize, Answer)>) {
        let mut found = self.found();
        for (index, answer) in answers {
            if let Some(entry) = self.entries.get(index) {
                found.settle(&self.name, index, entry, answer);
            }
        }
        let old = self.members.load_full();
        let list = gather(&self.name, &self.entries, &found, Some(&old));
        let is_same = list.len() == old.list.len()
            && list.iter().zip(&old.list).all(|(new, old)| Arc::ptr_eq(&new.server, &old.server));
        if !is_same {
            self.members.store(Arc::new(Members { rules: self.rules.clone(), list }));
            self.changed.notify_one();
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The servers of all entries; those that were known stay the same.
fn gather(pool: &Arc<str>, entries: &[Entry], found: &Found, old: Option<&Members>) -> Vec<Member> {
    let old = old.map_or(&[][..], |old| &old.list);
    let mut list: Vec<Member> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let fixed = match &entry.address.place {
            Place::Fixed(address) => Some(address.clone()),
            Place::Named(_) => None,
        };
        let named = found.addresses(index).iter().copied().map(SocketAddr::Inet);
        for address in fixed.into_iter().chain(named) {
            let new =
                Server::new(pool.clone(), entry.name.clone(), entry.address.host.clone(), address);
            // Two names may lead to the same address: the first one has it.
            if list.iter().any(|member| member.server.id() == new.id()) {
                continue;
            }
            if list.len() == MAX_SERVERS {
                warn!("{pool}: has more than {MAX_SERVERS} servers; the rest is left out");
                return list;
            }
            let known = old.iter().map(|member| &member.server).find(|server| server.is_same(&new));
            let server = known.cloned().unwrap_or_else(|| {
                // Among servers at work, a new one starts slowly.
                if !old.is_empty() {
                    new.come_up(0);
                }
                Arc::new(new)
            });
            list.push(Member {
                server,
                weight: entry.weight,
                is_backup: entry.is_backup,
                turn: AtomicI64::new(0),
            });
        }
    }
    list
}

impl Balance {
    fn faults(&self) -> Faults {
        let at = |key: &str| ["balance", "consistent_hash", key].into_iter().collect::<KeyPath>();
        let (key, wrong) = match self {
            Balance::ConsistentHash(Key::Header(name)) => ("header", not_a_token(name)),
            Balance::ConsistentHash(Key::Cookie(name)) => ("cookie", not_a_token(name)),
            _ => return Faults::none(),
        };
        wrong.map_or_else(Faults::none, |what| Faults::none().with(at(key), what))
    }
}

impl Sticky {
    fn faults(&self) -> Faults {
        let wrong = not_a_token(&self.cookie);
        wrong.map_or_else(Faults::none, |what| Faults::at("cookie", what).under("sticky"))
    }
}

impl Outlier {
    fn faults(&self) -> Faults {
        let mut faults = Faults::none();
        if self.errors == 0 {
            faults.extend(Faults::at("errors", "is 0; write how many failures in a row"));
        }
        if self.eject.0.is_zero() {
            faults.extend(Faults::at("eject", "is 0; write for how long, like 10s"));
        }
        faults.under("outlier")
    }
}

/// What is wrong with the name of a header or a cookie: both are tokens (RFC 9110 §5.6.2).
fn not_a_token(name: &str) -> Option<String> {
    // A header name is exactly a token.
    HeaderName::try_from(name)
        .err()
        .map(|_| format!("`{name}` is no token; write letters, digits and -"))
}
