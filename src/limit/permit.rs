//! What one route allows, and the right of one request to be under way on it.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::advance::{Advance, Said};
use super::allowance::{Ask, RateLimit, Who};
use super::config::Counted;
use super::counts::Held;
use super::{Exceeded, Ledger};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The right of one request to be under way.
#[derive(Debug, Default)]
pub(crate) struct Permit {
    // Given back when it is dropped.
    _held: [Option<Held>; 2],
    of_requests: Said,
    // As it is after what has come of the body.
    of_bodies: Said,
}

impl Permit {
    /// What the answer says of allowances.
    pub(crate) fn shown(&self) -> Vec<(HeaderName, HeaderValue)> {
        fields(self.of_requests.iter().chain(&self.of_bodies))
    }
}

/// What one route allows.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    requests: Vec<Arc<RateLimit>>,
    // Of bytes of bodies.
    bytes: Vec<Arc<RateLimit>>,
    // Requests under way.
    concurrency: Option<u32>,
    concurrency_per_client: Option<u32>,
}

impl Limits {
    pub(crate) fn new(
        limits: Vec<Arc<RateLimit>>,
        concurrency: Option<u32>,
        concurrency_per_client: Option<u32>,
    ) -> Self {
        let (requests, bytes) =
            limits.into_iter().partition(|limit| limit.count == Counted::Requests);
        Limits { requests, bytes, concurrency, concurrency_per_client }
    }

    /// Whether bodies have to be told to [`Limits::take_body`].
    pub(crate) fn bound_bodies(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Takes what a request needs for its permit. It may have to wait for that;
    /// if that were for longer than `patience`, there is none.
    pub(crate) fn take<'a>(
        &'a self,
        ledger: &'a Ledger,
        ask: &Ask<'_>,
        patience: Duration,
    ) -> Result<Advance<'a>, Exceeded> {
        Advance::take(ledger, &self.requests, ask, 1, patience)
    }

    /// The permit of a request that has waited for what it took.
    pub(crate) fn permit(
        &self,
        ledger: &Ledger,
        ask: &Ask<'_>,
        advance: Advance<'_>,
    ) -> Result<Permit, Exceeded> {
        // Only now: who waits for an allowance would keep others from a place.
        let held = self.hold(ledger, ask)?;
        let of_requests = advance.said();
        advance.keep();
        Ok(Permit { _held: held, of_requests, of_bodies: ledger.look(&self.bytes, ask) })
    }

    /// Takes a piece of a body into account; it may have to wait for that.
    pub(crate) fn take_body<'a>(
        &'a self,
        ledger: &'a Ledger,
        ask: &Ask<'_>,
        bytes: u64,
        permit: Option<&mut Permit>,
    ) -> Result<Advance<'a>, Exceeded> {
        let taken = Advance::take(ledger, &self.bytes, ask, bytes, Duration::MAX);
        if let Some(permit) = permit {
            // A rejection says itself what is left.
            permit.of_bodies = taken.as_ref().map(Advance::said).unwrap_or_default();
        }
        taken
    }

    fn hold(&self, ledger: &Ledger, ask: &Ask<'_>) -> Result<[Option<Held>; 2], Exceeded> {
        Ok([self.hold_of_route(ledger, ask)?, self.hold_of_client(ledger, ask)?])
    }

    fn hold_of_route(&self, ledger: &Ledger, ask: &Ask<'_>) -> Result<Option<Held>, Exceeded> {
        let Some(most) = self.concurrency else { return Ok(None) };
        let held = ledger.counts.take(("route", ask.route), most);
        held.map(Some).ok_or(Exceeded::Route)
    }

    fn hold_of_client(&self, ledger: &Ledger, ask: &Ask<'_>) -> Result<Option<Held>, Exceeded> {
        let Some(most) = self.concurrency_per_client else { return Ok(None) };
        if ask.who == Who::Proxy {
            return Ok(None);
        }
        let held = ledger.counts.take((ask.client, ask.route), most);
        held.map(Some).ok_or(Exceeded::ClientOfRoute)
    }
}

/// The fields of several limits, each a list of items (RFC 9651).
pub(super) fn fields<'a>(
    said: impl IntoIterator<Item = &'a (String, String)>,
) -> Vec<(HeaderName, HeaderValue)> {
    let (limits, policies): (Vec<&str>, Vec<&str>) =
        said.into_iter().map(|(limit, policy)| (limit.as_str(), policy.as_str())).unzip();
    if limits.is_empty() {
        return Vec::new();
    }
    [(RATE_LIMIT, limits), (RATE_LIMIT_POLICY, policies)]
        .into_iter()
        .filter_map(|(name, items)| Some((name, HeaderValue::try_from(items.join(", ")).ok()?)))
        .collect()
}
