//! Who was purged when, by what finds it; bounded.
//!
//! If there is too much to tell apart, purges are widened: one then hits more
//! than it was to, never less.

use std::collections::BTreeMap;
use std::hash::Hasher;

use hashbrown::HashMap;
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{Manner, Target, Verdict};
use crate::clock::Moment;
use crate::labels::Labels;

/// The same in each process and for ever: it is written to files.
const HASH_KEY: &[u8; 16] = b"tidegate purge 1";

/// Different lengths of prefixes, each of them a step of a judgement.
const MOST_LENGTHS: usize = 128;

/// What a purge was for, in few bytes. A subject is known by its hash: another
/// with the same hash would be purged too.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Mark {
    All,
    Subject(u128),
    Prefix { length: u32, hash: u128 },
    Tag(u64),
}

/// One purge of one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) mark: Mark,
    pub(super) manner: Manner,
    pub(super) at: Moment,
}

/// The last purges of each manner; the epoch if there were none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Times {
    hard: Moment,
    soft: Moment,
}

pub(super) struct Table {
    all: Times,
    marks: HashMap<Mark, Times>,
    /// How many marks are prefixes of each length.
    lengths: BTreeMap<u32, usize>,
    most: usize,
    widened: u64,
}

impl Mark {
    pub(super) fn of(target: Target<'_>) -> Self {
        match target {
            Target::All => Self::All,
            Target::Subject(subject) => Self::Subject(hash(subject)),
            // Everything begins with nothing.
            Target::Prefix([]) => Self::All,
            Target::Prefix(prefix) => match u32::try_from(prefix.len()) {
                Ok(length) => Self::Prefix { length, hash: hash(prefix) },
                Err(_) => Self::All,
            },
            Target::Tag(tag) => Self::Tag(tag),
        }
    }
}

impl Times {
    /// True if that is news.
    fn add(&mut self, other: Self) -> bool {
        let before = *self;
        self.hard = self.hard.max(other.hard);
        self.soft = self.soft.max(other.soft);
        *self != before
    }

    fn latest(self) -> Moment {
        self.hard.max(self.soft)
    }
}

impl Table {
    pub(super) fn new(most: usize) -> Self {
        Self {
            all: Times::default(),
            marks: HashMap::new(),
            lengths: BTreeMap::new(),
            most: most.max(1),
            widened: 0,
        }
    }

    /// True if it was not known.
    pub(super) fn add(&mut self, Record { mark, manner, at }: Record) -> bool {
        let mut times = Times::default();
        match manner {
            Manner::Hard => times.hard = at,
            Manner::Soft => times.soft = at,
        }
        match mark {
            Mark::All => self.all.add(times),
            Mark::Prefix { length, .. } if self.is_one_length_too_many(length) => {
                self.widened += 1;
                self.all.add(times)
            }
            mark => self.insert(mark, times),
        }
    }

    /// Drops what can hit nothing: no object was created before `oldest`.
    pub(super) fn forget_before(&mut self, oldest: Moment) {
        self.retain(|times| times.latest() >= oldest);
    }

    pub(super) fn judge(&self, labels: &Labels, created: Moment) -> Verdict {
        let times = self.times(labels);
        if created <= times.hard {
            Verdict::Gone
        } else if created <= times.soft {
            Verdict::Soft(times.soft)
        } else {
            Verdict::Kept
        }
    }

    pub(super) fn len(&self) -> usize {
        self.marks.len()
    }

    pub(super) fn lengths(&self) -> usize {
        self.lengths.len()
    }

    pub(super) fn widened(&self) -> u64 {
        self.widened
    }

    /// All that an empty table must be told to become this one.
    pub(super) fn records(&self) -> Vec<Record> {
        let marks = self.marks.iter().map(|(mark, times)| (*mark, *times));
        let all = std::iter::once((Mark::All, self.all)).chain(marks);
        let both = all.flat_map(|(mark, times)| {
            [(mark, Manner::Hard, times.hard), (mark, Manner::Soft, times.soft)]
        });
        let written = both.filter(|(_, _, at)| *at > Moment::default());
        written.map(|(mark, manner, at)| Record { mark, manner, at }).collect()
    }

    fn times(&self, labels: &Labels) -> Times {
        let mut times = self.all;
        if self.marks.is_empty() {
            return times;
        }
        let mut add = |mark: Mark| {
            if let Some(found) = self.marks.get(&mark) {
                times.add(*found);
            }
        };
        // The subject is hashed once, with a stop at each length that counts.
        let mut hasher = SipHasher13::new_with_key(HASH_KEY);
        let mut hashed = 0;
        for &length in self.lengths.keys() {
            let Some(part) = labels.subject.get(hashed..length as usize) else { break };
            hasher.write(part);
            hashed = length as usize;
            add(Mark::Prefix { length, hash: hasher.finish128().as_u128() });
        }
        hasher.write(&labels.subject[hashed..]);
        add(Mark::Subject(hasher.finish128().as_u128()));
        labels.tags.iter().for_each(|tag| add(Mark::Tag(*tag)));
        times
    }

    fn insert(&mut self, mark: Mark, times: Times) -> bool {
        if !self.marks.contains_key(&mark) {
            if self.marks.len() >= self.most {
                self.widen();
            }
            if let Mark::Prefix { length, .. } = mark {
                *self.lengths.entry(length).or_default() += 1;
            }
        }
        self.marks.entry(mark).or_default().add(times)
    }

    /// Makes room: the oldest quarter of the purges now hits all objects.
    fn widen(&mut self) {
        let mut latest: Vec<_> = self.marks.values().map(|times| times.latest()).collect();
        let quarter = latest.len() / 4;
        let (_, &mut until, _) = latest.select_nth_unstable(quarter);
        let mut all = self.all;
        let old = self.marks.values().filter(|times| times.latest() <= until);
        for times in old {
            all.add(*times);
        }
        self.all = all;
        self.widened += 1;
        self.retain(|times| times.latest() > until);
    }

    fn retain(&mut self, stays: impl Fn(&Times) -> bool) {
        let lengths = &mut self.lengths;
        self.marks.retain(|mark, times| {
            let stays = stays(times);
            if let (false, Mark::Prefix { length, .. }) = (stays, mark)
                && let Some(count) = lengths.get_mut(length)
            {
                *count -= 1;
            }
            stays
        });
        lengths.retain(|_, count| *count > 0);
    }

    fn is_one_length_too_many(&self, length: u32) -> bool {
        self.lengths.len() >= MOST_LENGTHS && !self.lengths.contains_key(&length)
    }
}

fn hash(bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new_with_key(HASH_KEY);
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn record(target: Target<'_>, manner: Manner, millis: u64) -> Record {
        Record { mark: Mark::of(target), manner, at: at(millis) }
    }

    fn labels(subject: &[u8], tags: &[u64]) -> Labels {
        Labels { subject: subject.into(), tags: tags.into() }
    }

    fn check(target: Target<'_>, of: &Labels, hit: bool) {
        let mut table = Table::new(100);
        table.add(record(target, Manner::Hard, 10));
        let expected = if hit { Verdict::Gone } else { Verdict::Kept };
        assert_eq!(table.judge(of, at(10)), expected, "{target} of {of:?}");
        assert_eq!(table.judge(of, at(11)), Verdict::Kept, "{target} hits what came later");
    }

    #[test]
    fn a_purge_hits_what_it_names_and_nothing_else() {
        let page = labels(b"example.com/a/b?q", &[3, 9]);
        check(Target::All, &page, true);
        check(Target::Subject(b"example.com/a/b?q"), &page, true);
        check(Target::Subject(b"example.com/a/b"), &page, false);
        check(Target::Prefix(b"example.com/"), &page, true);
        check(Target::Prefix(b"example.com/a/b?q"), &page, true);
        check(Target::Prefix(b"example.com/a/b?qr"), &page, false);
        check(Target::Prefix(b"example.com/b"), &page, false);
        check(Target::Prefix(b""), &page, true);
        check(Target::Tag(9), &page, true);
        check(Target::Tag(4), &page, false);
        check(Target::Subject(b""), &labels(b"", &[]), true);
        check(Target::Prefix(b"a"), &labels(b"", &[]), false);
    }

    #[test]
    fn soft_leaves_it_stale_and_hard_wins_over_soft() {
        let page = labels(b"example.com/", &[1]);
        let mut table = Table::new(100);
        table.add(record(Target::Tag(1), Manner::Soft, 20));
        assert_eq!(table.judge(&page, at(15)), Verdict::Soft(at(20)));
        table.add(record(Target::All, Manner::Hard, 10));
        assert_eq!(table.judge(&page, at(15)), Verdict::Soft(at(20)));
        assert_eq!(table.judge(&page, at(9)), Verdict::Gone);
        table.add(record(Target::Tag(1), Manner::Hard, 17));
        assert_eq!(table.judge(&page, at(15)), Verdict::Gone);
    }

    #[test]
    fn an_older_record_that_comes_late_changes_nothing() {
        let mut table = Table::new(100);
        table.add(record(Target::Tag(1), Manner::Hard, 20));
        table.add(record(Target::Tag(1), Manner::Hard, 10));
        assert_eq!(table.judge(&labels(b"", &[1]), at(20)), Verdict::Gone);
    }

    #[test]
    fn too_many_purges_hit_more_and_never_less() {
        let mut random = fastrand::Rng::with_seed(5);
        let mut few = Table::new(16);
        let mut enough = Table::new(usize::MAX);
        for millis in 1..500 {
            let manner = if random.bool() { Manner::Hard } else { Manner::Soft };
            let prefix = vec![b'a'; random.usize(1..100)];
            let target = match random.bool() {
                true => Target::Tag(random.u64(0..100)),
                false => Target::Prefix(&prefix),
            };
            few.add(record(target, manner, millis));
            enough.add(record(target, manner, millis));
            assert!(few.len() <= 16 && few.lengths() <= 16);
            assert_eq!(enough.widened(), 0);
            let subject = vec![b'a'; random.usize(0..200)];
            let page = labels(&subject, &[random.u64(0..100)]);
            let created = at(random.u64(0..millis + 1));
            match (enough.judge(&page, created), few.judge(&page, created)) {
                (Verdict::Gone, other) => assert_eq!(other, Verdict::Gone),
                (Verdict::Soft(_), other) => assert_ne!(other, Verdict::Kept),
                (Verdict::Kept, _) => (),
            }
        }
        assert!(few.widened() > 0);
        assert_eq!(few.judge(&labels(b"", &[]), at(500)), Verdict::Kept);
    }

    #[test]
    fn a_prefix_of_one_length_too_many_hits_all() {
        let mut table = Table::new(1000);
        for length in 1..=MOST_LENGTHS {
            table.add(record(Target::Prefix(&vec![b'a'; length]), Manner::Soft, 5));
        }
        assert_eq!(table.judge(&labels(b"b", &[]), at(5)), Verdict::Kept);
        table.add(record(Target::Prefix(b"bcd"), Manner::Hard, 6));
        assert_eq!(table.judge(&labels(b"b", &[]), at(5)), Verdict::Kept, "a length it has");
        table.add(record(Target::Prefix(&[b'c'; MOST_LENGTHS + 1]), Manner::Hard, 7));
        assert_eq!(table.judge(&labels(b"b", &[]), at(7)), Verdict::Gone);
        assert_eq!((table.lengths(), table.widened()), (MOST_LENGTHS, 1));
    }

    #[test]
    fn purges_older_than_every_object_are_forgotten() {
        let mut table = Table::new(100);
        for millis in 1..50 {
            let prefix = vec![b'a'; 50 - usize::try_from(millis).unwrap()];
            table.add(record(Target::Prefix(&prefix), Manner::Hard, millis));
        }
        table.forget_before(at(40));
        assert_eq!((table.len(), table.lengths()), (10, 10));
        assert_eq!(table.judge(&labels(b"aaaaaaaaaaaa", &[]), at(40)), Verdict::Gone);
    }

    #[test]
    fn its_records_make_the_same_table() {
        let mut table = Table::new(100);
        table.add(record(Target::All, Manner::Soft, 3));
        table.add(record(Target::Tag(1), Manner::Hard, 4));
        table.add(record(Target::Tag(1), Manner::Soft, 5));
        table.add(record(Target::Prefix(b"abc"), Manner::Hard, 6));
        let mut copy = Table::new(100);
        for record in table.records() {
            copy.add(record);
        }
        assert_eq!(
            (copy.all, &copy.marks, &copy.lengths),
            (table.all, &table.marks, &table.lengths)
        );
    }
}
