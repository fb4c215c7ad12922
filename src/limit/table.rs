//! What is used of every allowance, by key, in memory that does not grow.
//!
//! An allowance fills up at a steady pace, so one moment says all of a key:
//! the one from which its allowance is whole (the Generic Cell Rate Algorithm,
//! ITU-T I.371, calls it the theoretical arrival time). A key that has reached
//! that moment is as good as one that never came, and its place is free.
//!
//! When the places that a key may have are all taken, the one that would be
//! free the soonest is forgotten: the oldest, among keys of one limit.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::units::nanos;

/// The most groups of places in a shard; the hash of a key chooses one. There
/// is one at first, and twice as many whenever a key finds its group full: a few
/// keys are to lie close together, or each would be a way to memory of its own.
const GROUPS: usize = 32;
/// Places of a group.
const PLACES: usize = 16;

/// How many shards a table has; each has a lock and up to 6 KiB of memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shards(pub(super) usize);

/// The hash of a limit and a key under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeyHash(u64);

/// Nanoseconds since the table was made.
pub(super) type Moment = u64;

/// The allowances of all limits. `benches/allowances.rs` says what a check takes:
/// most of it is the clock and the hash, until the keys outgrow the caches of the
/// processor.
#[derive(Debug)]
pub(crate) struct Table {
    // Nobody outside knows its key, so nobody can choose keys that collide.
    hasher: RandomState,
    began: Instant,
    shards: Box<[Mutex<Shard>]>,
    used: AtomicUsize,
    forgotten: AtomicU64,
    swept: AtomicUsize,
}

#[derive(Debug, Default)]
struct Shard {
    // Invariant: none until its first key comes, then a power of two.
    groups: Vec<Group>,
}

/// The places that a key may have, side by side in memory: 12 bytes each, in
/// three lines of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Group {
    // The lower half of the hash, whose last bits chose the group; the upper half
    // chose the shard. A key takes another one's place by chance once in 2^23 checks.
    // Invariant: none is there twice, so its place is kept even if it is free.
    prints: [u32; PLACES],
    // 0 is a free place, and so is every moment that has passed.
    whole_at: [Moment; PLACES],
}

/// How far an allowance is from being whole, after what was taken of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ahead(pub(super) u64);

/// There is not so much left; in so many nanoseconds there will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooEarly(pub(super) u64);

impl Table {
    pub(super) fn new(Shards(shards): Shards) -> Self {
        Table {
            hasher: RandomState::new(),
            began: Instant::now(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            used: AtomicUsize::new(0),
            forgotten: AtomicU64::new(0),
            swept: AtomicUsize::new(0),
        }
    }

    pub(super) fn now(&self) -> Moment {
        // 0 would be a free place.
        nanos(self.began.elapsed()).max(1)
    }

    pub(super) fn hash(&self, key: impl Hash) -> KeyHash {
        KeyHash(self.hasher.hash_one(key))
    }

    /// Takes `cost` of the allowance of `key`, unless that would put it more
    /// than `most` ahead. All are nanoseconds.
    pub(super) fn take(
        &self,
        key: KeyHash,
        cost: u64,
        most: u64,
        now: Moment,
    ) -> Result<Ahead, TooEarly> {
        let (mut shard, print) = self.find(key);
        let moment = self.place(&mut shard, print, now);
        let ahead = moment.saturating_sub(now).saturating_add(cost);
        if ahead > most {
            return Err(TooEarly(ahead - most));
        }
        *moment = now.saturating_add(ahead);
        Ok(Ahead(ahead))
    }

    /// Counts `weight` more under `key`, and says how much that is in all, in
    /// the window since the first of them; 65,535 at most.
    ///
    /// The moment that says when the window ends has the count in its last 16
    /// bits, which are microseconds: such keys have their places like all others.
    pub(super) fn count(&self, key: KeyHash, weight: u16, window: u64, now: Moment) -> u16 {
        const COUNT: u64 = u16::MAX as u64;
        let (mut shard, print) = self.find(key);
        let moment = self.place(&mut shard, print, now);
        let before = *moment;
        let (ends, count) = match before > now {
            true => (before & !COUNT, (before & COUNT) as u16),
            // A window that is over before it began would never count anything.
            false => (now.saturating_add(window.max(COUNT + 1)) & !COUNT, 0),
        };
        let count = count.saturating_add(weight);
        *moment = ends | u64::from(count);
        count
    }

    /// How far the allowance of `key` is from being whole.
    pub(super) fn ahead(&self, key: KeyHash, now: Moment) -> Ahead {
        let (shard, print) = self.find(key);
        let group = shard.groups.get(shard.group_of(print));
        let moment = group.and_then(|group| Some(group.whole_at[group.place_of(print)?]));
        Ahead(moment.map_or(0, |moment| moment.saturating_sub(now)))
    }

    /// Gives back what was taken of an allowance, but not used.
    pub(super) fn give_back(&self, key: KeyHash, cost: u64) {
        self.change(key, |moment| moment.saturating_sub(cost).max(1));
    }

    /// Makes the allowance of `key` whole.
    pub(super) fn forget(&self, key: KeyHash) {
        self.change(key, |_| 1);
    }

    /// Frees the places of keys whose allowance is whole, in one shard of so many.
    ///
    /// Nothing depends on it but [`Table::keys`].
    pub(super) fn sweep(&self, one_in: usize) {
        let now = self.now();
        let turn = self.swept.fetch_add(1, Ordering::Relaxed) % one_in;
        for shard in self.shards.iter().skip(turn).step_by(one_in) {
            let mut shard = lock(shard);
            let passed = shard.groups.iter_mut().flat_map(|group| &mut group.whole_at);
            let passed = passed.filter(|moment| **moment != 0 && **moment <= now);
            let freed = passed.map(|moment| *moment = 0).count();
            self.used.fetch_sub(freed, Ordering::Relaxed);
        }
    }

    /// Keys that have a place, give or take those not swept yet.
    pub(super) fn keys(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Keys that were forgotten before their allowance was whole.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// Where the moment of a key is kept: its own place, or a new one.
    ///
    /// A new key is never refused, so that no refusal costs another key its place.
    fn place<'a>(&self, shard: &'a mut Shard, print: u32, now: Moment) -> &'a mut Moment {
        if shard.groups.is_empty() {
            shard.groups.push(Group::FREE);
        }
        let mut at = shard.group_of(print);
        let group = &shard.groups[at];
        // Which of the moments it is shows only when the prints are there; asked for
        // at once, all lines of the group are on their way from memory together.
        std::hint::black_box(group.whole_at[0] ^ group.whole_at[PLACES / 2]);
        let own = group.place_of(print);
        if own.is_none() {
            while shard.groups[at].is_full(now) && shard.groups.len() < GROUPS {
                self.used.fetch_sub(shard.grow(now), Ordering::Relaxed);
                at = shard.group_of(print);
            }
        }
        let group = &mut shard.groups[at];
        let place = own.unwrap_or_else(|| group.soonest());
        let moment = &mut group.whole_at[place];
        if *moment == 0 {
            self.used.fetch_add(1, Ordering::Relaxed);
        } else if own.is_none() && *moment > now {
            self.forgotten.fetch_add(1, Ordering::Relaxed);
        }
        if own.is_none() {
            group.prints[place] = print;
            // The other key's is no moment of this one.
            *moment = 1;
        }
        moment
    }

    fn change(&self, key: KeyHash, change: impl FnOnce(Moment) -> Moment) {
        let (mut shard, print) = self.find(key);
        let group = shard.group_of(print);
        let Some(group) = shard.groups.get_mut(group) else { return };
        let own = group.place_of(print).map(|at| &mut group.whole_at[at]);
        if let Some(moment) = own.filter(|moment| **moment != 0) {
            *moment = change(*moment);
        }
    }

    /// The shard of a key, locked, and the key's print in its group.
    fn find(&self, key: KeyHash) -> (MutexGuard<'_, Shard>, u32) {
        let shard = (key.0 >> 32) as usize % self.shards.len();
        (lock(&self.shards[shard]), key.0 as u32)
    }
}

impl Shard {
    fn group_of(&self, print: u32) -> usize {
        print as usize & self.groups.len().saturating_sub(1)
    }

    /// Doubles the groups, and drops keys whose allowance is whole; how many.
    #[cold]
    fn grow(&mut self, now: Moment) -> usize {
        let mut dropped = 0;
        // Each group has its keys among itself and one that is new.
        let mut groups = vec![Group::FREE; self.groups.len() * 2];
        let all = groups.len() - 1;
        for group in &self.groups {
            for (print, moment) in group.prints.into_iter().zip(group.whole_at) {
                if moment > now {
                    let group = &mut groups[print as usize & all];
                    let place = group.soonest();
                    (group.prints[place], group.whole_at[place]) = (print, moment);
                } else {
                    dropped += usize::from(moment != 0);
                }
            }
        }
        self.groups = groups;
        dropped
    }
}

impl Group {
    const FREE: Group = Group { prints: [0; PLACES], whole_at: [0; PLACES] };

    /// Without a branch for each place, which nobody could foretell.
    fn place_of(&self, print: u32) -> Option<usize> {
        let same = self.prints.iter().enumerate();
        let same = same.fold(0_u32, |same, (at, other)| same | u32::from(*other == print) << at);
        (same != 0).then(|| same.trailing_zeros() as usize)
    }

    fn is_full(&self, now: Moment) -> bool {
        self.whole_at.iter().all(|moment| *moment > now)
    }

    /// The place that is free, or will be the soonest.
    fn soonest(&self) -> usize {
        let places = self.whole_at.iter().enumerate();
        places.min_by_key(|(_, moment)| **moment).map_or(0, |(at, _)| at)
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::ALLOWANCES;

    const SECOND: u64 = 1_000_000_000;

    fn table() -> Table {
        Table::new(ALLOWANCES)
    }

    fn bytes(table: &Table) -> usize {
        let of_shards = table.shards.iter().map(|shard| {
            let shard = lock(shard);
            size_of_val(&*shard.groups)
        });
        size_of_val(table) + size_of_val(&*table.shards) + of_shards.sum::<usize>()
    }

    #[test]
    fn a_million_keys_are_held_in_64_mib() {
        let table = table();
        assert!(bytes(&table) < 1 << 20, "an empty one is small");
        let key = |n: u32| table.hash(("limit", n));
        for n in 0..1_000_000 {
            table.take(key(n), SECOND, SECOND, 1).expect("a new key");
        }
        assert!(bytes(&table) <= 64 << 20, "{} bytes", bytes(&table));
        // None may take more, if its place is still its own.
        let held = (0..1_000_000).filter(|n| table.take(key(*n), 1, SECOND, 1).is_err()).count();
        assert!(held >= 999_990, "{held} keys are held");
        assert!(table.keys() >= 999_990 && table.forgotten() <= 10);
    }

    #[test]
    fn a_table_is_as_large_as_its_keys_need() {
        let table = table();
        let key = |n: u64| table.hash(("limit", n));
        for n in 0..100_000 {
            // Each has its own moment, and none has passed.
            table.take(key(n), SECOND + n, 2 * SECOND, 1).expect("a new key");
        }
        assert!(bytes(&table) < 3 << 20, "{} bytes", bytes(&table));
        assert_eq!((table.keys(), table.forgotten()), (100_000, 0));
        assert!((0..100_000).all(|n| table.ahead(key(n), 1) == Ahead(SECOND + n)), "as they were");
        // Half of them have passed, and give way before anything grows.
        let (size, now) = (bytes(&table), SECOND + 50_000);
        for n in 100_000..120_000 {
            table.take(key(n), 3 * SECOND, 3 * SECOND, now).expect("a new key");
        }
        assert!(bytes(&table) < size + size / 8, "{} bytes, {size} before", bytes(&table));
        let held = |n: u64| table.ahead(key(n), now) != Ahead(0);
        assert!((50_001..120_000).all(held), "those that have not passed are there");
        let kept = table.shards.iter().flat_map(|shard| lock(shard).groups.clone());
        let kept = kept.flat_map(|group| group.whole_at).filter(|moment| *moment != 0).count();
        assert_eq!(table.keys(), kept);
    }

    #[test]
    fn the_oldest_keys_are_forgotten_first() {
        let table = table();
        // Keys of one group, one after the other, however many groups there are.
        let key = |n: u64| KeyHash((7 << 32) | (n * GROUPS as u64));
        let take = |n: u64, now| table.take(key(n), SECOND, SECOND, now);
        let places = PLACES as u64;
        for n in 1..=places + 3 {
            take(n, n).expect("a new key");
        }
        assert_eq!((table.keys(), table.forgotten()), (PLACES, 3));
        let now = places + 4;
        let held: Vec<u64> = (1..=places + 3).rev().filter(|n| take(*n, now).is_err()).collect();
        assert_eq!(held, (4..=places + 3).rev().collect::<Vec<_>>());
    }

    #[test]
    fn an_allowance_is_used_up_and_fills_up_again() {
        let table = table();
        let key = table.hash("a");
        let take = |now| table.take(key, SECOND, 3 * SECOND, now);
        assert_eq!(take(5), Ok(Ahead(SECOND)));
        assert_eq!(take(5), Ok(Ahead(2 * SECOND)));
        assert_eq!(take(5), Ok(Ahead(3 * SECOND)));
        assert_eq!(take(5), Err(TooEarly(SECOND)));
        assert_eq!(table.ahead(key, 5 + SECOND), Ahead(2 * SECOND));
        assert_eq!((table.ahead(table.hash("c"), 5), table.keys()), (Ahead(0), 1), "only asked");
        assert_eq!(take(5 + SECOND / 2), Err(TooEarly(SECOND / 2)), "a refusal costs nothing");
        assert_eq!(take(5 + SECOND), Ok(Ahead(3 * SECOND)));
        assert_eq!(take(5 + 60 * SECOND), Ok(Ahead(SECOND)), "it is whole again");
        assert_eq!(table.take(table.hash("b"), SECOND, 3 * SECOND, 5), Ok(Ahead(SECOND)));
        table.give_back(key, SECOND);
        assert_eq!(take(5 + 60 * SECOND), Ok(Ahead(SECOND)), "it was given back");
        assert_eq!(take(5 + 60 * SECOND), Ok(Ahead(2 * SECOND)));
        table.forget(key);
        assert_eq!(take(5 + 60 * SECOND), Ok(Ahead(SECOND)), "it was forgotten");
    }

    #[test]
    fn counts_what_falls_in_one_window() {
        let table = table();
        let (key, other) = (table.hash("a"), table.hash("b"));
        let count = |second: u64| table.count(key, 10, 60 * SECOND, second * SECOND);
        assert_eq!([count(1), count(30), count(60)], [10, 20, 30]);
        assert_eq!(table.count(other, 1, SECOND, SECOND), 1);
        assert_eq!([count(62), count(63)], [10, 20], "a new window");
        table.forget(key);
        assert_eq!(count(64), 10);
        assert_eq!(table.count(key, u16::MAX, SECOND, 65 * SECOND), u16::MAX, "no more than fit");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_whose_allowance_is_whole_lose_their_place() {
        let table = table();
        for (n, cost) in [(1, SECOND), (2, 60 * SECOND)] {
            table.take(table.hash(n), cost, cost, table.now()).expect("a new key");
        }
        let sweep = || (0..4).for_each(|_| table.sweep(4));
        sweep();
        assert_eq!(table.keys(), 2);
        tokio::time::advance(Duration::from_secs(30)).await;
        sweep();
        assert_eq!((table.keys(), table.forgotten()), (1, 0));
    }

    #[test]
    fn keys_that_collide_elsewhere_do_not_here() {
        // Chosen for one table's key, they are nothing special to another.
        let (ours, theirs) = (table(), table());
        let group = |table: &Table, n: &u32| {
            let hash = table.hash(*n).0;
            (hash >> 32) % ALLOWANCES.0 as u64 * GROUPS as u64 + hash % GROUPS as u64
        };
        let chosen: Vec<u32> = (0..4_000_000).filter(|n| group(&theirs, n) == 7).collect();
        assert!(chosen.len() > 4);
        let mut groups: Vec<u64> = chosen.iter().map(|n| group(&ours, n)).collect();
        groups.sort_unstable();
        groups.dedup();
        assert!(groups.len() + 1 >= chosen.len());
    }
}
