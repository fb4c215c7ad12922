//! What verifies credentials: one for all routes, kept over reloads.

use std::sync::Arc;

use super::Config;
use super::jwt::{self, KeySet, KeySets};
use super::outbound::{Outbound, system_roots};
use super::passwords::Passwords;

/// What the routes of a site share to find out who is asking.
#[derive(Debug, Clone)]
pub(crate) struct Verifiers {
    pub(super) passwords: Arc<Passwords>,
    pub(super) outbound: Outbound,
    pub(super) key_sets: KeySets,
}

impl Verifiers {
    /// What the routes of `configs` need; `previous` is what there was before a reload.
    pub(crate) fn new<'a>(
        configs: impl Iterator<Item = &'a Config> + Clone,
        previous: Option<&Verifiers>,
    ) -> Self {
        let jwks = || configs.clone().filter_map(|config| Some(config.jwt.as_ref()?.jwks.as_str()));
        let urls = configs.clone().filter_map(|config| Some(config.forward.as_ref()?.url.as_str()));
        let needs_roots = jwks().chain(urls).any(|url| url.starts_with("https:"));
        let kept = previous.map(|before| &before.outbound);
        let kept = kept.filter(|outbound| outbound.has_roots() || !needs_roots).cloned();
        let outbound = kept.unwrap_or_else(|| {
            let unneeded = || Err("they were not needed before".to_owned());
            Outbound::new(if needs_roots { system_roots() } else { unneeded() })
        });
        let before = previous.map(|before| &before.key_sets);
        let key_sets = jwks()
            .filter_map(|jwks| Some((jwks.to_owned(), jwt::key_set(jwks, &outbound, before)?)));
        Verifiers {
            passwords: previous.map(|before| before.passwords.clone()).unwrap_or_default(),
            key_sets: key_sets.collect(),
            outbound,
        }
    }

    /// The keys that are to be kept fresh.
    pub(crate) fn key_sets(&self) -> impl Iterator<Item = &Arc<KeySet>> {
        self.key_sets.values()
    }
}
