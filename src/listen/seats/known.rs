//! The client networks that were served lately, as far as they are remembered.

use std::time::Duration;

use super::recent::Recent;
use crate::networks::ClientKey;

/// Half of those that are remembered: some 32,000 clients in less than a megabyte.
const MOST: usize = 16 * 1024;
/// At most twice that.
const LATELY: Duration = Duration::from_secs(30 * 60);

/// Remembers who was served.
#[derive(Debug)]
pub(super) struct Known(Recent<()>);

impl Known {
    pub(super) fn new() -> Self {
        Known(Recent::new(MOST, LATELY))
    }

    /// `client` was served.
    pub(super) fn note(&mut self, client: ClientKey) {
        self.0.renew(client, || ());
    }

    /// Whether `client` was served lately.
    pub(super) fn has(&mut self, client: ClientKey) -> bool {
        self.0.has(client)
    }
}
