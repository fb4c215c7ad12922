//! The disks behind memory, each object on one of them.

use crate::clock::Moment;
use crate::disk::{Disk, Entry, Figures};
use crate::key::Key;
use crate::labels::Labels;
use crate::memory::{About, Object};
use crate::meta::Meta;

/// The disks; none is fine.
pub(super) struct Disks(Vec<Disk>);

impl Disks {
    pub(super) fn new(disks: Vec<Disk>) -> Self {
        Self(disks)
    }

    /// The disk for that key, whatever the order in which they were named.
    pub(super) fn of(&self, key: &Key) -> Option<&Disk> {
        self.0.get(self.place(key)?)
    }

    /// Where that disk was named.
    pub(super) fn place(&self, key: &Key) -> Option<usize> {
        match self.0.len() {
            0 | 1 => Some(0),
            several => (0..several).max_by_key(|place| self.0[*place].rank(key)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Disk> {
        self.0.iter()
    }

    pub(super) fn into_all(self) -> Vec<Disk> {
        self.0
    }

    /// No object on any was created before this.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.0.iter().filter_map(Disk::oldest).min()
    }

    /// No object on any was created after this.
    pub(super) fn newest(&self) -> Option<Moment> {
        self.0.iter().filter_map(Disk::newest).max()
    }

    pub(super) fn figures(&self) -> Vec<Figures> {
        self.0.iter().map(Disk::figures).collect()
    }
}

/// What is written of an object.
pub(super) fn entry<M: Meta>(object: &Object<M>) -> Entry {
    let About { key, fill, created, keep_until, meta, labels } = &object.about;
    Entry {
        key: key.clone(),
        fill: *fill,
        created: *created,
        keep_until: *keep_until,
        meta: encoded(&**meta),
        labels: Labels::clone(labels),
        body: object.parts.as_slice().to_vec(),
    }
}

pub(super) fn encoded<M: Meta>(meta: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    meta.encode(&mut bytes);
    bytes
}
