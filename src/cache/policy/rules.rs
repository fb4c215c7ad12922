//! What a profile says where the standards leave a choice.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;

use super::statuses::is_heuristic;

/// How long a stale response may stand in where neither server nor profile says.
pub(super) const STAND_IN: Duration = Duration::from_secs(86_400);

/// Whether more is asked of a response than the standards ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Strictness {
    /// A response that sets cookies is stored only where the server says that
    /// it is for several clients.
    #[default]
    Safe,
    /// RFC 9111 alone.
    Rfc,
}

/// Whether clients may ask for a response that the cache would not give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Clients {
    /// Their Cache-Control is passed over, as it is by most caches of servers:
    /// whoever could have each request go to the server could bring it down.
    #[default]
    PassedOver,
    Heeded,
}

/// The choices of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Rules {
    pub strictness: Strictness,
    pub clients: Clients,
    /// How long a response is fresh if its server does not say.
    pub ttl: Option<Duration>,
    /// The same by status; it outranks `ttl`.
    pub statuses: BTreeMap<u16, Duration>,
    /// How long a stale response is sent while a new one is fetched, if its
    /// server does not say.
    pub stale_while_revalidate: Duration,
    /// How long it is sent where the server fails or cannot be reached, likewise.
    pub stale_if_error: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Rules {
            strictness: Strictness::default(),
            clients: Clients::default(),
            ttl: None,
            statuses: BTreeMap::new(),
            stale_while_revalidate: Duration::ZERO,
            stale_if_error: STAND_IN,
        }
    }
}

impl Rules {
    /// How long a response is fresh whose server does not say; `ttl` is not for
    /// errors, which must be named.
    pub(super) fn lifetime(&self, status: StatusCode) -> Option<Duration> {
        let is_meant = is_heuristic(status) && status.as_u16() < 400;
        let named = self.statuses.get(&status.as_u16()).copied();
        named.or_else(|| self.ttl.filter(|_| is_meant))
    }
}
