//! Memory in front of disks: where an object is looked for, and where it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::body::{Body, Found};
use super::disks::{self, Disks};
use super::{Admit, Figures, Options, Validated};
use crate::clock::Moment;
use crate::disk::{Disk, Record};
use crate::fill::{Limits, Parts};
use crate::key::{Key, Seed};
use crate::lately::Lately;
use crate::memory::{About, Hit, Memory, Object, Size, Ticket};
use crate::meta::Meta;
use crate::purge::{Purges, Verdict};
use crate::version::{FillIds, Version};

/// What a store and its fills share.
pub(super) struct Inner<M: Meta> {
    pub(super) seed: Seed,
    pub(super) memory: Arc<Memory<M>>,
    pub(super) purges: Arc<Purges>,
    pub(super) disks: Disks,
    pub(super) fills: FillIds,
    pub(super) longest: u64,
    most_promoted: u64,
    /// Of names that are to be asked for twice.
    lately: Option<Mutex<Lately>>,
    found: AtomicU64,
    followed: AtomicU64,
    loaded: AtomicU64,
    promoted: AtomicU64,
    deferred: AtomicU64,
    missed: AtomicU64,
}

/// How an object moves from a disk into memory.
#[derive(Clone, Copy)]
pub(super) struct Promotion {
    /// Longer ones do not.
    pub(super) most: u64,
    /// As if it had been used so often.
    pub(super) uses: u8,
}

impl<M: Meta> Inner<M> {
    pub(super) fn new(options: Options, purges: Purges, disks: Vec<Disk>) -> Arc<Self> {
        let purges = Arc::new(purges);
        let limits = Limits { longest: options.longest, window: options.window };
        let size = Size { capacity: options.memory, small: options.small, limits };
        let disks = Disks::new(disks);
        if let Some(newest) = disks.newest() {
            purges.observe(newest);
        }
        Arc::new(Self {
            seed: Seed::random(),
            memory: Memory::new(size, purges.clone()),
            purges,
            disks,
            fills: FillIds::new(),
            longest: options.longest,
            most_promoted: options.promoted,
            lately: match options.admit {
                Admit::SecondHit => Some(Mutex::new(Lately::new())),
                Admit::Always => None,
            },
            found: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            promoted: AtomicU64::new(0),
            deferred: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        })
    }

    pub(super) async fn find(&self, key: &Key, now: Moment) -> Option<Found<M>> {
        self.purges.catch_up(now);
        let (count, found) = match self.memory.find(key, now) {
            Some(Hit::Whole(object, verdict)) => {
                if object.is_deferred() {
                    self.catch_up(&object);
                }
                (&self.found, Some(Found::whole(&object, verdict)))
            }
            Some(Hit::Running(running, reader, verdict)) => {
                (&self.followed, Some(Found::running(&running, reader, verdict)))
            }
            None => match self.load(key, now, self.promotion()).await {
                Some(found) => (&self.loaded, Some(found)),
                None => (&self.missed, None),
            },
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Gives a disk what a fill brought, if its name is one that a disk takes. False if it does
    /// not keep it, or not yet.
    pub(super) fn keep(&self, object: &Arc<Object<M>>, ticket: Ticket) -> bool {
        let Some(lately) = &self.lately else { return self.write(object, ticket) };
        let key = &object.about.key;
        let Some(disk) = self.disks.of(key) else { return false };
        let is_known = lately.lock().see(key.hash() as u64);
        // Whoever followed the fill asked for it too. What was on the disk was admitted before.
        if is_known || object.uses() > 0 || disk.find(key).is_some() {
            return self.write(object, ticket);
        }
        self.deferred.fetch_add(1, Ordering::Relaxed);
        object.defer();
        // Of an older version something may still wait to be written.
        disk.supersede(key);
        false
    }

    /// Gives a disk what was deferred and is used again.
    fn catch_up(&self, object: &Arc<Object<M>>) {
        // What changes from here on is noticed.
        let ticket = self.memory.ticket(&object.about.key);
        if self.memory.has(object) && object.take_deferred() {
            self.write(object, ticket);
        }
    }

    /// Gives a disk what it is to keep of an object; false if it does not.
    fn write(&self, object: &Object<M>, ticket: Ticket) -> bool {
        let key = &object.about.key;
        let Some(disk) = self.disks.of(key) else { return false };
        // What it has is older, and memory may forget the new one before that is written. A
        // look-up that found it before may be moving it into memory.
        disk.give_way(key);
        let Some(ticket) = self.memory.renew(object, ticket) else { return false };
        let is_queued = disk.write(disks::entry(object)).is_ok();
        // It may have been removed or replaced before it was queued; and if it was
        // not, an older one may be.
        let is_current = is_queued && self.memory.ticket(key) == ticket;
        if !is_current {
            disk.supersede(key);
        }
        is_current
    }

    pub(super) async fn replace_meta(&self, validated: Validated<M>) -> bool {
        let Validated { key, of, began, keep_until, meta, labels } = validated;
        let meta = Arc::new(meta);
        let on_disk = self.has_valid(&key, of).await;
        let encoded = on_disk.map(|disk| (disk, disks::encoded(&*meta), labels.clone()));
        let fill = of.fill;
        let about = About { key: key.clone(), fill, created: began, keep_until, meta, labels };
        let in_memory = self.memory.replace_meta(of, about);
        match (encoded, &in_memory) {
            (Some((disk, meta, labels)), _) => {
                let asked = disk.rewrite_meta(&key, of, began, keep_until, meta, labels);
                in_memory.is_some() || asked.is_ok()
            }
            // The disk may have been given it, and not have written it yet.
            (None, Some((object, ticket))) => {
                self.write(object, *ticket);
                true
            }
            (None, None) => false,
        }
    }

    pub(super) fn remove(&self, key: &Key, now: Moment) -> bool {
        let in_memory = self.memory.remove(key);
        let Some(disk) = self.disks.of(key) else { return in_memory };
        let on_disk = disk.find(key).is_some();
        disk.notice(now);
        let has_others = disk.remove(key);
        in_memory || on_disk || has_others
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            memory: self.memory.figures(),
            purges: self.purges.figures(),
            disks: self.disks.figures(),
            found: self.found.load(Ordering::Relaxed),
            followed: self.followed.load(Ordering::Relaxed),
            loaded: self.loaded.load(Ordering::Relaxed),
            promoted: self.promoted.load(Ordering::Relaxed),
            deferred: self.deferred.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    /// Looks for an object on its disk, and moves it into memory if it is short.
    pub(super) async fn load(
        &self,
        key: &Key,
        now: Moment,
        promotion: Promotion,
    ) -> Option<Found<M>> {
        let disk = self.disks.of(key)?;
        disk.notice(now);
        let ticket = self.memory.ticket(key);
        let record = load(disk, key).await?;
        let version = record.version();
        let Version { fill, created } = version;
        let verdict = self.purges.judge(record.labels(), created);
        if verdict == Verdict::Gone || record.keep_until() < now {
            disk.supersede(key);
            return None;
        }
        let Some(meta) = M::decode(record.meta()) else {
            // Of another version: nobody will ever read it.
            disk.supersede(key);
            return None;
        };
        let meta = Arc::new(meta);
        if record.body_len() > promotion.most {
            return Some(Found::on_disk(meta, version, verdict, Body::disk(record)));
        }
        // The disk has counted why it cannot be read.
        let parts = Parts::One(record.read(0..record.body_len()).await.ok()?);
        if parts.len() != record.body_len() {
            return None;
        }
        let body = Body::memory(crate::fill::Reader::whole(parts.clone()));
        let (keep_until, labels) = (record.keep_until(), record.labels().clone());
        let about =
            About { key: key.clone(), fill, created, keep_until, meta: meta.clone(), labels };
        if self.memory.insert(about, parts, promotion.uses, ticket) {
            self.promoted.fetch_add(1, Ordering::Relaxed);
        }
        Some(Found::on_disk(meta, version, verdict, body))
    }

    fn promotion(&self) -> Promotion {
        Promotion { most: self.most_promoted, uses: 0 }
    }

    /// The disk that has the object, unless it was purged.
    async fn has_valid(&self, key: &Key, of: Version) -> Option<&Disk> {
        let disk = self.disks.of(key)?;
        let record = load(disk, key).await?;
        let verdict = self.purges.judge(record.labels(), of.created);
        (record.version() == of && verdict != Verdict::Gone).then_some(disk)
    }
}

async fn load(disk: &Disk, key: &Key) -> Option<Record> {
    let found = disk.find(key)?;
    // Faults are counted by the disk, and are a miss here.
    disk.load(&found, key).await.ok()?
}
