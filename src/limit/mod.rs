//! How much: whether a client, or all of them, ask too much of a route.
//!
//! A request that passes holds a [`Permit`] until it is over.

use std::sync::Arc;

/// The right of one request to be under way.
#[derive(Debug)]
pub(crate) struct Permit {}

/// Why there is no permit.
#[derive(Debug, Clone)]
pub(crate) enum Exceeded {}

impl Exceeded {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match *self {}
    }

    /// What of the configuration says so, by its name.
    pub(crate) fn rule(&self) -> Option<Arc<str>> {
        match *self {}
    }
}

/// What one route allows.
#[derive(Debug, Default)]
pub(crate) struct Limits {}

impl Limits {
    /// A permit for a request, which may have to wait for it.
    #[expect(clippy::unused_async, reason = "a rate may be kept by waiting")]
    pub(crate) async fn take(&self) -> Result<Permit, Exceeded> {
        Ok(Permit {})
    }
}
