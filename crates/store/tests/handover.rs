//! One process after another on one directory, each starting while the one before still works,
//! as upgrades do.

use std::collections::HashMap;
use std::path::Path;

use crate::objects::{ONLY_AT_A_FLUSH, open, version};
use crate::process::{Plan, Process, Said};

const PROCESSES: u32 = 12;
const KEYS: u32 = 300;
const SEGMENT: u64 = 128 * 1024;
const STEPS: u32 = 700;

/// What a process said: the last version of each key, if it is known to be on the disk.
#[derive(Default)]
struct Told {
    /// 0 if it is known to be gone.
    last: HashMap<u32, Option<u32>>,
    since: HashMap<u32, u32>,
}

/// Each writes keys that its neighbours only read.
fn hand_over(directory: &Path, capacity: u64) -> HashMap<u32, Option<u32>> {
    let mut last = HashMap::new();
    let mut before: Option<(Process, Told)> = None;
    for n in 0..PROCESSES {
        let plan = Plan {
            seed: u64::from(n) + 40,
            capacity,
            segment: SEGMENT,
            version: 1 + n * STEPS,
            keys: KEYS,
            part: n % 3,
            parts: 3,
            steps: STEPS,
            removes: 8,
        };
        let mut process = Process::start(directory, &plan);
        let mut told = Told::default();
        // It works while the one before goes on to its end.
        let heard = told.listen(&mut process, 1);
        if let Some((mut before, mut told)) = before.take() {
            told.listen(&mut before, usize::MAX);
            before.end();
            last.extend(told.last);
        }
        assert!(heard && told.listen(&mut process, 10), "it worked while the other did");
        before = Some((process, told));
    }
    let (mut process, mut told) = before.unwrap();
    told.listen(&mut process, usize::MAX);
    process.end();
    last.extend(told.last);
    last
}

impl Told {
    /// So many flushes long, or until it ends: then false.
    fn listen(&mut self, process: &mut Process, flushes: usize) -> bool {
        let mut heard = 0;
        while let Some(said) = process.listen() {
            match said {
                Said::Offers { key, version } => {
                    self.last.insert(key, None);
                    self.since.insert(key, version);
                    continue;
                }
                Said::Flushed => {
                    self.last.extend(self.since.drain().map(|(key, version)| (key, Some(version))));
                }
                Said::Skipped => self.since.clear(),
                _ => continue,
            }
            heard += 1;
            if heard == flushes {
                return true;
            }
        }
        false
    }
}

#[tokio::test]
async fn nothing_is_lost_from_one_process_to_the_next() {
    let home = tempfile::tempdir().unwrap();
    let last = hand_over(home.path(), 1 << 30);
    let disk = open(home.path(), 1 << 30, SEGMENT, ONLY_AT_A_FLUSH);
    assert!(last.len() > 200);
    for (key, expected) in last {
        let found = version(&disk, key).await.unwrap().unwrap_or(0);
        assert_eq!(found, expected.unwrap_or(0), "key {key}");
    }
    assert_eq!(disk.figures().damaged, 0);
}

#[tokio::test]
async fn the_capacity_holds_while_processes_take_turns_to_evict() {
    let home = tempfile::tempdir().unwrap();
    let capacity = 8 * SEGMENT;
    let last = hand_over(home.path(), capacity);
    let disk = open(home.path(), capacity, SEGMENT, ONLY_AT_A_FLUSH);
    disk.flush().await.unwrap();
    let figures = disk.figures();
    assert!(figures.evicts && figures.size_bytes <= capacity, "{figures:?}");
    let mut there = 0;
    for (key, expected) in last {
        let found = version(&disk, key).await.unwrap().unwrap_or(0);
        assert!(
            found == 0 || expected.is_none_or(|expected| found == expected),
            "key {key}: {found}, {expected:?}"
        );
        there += usize::from(found != 0);
    }
    assert!(there > 30, "{there} objects");
    assert_eq!(disk.figures().damaged, 0);
}
