//! A part of the table: what is in memory under some of the hashes.

use std::sync::Arc;

use hashbrown::HashTable;

use super::object::{Object, Running};
use crate::clock::Moment;
use crate::key::Key;

pub(super) struct Shard<M> {
    pub(super) objects: HashTable<Arc<Object<M>>>,
    /// Several of one key if a fill began while another was under way.
    pub(super) running: HashTable<Arc<Running<M>>>,
}

impl<M> Shard<M> {
    pub(super) fn new() -> Self {
        Self { objects: HashTable::new(), running: HashTable::new() }
    }

    pub(super) fn object(&self, key: &Key) -> Option<&Arc<Object<M>>> {
        self.objects.find(place(key), |object| object.about.key == *key)
    }

    pub(super) fn running_of<'s, 'k>(
        &'s self,
        key: &'k Key,
    ) -> impl Iterator<Item = &'s Arc<Running<M>>> + use<'s, 'k, M> {
        self.running.iter_hash(place(key)).filter(move |running| running.about.key == *key)
    }

    /// The newest fill that may be joined, and is newer than `since`.
    pub(super) fn newest(&self, key: &Key, since: Option<Moment>) -> Option<&Arc<Running<M>>> {
        if self.running.is_empty() {
            return None;
        }
        let fit = self.running_of(key).filter(|running| !running.is_doomed());
        let newer = fit.filter(|running| since.is_none_or(|since| running.about.created > since));
        newer.max_by_key(|running| (running.about.created, running.about.fill))
    }

    pub(super) fn add_running(&mut self, running: Arc<Running<M>>) {
        let hash = place(&running.about.key);
        self.running.insert_unique(hash, running, |running| place(&running.about.key));
    }

    pub(super) fn take_running(&mut self, running: &Arc<Running<M>>) {
        let hash = place(&running.about.key);
        if let Ok(entry) = self.running.find_entry(hash, |held| Arc::ptr_eq(held, running)) {
            entry.remove();
        }
    }

    /// Puts an object in the place of what has its name.
    pub(super) fn put(&mut self, object: Arc<Object<M>>) -> Option<Arc<Object<M>>> {
        let key = object.about.key.clone();
        let old = self.take(&key);
        self.objects.insert_unique(place(&key), object, |object| place(&object.about.key));
        old
    }

    pub(super) fn take(&mut self, key: &Key) -> Option<Arc<Object<M>>> {
        let entry = self.objects.find_entry(place(key), |object| object.about.key == *key);
        entry.ok().map(|entry| entry.remove().0)
    }

    pub(super) fn take_if(&mut self, object: &Arc<Object<M>>) -> Option<Arc<Object<M>>> {
        let hash = place(&object.about.key);
        let entry = self.objects.find_entry(hash, |held| Arc::ptr_eq(held, object));
        entry.ok().map(|entry| entry.remove().0)
    }
}

/// The half of a hash that places an object in a table.
fn place(key: &Key) -> u64 {
    key.hash() as u64
}
