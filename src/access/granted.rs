//! What a request that may pass is changed by.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

/// What a request that may pass is changed by.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// Who proved to be this, for the record.
    pub(crate) user: Option<Arc<str>>,
    /// What servers are told besides.
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
    pub(super) hides_credentials: bool,
}

impl Granted {
    /// Whether servers are told who asks.
    pub(crate) fn tells_who(&self) -> bool {
        !self.fields.is_empty()
    }
}
