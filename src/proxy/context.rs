//! What a request gathers on its way; one for each, gone with it.

use std::sync::Arc;
use std::time::Duration;

use pingora::http::ResponseHeader;
use tokio::time::Instant;

use crate::access::Granted;
use crate::balance::{Lease, ServerId};
use crate::client::{Client, Place, RequestId};
use crate::limit::{Held, Permit, Slot};
use crate::listen::Exchange;
use crate::log::{Cause, Failure};
use crate::respond::Encoder;
use crate::site::{Route, Site};
use crate::upstream::{InUse, Need, Upstream};
use crate::waf::{Findings, Inspection};

use super::ahead::Next;
use super::cached::Cached;
use super::cutting::Cutting;
use super::refuse::{Refusal, Told};
use super::slice::Wish;

/// The state of one request. Rooms do not see it; they take what they need.
pub(crate) struct Context {
    pub(super) site: Arc<Site>,
    /// The index of the worker that serves it.
    pub(super) worker: usize,
    pub(super) exchange: Option<Arc<Exchange>>,
    pub(super) client: Option<Client>,
    /// Where the client is from, as far as its route asks.
    pub(super) place: Place,
    pub(super) request_id: Option<RequestId>,
    pub(super) route: Option<Arc<Route>>,
    /// What the route's access has found out.
    pub(super) granted: Granted,
    /// The target as the client wrote it, where that is no path; pingora forgets it.
    pub(super) absolute_target: Option<String>,
    /// The query as the client wrote it, where the request has another one since.
    pub(super) written_query: Option<String>,
    /// That it is counted among its client's requests, until it is over.
    pub(super) under_way: Option<Held>,
    /// The right to be under way on its route, until it is over.
    pub(super) permit: Option<Permit>,
    /// The right to be waited for, until its answer begins.
    pub(super) slot: Option<Slot>,
    /// As long as something of the request is to be judged or, judged, to be sent;
    /// and of its answer, where that is judged.
    pub(super) inspection: Option<Inspection>,
    /// The head of a server's answer that waits for the verdict on its body.
    pub(super) withheld: Option<Box<ResponseHeader>>,
    /// What the rules found, if there are any.
    pub(super) findings: Option<Findings>,
    /// What is asked of the server; none before a route with servers is found.
    pub(super) forward: Option<Forward>,
    /// What it wants of the cache; none where its route has none.
    pub(super) cached: Option<Cached>,
    /// The answer, where it is kept in slices while it passes.
    pub(super) cutting: Option<Box<Cutting>>,
    /// It is asked for everybody, beside a client that has its answer.
    pub(super) is_background: bool,
    /// The slice that it asks for, if it is for one.
    pub(super) slice: Option<Box<Wish>>,
    /// What it is for, if a client is to ask for that next.
    pub(super) ahead: Option<Box<Next>>,
    /// The most bytes of body that may come.
    pub(super) body_limit: u64,
    /// How much of the body rate limits know of.
    pub(super) metered: Metered,
    pub(super) encoder: Option<Encoder>,
    /// Why the request was refused, if it was.
    pub(super) refusal: Option<(Told, Option<Arc<str>>)>,
    /// What a hook told pingora by an error, kept for the answer.
    pub(super) failure: Option<Refusal>,
    pub(super) error: Option<String>,
}

/// The request as it goes to a server, and how its attempts went.
pub(super) struct Forward {
    pub(super) upstream: Arc<Upstream>,
    pub(super) need: Need,
    /// The target, where it is not the client's own.
    pub(super) target: Option<String>,
    /// The Host, where it is not the client's own.
    pub(super) host: Option<String>,
    /// The client's own Host, as text.
    pub(super) client_host: String,
    pub(super) tried: Vec<ServerId>,
    pub(super) lease: Option<Lease>,
    pub(super) attempts: u32,
    /// Pooled connections that had been closed when the request was sent.
    pub(super) stale: u32,
    pub(super) failures: Vec<Failure>,
    /// The use of a connection by the current attempt.
    pub(super) in_use: Option<InUse>,
    /// Since when an answer of the server is awaited: the last piece of the
    /// request's body, or else the choice of the server.
    pub(super) began: Instant,
    pub(super) connect: Option<Duration>,
    pub(super) first_byte: Option<Duration>,
    pub(super) status: Option<u16>,
    /// Whether another server is asked instead, where that is decided before its
    /// answer is looked at.
    pub(super) goes_elsewhere: Option<bool>,
    /// How long either side may be silent from here on.
    pub(super) silence: Option<Duration>,
    /// Whether the client has been told all of the answer.
    pub(super) is_answered: bool,
}

impl Forward {
    /// Begins an attempt; nothing is left of how the one before it went.
    pub(super) fn begin(&mut self, lease: Lease) {
        self.attempts += 1;
        self.tried.push(lease.server().id());
        self.lease = Some(lease);
        self.began = Instant::now();
        self.connect = None;
        self.first_byte = None;
        self.status = None;
        self.goes_elsewhere = None;
        self.silence = None;
        self.is_answered = false;
    }
}

/// How much of a body has been counted; what is sent again counts once.
#[derive(Debug, Default)]
pub(super) struct Metered {
    sent: u64,
    // Invariant: the most that `sent` ever was.
    counted: u64,
}

impl Metered {
    /// Another attempt sends the body from its beginning.
    pub(super) fn begin(&mut self) {
        self.sent = 0;
    }

    /// How many of the next `bytes` are sent for the first time.
    pub(super) fn new_of(&mut self, bytes: u64) -> u64 {
        self.sent += bytes;
        let new = self.sent.saturating_sub(self.counted);
        self.counted += new;
        new
    }
}

/// Where the connection of an attempt is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    New,
    Pooled,
}

/// Which piece of a body is at hand; the last may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Inner,
    Last,
}

impl Context {
    pub(super) fn new(site: Arc<Site>, worker: usize) -> Self {
        Context {
            site,
            worker,
            exchange: None,
            client: None,
            place: Place::default(),
            request_id: None,
            route: None,
            granted: Granted::default(),
            absolute_target: None,
            written_query: None,
            under_way: None,
            permit: None,
            slot: None,
            inspection: None,
            withheld: None,
            findings: None,
            forward: None,
            cached: None,
            cutting: None,
            is_background: false,
            slice: None,
            ahead: None,
            body_limit: u64::MAX,
            metered: Metered::default(),
            encoder: None,
            refusal: None,
            failure: None,
            error: None,
        }
    }

    /// Notes for the record why the request is refused.
    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.refusal = Some((refusal.told(), refusal.rule()));
    }

    /// The same, as the record has it.
    pub(super) fn cause(&self) -> Option<Cause<'_>> {
        self.refusal.as_ref().map(|(told, rule)| Cause {
            room: told.room,
            tag: told.tag,
            rule: rule.as_deref(),
            blame: told.blame,
        })
    }

    /// The exchange this request is, once `begin` has found it.
    pub(super) fn exchange(&self) -> Option<&Arc<Exchange>> {
        self.exchange.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_not_new() {
        let mut metered = Metered::default();
        assert_eq!([10, 5].map(|bytes| metered.new_of(bytes)), [10, 5]);
        metered.begin();
        assert_eq!([12, 8, 1].map(|bytes| metered.new_of(bytes)), [0, 5, 1]);
    }
}
