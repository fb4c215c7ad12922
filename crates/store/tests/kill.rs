//! A process that is killed at any point leaves a disk on which everything it was told is
//! written is found, and nothing else.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tidegate_store::disk::{Disk, Health};

use crate::objects::{ONLY_AT_A_FLUSH, open, version};
use crate::process::{Plan, Process, Said};

const ROUNDS: u64 = 220;
/// A directory lives for so many kills.
const LIVES: u64 = 20;
const KEYS: u32 = 240;
const SEGMENT: u64 = 128 * 1024;

/// What a key may be; 0 is not there.
#[derive(Debug)]
struct Known {
    settled: Vec<u32>,
    /// Offered since the last flush.
    since: Vec<u32>,
}

impl Default for Known {
    fn default() -> Self {
        Self { settled: vec![0], since: Vec::new() }
    }
}

#[derive(Default)]
struct Model {
    keys: HashMap<u32, Known>,
}

impl Model {
    fn hear(&mut self, said: Said) {
        for known in self.keys.values_mut() {
            match said {
                Said::Flushed => {
                    if let Some(last) = known.since.pop() {
                        known.settled = vec![last];
                    }
                    known.since.clear();
                }
                Said::Skipped => {
                    if !known.since.is_empty() {
                        known.settled.push(0);
                    }
                    known.settled.append(&mut known.since);
                }
                _ => {}
            }
        }
        match said {
            Said::Offers { key, version } => self.keys.entry(key).or_default().since.push(version),
            Said::Closed => panic!("it ended before it was killed"),
            _ => {}
        }
    }

    /// Reads every object. `evicts` allows any of them to be missing.
    async fn audit(&mut self, disk: &Disk, evicts: bool, round: &str) -> usize {
        let mut there = 0;
        for n in 0..KEYS {
            let found = version(disk, n).await.unwrap().unwrap_or(0);
            there += usize::from(found != 0);
            let known = self.keys.entry(n).or_default();
            let allowed = known.settled.contains(&found) || known.since.contains(&found);
            assert!(allowed || evicts && found == 0, "{round}: key {n} is {found}, not {known:?}");
            *known = Known { settled: vec![found], since: Vec::new() };
        }
        let figures = disk.figures();
        assert_eq!((figures.damaged, figures.health), (0, Health::Working), "{round}");
        there
    }
}

async fn lives(directory: &Path, seed: u64, capacity: u64, evicts: bool) -> usize {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut model = Model::default();
    let mut there = 0;
    let mut version = 1;
    for life in 0..LIVES {
        let round = format!("seed {seed} life {life} evicts {evicts}");
        let plan = Plan {
            seed: random.u64(..),
            capacity,
            segment: SEGMENT,
            version,
            keys: KEYS,
            part: 0,
            parts: 1,
            steps: u32::MAX,
            removes: 8,
        };
        // Every other time another process is there to adopt what is left behind.
        let often = Duration::from_millis(20);
        let witness = life.is_multiple_of(2).then(|| open(directory, capacity, SEGMENT, often));
        let mut process = Process::start(directory, &plan);
        let mut bytes = random.usize(..4000);
        while let Some(said) = process.listen() {
            model.hear(said);
            version += 1;
            let Some(left) = bytes.checked_sub(10) else { break };
            bytes = left;
        }
        for said in process.kill() {
            model.hear(said);
        }
        version += 1_000_000;
        let disk = match witness {
            Some(disk) => disk,
            None => open(directory, capacity, SEGMENT, ONLY_AT_A_FLUSH),
        };
        disk.flush().await.unwrap();
        there += model.audit(&disk, evicts, &round).await;
        disk.close().await;
    }
    there
}

#[tokio::test]
async fn a_kill_at_any_point_loses_nothing_that_was_flushed_and_serves_no_wrong_byte() {
    let seed = std::env::var("TIDEGATE_STORE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let mut there = 0;
    for n in 0..ROUNDS / LIVES {
        println!("seed {}", seed + n);
        let home = tempfile::tempdir().unwrap();
        // A disk that holds all, and one that evicts all the time.
        let evicts = n % 3 == 2;
        let capacity = if evicts { 12 * SEGMENT } else { 1 << 30 };
        there += lives(home.path(), seed + n, capacity, evicts).await;
    }
    println!("{ROUNDS} kills; {there} objects read and compared");
}
