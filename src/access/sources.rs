//! What the rules of all routes look things up in: files, keys and databases.

use std::sync::Arc;

use super::jwt::{self, Keys};
use super::lists::{self, ListFiles};
use super::users::Users;
use super::{Config, Verifiers};
use crate::client::GeoConfig;
use crate::watch::{Refresh, WatchedFiles};

/// What the rules of all routes look things up in.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(super) lists: ListFiles,
    pub(super) users: WatchedFiles<Users>,
    pub(super) key_files: WatchedFiles<Keys>,
    pub(crate) verifiers: Verifiers,
    /// Which databases there are.
    pub(super) geo: GeoConfig,
}

impl Sources {
    /// Opens the files that `configs` name; a bad one is a fault of each rule
    /// that needs it. `previous` is what there was before a reload.
    pub(crate) fn open<'a>(
        configs: impl Iterator<Item = &'a Config> + Clone,
        geo: &GeoConfig,
        previous: Option<&Verifiers>,
    ) -> Self {
        let items = configs.clone().flat_map(|config| config.allow.iter().chain(&config.deny));
        let basics = configs.clone().filter_map(|config| config.basic.as_ref());
        let jwts = configs.clone().filter_map(|config| config.jwt.as_ref());
        let key_files = jwts.filter_map(|jwt| jwt::key_file(&jwt.jwks));
        Sources {
            lists: lists::open(items),
            users: WatchedFiles::open(basics.map(|basic| basic.file.as_path()), Users::read),
            key_files: WatchedFiles::open(key_files, jwt::read_keys),
            verifiers: Verifiers::new(configs, previous),
            geo: geo.clone(),
        }
    }

    /// The files, to be read again when they change.
    pub(crate) fn files(&self) -> impl Iterator<Item = Arc<dyn Refresh>> {
        self.lists.files().chain(self.users.files()).chain(self.key_files.files())
    }
}
