//! A process with memory, a disk and purges that is killed at any point: what it purged stays
//! purged, and of what it replaced or found valid the old one or the new one is there.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tidegate_store::{
    Labels, Manner, Meta, Moment, Options, Start, Store, Target, Validated, Version,
};

use crate::objects::{ONLY_AT_A_FLUSH, body, created, open as open_disk};
use crate::process::{Plan, Process, Said, told};

const KILLS: u32 = 60;
/// A directory lives for so many.
const LIVES: u32 = 20;
const KEYS: u32 = 60;
const SEGMENT: u64 = 256 * 1024;
const CAPACITY: u64 = 1 << 30;

/// Of the body, and of its last validation.
struct Versions([u32; 2]);

impl Meta for Versions {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend(self.0.iter().flat_map(|version| version.to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (words, rest) = bytes.as_chunks::<4>();
        let versions = [*words.first()?, *words.get(1)?].map(u32::from_le_bytes);
        rest.is_empty().then_some(Self(versions))
    }

    fn weight(&self) -> usize {
        0
    }
}

fn open(path: &Path, now: Moment) -> Store<Versions> {
    let disk = open_disk(path, CAPACITY, SEGMENT, ONLY_AT_A_FLUSH);
    // Little enough that much is read from the disk.
    let options = Options { longest: 100_000, promoted: 4_000, ..Options::of_memory(200_000) };
    Store::open(options, vec![disk], &[path.join("purge.log")], now).unwrap()
}

fn name(n: u32) -> Vec<u8> {
    format!("example.com/{n}/").into_bytes()
}

fn labels(n: u32) -> Labels {
    Labels { subject: name(n).into(), tags: Box::from([u64::from(n)]) }
}

fn put(store: &Store<Versions>, n: u32, version: u32, late: Moment) {
    let start = Start {
        key: store.key(&name(n)),
        keep_until: late,
        meta: Versions([version; 2]),
        labels: labels(n),
        length: None,
    };
    let (mut fill, _) = store.begin(start, store.stamp(created(version)));
    for chunk in body(n, version).chunks(5000) {
        fill.push(Bytes::copy_from_slice(chunk)).unwrap();
    }
    assert!(fill.finish(None).unwrap().is_kept);
}

/// What is found of a key, every byte of which is right.
async fn find(store: &Store<Versions>, n: u32, now: Moment) -> Option<([u32; 2], Version)> {
    let mut found = store.find(&store.key(&name(n)), now).await?;
    let mut bytes = Vec::new();
    while let Some(more) = found.body.next().await.unwrap() {
        bytes.extend_from_slice(&more);
    }
    assert!(bytes == body(n, found.meta.0[0]), "key {n} has wrong bytes");
    Some((found.meta.0, found.version()))
}

#[test]
fn keeps_and_purges_to_a_plan() {
    let Some((directory, plan)) = told() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work(&directory, &plan));
}

async fn work(directory: &Path, plan: &Plan) {
    let late = created(0).after(Duration::from_secs(1_000_000));
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let store = open(directory, created(plan.version));
    for step in plan.version.. {
        let n = random.u32(..KEYS);
        let now = created(step);
        match random.u32(..100) {
            0..50 => {
                println!("offers {n} {step}");
                put(&store, n, step, late);
            }
            50..65 => {
                let Some((versions, of)) = find(&store, n, now).await else { continue };
                println!("validates {n} {step}");
                let (key, began) = (store.key(&name(n)), store.stamp(now));
                let meta = Versions([versions[0], step]);
                let labels = labels(n);
                let validated = Validated { key, of, began, keep_until: late, meta, labels };
                store.replace_meta(validated).await;
            }
            65..75 => {
                println!("purges {n} {step}");
                let subject = name(n);
                let target = match random.u8(..3) {
                    0 => Target::Tag(u64::from(n)),
                    1 => Target::Prefix(&subject),
                    _ => Target::Subject(&subject),
                };
                // So many that the file is written anew now and then.
                let others: Vec<_> = (0..40).map(|tag| Target::Tag(tag + 1_000_000)).collect();
                let targets = [&[target][..], &others].concat();
                store.purge(&targets, Manner::Hard, now).unwrap();
                println!("purged {n} {step}");
            }
            75..95 => drop(find(&store, n, now).await),
            _ => {
                store.flush().await;
                println!("flushed");
            }
        }
    }
}

/// What a key may be found as; 0 is not at all.
#[derive(Debug, Default)]
struct Known {
    /// One of these was on the disk at the last flush.
    settled: Vec<u32>,
    since: Vec<Said>,
    /// Nothing that was created until then.
    purged: u32,
    /// A purge was begun.
    may_be_gone: bool,
}

impl Known {
    fn hear(&mut self, said: Said) {
        match said {
            Said::Offers { .. } | Said::Validates { .. } => self.since.push(said),
            Said::Purges { .. } => self.may_be_gone = true,
            Said::Purged { until, .. } => self.purged = until,
            Said::Flushed => {
                let is_offer = |said: &Said| matches!(said, Said::Offers { .. });
                if let Some(last) = self.since.iter().rposition(is_offer) {
                    self.settled.clear();
                    self.since.drain(..last);
                }
                self.settled.extend(self.since.drain(..).filter_map(version));
                self.may_be_gone = false;
            }
            Said::Skipped | Said::Closed => panic!("{said:?}"),
        }
    }

    fn allows(&self, found: u32) -> bool {
        let newest = self.settled.iter().max().copied().unwrap_or(0);
        let mut known =
            self.settled.iter().copied().chain(self.since.iter().copied().filter_map(version));
        match found {
            0 => newest <= self.purged || self.may_be_gone,
            _ => found > self.purged && known.any(|known| known == found),
        }
    }
}

fn version(said: Said) -> Option<u32> {
    match said {
        Said::Offers { version, .. } | Said::Validates { version, .. } => Some(version),
        _ => None,
    }
}

fn hear(known: &mut HashMap<u32, Known>, said: Said) {
    match said {
        Said::Offers { key, .. }
        | Said::Validates { key, .. }
        | Said::Purges { key, .. }
        | Said::Purged { key, .. } => {
            known.entry(key).or_default().hear(said);
        }
        _ => known.values_mut().for_each(|known| known.hear(said)),
    }
}

#[tokio::test]
async fn a_kill_at_any_point_undoes_no_purge_and_loses_nothing_that_was_replaced() {
    let seed = std::env::var("TIDEGATE_STORE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut there = 0;
    for _ in 0..KILLS / LIVES {
        let home = tempfile::tempdir().unwrap();
        let mut known = HashMap::new();
        let mut version = 1;
        for life in 0..LIVES {
            let plan = Plan {
                seed: random.u64(..),
                capacity: CAPACITY,
                segment: SEGMENT,
                version,
                keys: KEYS,
                part: 0,
                parts: 1,
                steps: u32::MAX,
                removes: 0,
            };
            let test = "stores::keeps_and_purges_to_a_plan";
            let mut process = Process::start_as(test, home.path(), &plan);
            for _ in 0..random.u32(1..300) {
                hear(&mut known, process.listen().unwrap());
            }
            process.kill().into_iter().for_each(|said| hear(&mut known, said));
            version += 1_000_000;
            let store = open(home.path(), created(version));
            for n in 0..KEYS {
                let found = find(&store, n, created(version)).await;
                let found = found.map_or(0, |([_, validated], _)| validated);
                let of = known.entry(n).or_default();
                assert!(of.allows(found), "seed {seed} life {life}: key {n} is {found}, {of:?}");
                there += u32::from(found != 0);
                *of = Known { settled: vec![found], purged: of.purged, ..Known::default() };
            }
            store.flush().await;
            let figures = store.figures();
            assert_eq!(figures.disks[0].damaged, 0, "seed {seed} life {life}");
            store.close().await;
        }
    }
    println!("{KILLS} kills; {there} objects read and compared");
    assert!(there > 500, "{there} objects");
}
