//! One request on one server, from the choice to its end.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::time::Instant;

use super::choose::choose;
use super::members::Members;
use super::server::Server;
use super::{Ask, NoServer};
use crate::listen::Channel;

/// How an attempt went, as far as the server is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It answered, the head of its answer after this time.
    Answered(Duration),
    Failed,
}

/// A request under way on a server; ends when dropped.
///
/// A lease that ends without a report says nothing about the server: the
/// client went away.
#[derive(Debug)]
pub(crate) struct Lease {
    members: Arc<Members>,
    server: Arc<Server>,
    is_new_to_client: bool,
    is_reported: bool,
}

impl Lease {
    /// Chooses the server of one attempt.
    pub(super) fn pick(members: &Arc<Members>, ask: &Ask<'_>) -> Result<Lease, NoServer> {
        let now = Instant::now();
        let named = members.rules.sticky.as_ref().and_then(|sticky| sticky.named(ask.headers));
        let remembered = named.and_then(|id| members.find(id, ask, now));
        if let Some(lease) = remembered.and_then(|at| Lease::begin(members, at)) {
            return Ok(lease);
        }
        // A server may become busy between the choice and its lease.
        for _ in 0..members.list.len().max(1) {
            let candidates = members.candidates(ask, now)?;
            let at = choose(&members.rules.balance, ask, &candidates);
            let is_new = candidates.get(at).is_some_and(|member| Some(member.server.id()) != named);
            if let Some(mut lease) = Lease::begin(members, at) {
                lease.is_new_to_client = is_new;
                return Ok(lease);
            }
        }
        Err(NoServer::AllBusy)
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Tells how the attempt went. Only the first report of a lease counts.
    pub(crate) fn report(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_reported, true) {
            return;
        }
        let now = Instant::now();
        let age = self.server.age_ms(now);
        match outcome {
            Outcome::Answered(took) => {
                self.server.latency.observe(age, took);
                self.server.ejection.forgive();
            }
            Outcome::Failed => {
                self.server.latency.fail(age);
                self.server.count_failure();
                if let Some(ejector) = &self.members.rules.outlier {
                    ejector.fail(&self.server, &self.members, now);
                }
            }
        }
    }

    /// A Set-Cookie for the answer, if the client's cookie does not name the
    /// server.
    pub(crate) fn sticky_cookie(&self, channel: Channel) -> Option<HeaderValue> {
        let sticky = self.members.rules.sticky.as_ref().filter(|_| self.is_new_to_client)?;
        Some(sticky.set_cookie(self.server.id(), channel))
    }

    /// On the server that the client knows, unless told otherwise; `None` if
    /// that has all the requests it may have.
    fn begin(members: &Arc<Members>, at: usize) -> Option<Lease> {
        let server = &members.list.get(at)?.server;
        server.begin(members.rules.max_per_server).then(|| Lease {
            members: members.clone(),
            server: server.clone(),
            is_new_to_client: false,
            is_reported: false,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server.end();
    }
}
