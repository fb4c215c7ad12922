//! A process that writes, reads and removes objects, and tells what it did. It is this test
//! program again, with one test that does nothing unless it is told where to write.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tidegate_store::disk::Skipped;

use crate::objects::{ONLY_AT_A_FLUSH, created, entry, key, open, record, validate, version};

const DIRECTORY: &str = "TIDEGATE_STORE_TEST_DIRECTORY";
const PLAN: &str = "TIDEGATE_STORE_TEST_PLAN";

/// What the process is to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) capacity: u64,
    pub(crate) segment: u64,
    /// The first version that it writes.
    pub(crate) version: u32,
    /// It writes keys that are `part` modulo `parts`, of so many.
    pub(crate) keys: u32,
    pub(crate) part: u32,
    pub(crate) parts: u32,
    /// After so many steps it ends by itself.
    pub(crate) steps: u32,
    /// Of a hundred steps.
    pub(crate) removes: u32,
}

/// What it said it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// About to write, or to remove (version 0).
    Offers { key: u32, version: u32 },
    /// About to say that it is valid, which comes too late if something else did before.
    Validates { key: u32, version: u32 },
    /// About to purge what was created until then.
    Purges { key: u32, until: u32 },
    /// That is done.
    Purged { key: u32, until: u32 },
    /// All that was offered since the last time is on the disk.
    Flushed,
    /// Some of it was skipped, or all of it was not.
    Skipped,
    /// It closed the disk in order.
    Closed,
}

pub(crate) struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(directory: &Path, plan: &Plan) -> Self {
        Self::start_as("process::works_to_a_plan", directory, plan)
    }

    /// What does the plan is this test, which asks for it by [`told`].
    pub(crate) fn start_as(test: &str, directory: &Path, plan: &Plan) -> Self {
        let Plan { seed, capacity, segment, version, keys, part, parts, steps, removes } = plan;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(DIRECTORY, directory)
            .env(
                PLAN,
                format!(
                    "{seed} {capacity} {segment} {version} {keys} {part} {parts} {steps} {removes}"
                ),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next thing that it says; none when it has ended.
    pub(crate) fn listen(&mut self) -> Option<Said> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // A line that was cut by a kill was not said.
            let Some(said) = line.strip_suffix('\n') else { continue };
            let words: Vec<&str> = said.split(' ').collect();
            match words.as_slice() {
                [word @ ("offers" | "validates"), key, version] => {
                    let (key, version) = (key.parse().unwrap(), version.parse().unwrap());
                    return Some(match *word {
                        "offers" => Said::Offers { key, version },
                        _ => Said::Validates { key, version },
                    });
                }
                [word @ ("purges" | "purged"), key, until] => {
                    let (key, until) = (key.parse().unwrap(), until.parse().unwrap());
                    return Some(match *word {
                        "purges" => Said::Purges { key, until },
                        _ => Said::Purged { key, until },
                    });
                }
                ["flushed"] => return Some(Said::Flushed),
                ["skipped"] => return Some(Said::Skipped),
                ["closed"] => return Some(Said::Closed),
                // What the test harness says.
                _ => {}
            }
        }
    }

    /// Kills it without notice, and returns what it had still said.
    pub(crate) fn kill(mut self) -> Vec<Said> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::iter::from_fn(|| self.listen()).collect()
    }

    /// Waits for its own end.
    pub(crate) fn end(mut self) {
        let status = self.child.wait().unwrap();
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        assert!(status.success(), "{rest}");
    }
}

#[test]
fn works_to_a_plan() {
    let Some((directory, plan)) = told() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work(&directory, &plan));
}

/// What this process is to do, and where, if it was started to do something.
pub(crate) fn told() -> Option<(PathBuf, Plan)> {
    let (directory, plan) = (std::env::var_os(DIRECTORY)?, std::env::var(PLAN).ok()?);
    let numbers: Vec<u64> = plan.split(' ').map(|number| number.parse().unwrap()).collect();
    let [seed, capacity, segment, version, keys, part, parts, steps, removes] = numbers[..] else {
        panic!("a plan has nine numbers")
    };
    let plan = Plan {
        seed,
        capacity,
        segment,
        version: version as u32,
        keys: keys as u32,
        part: part as u32,
        parts: parts as u32,
        steps: steps as u32,
        removes: removes as u32,
    };
    Some((directory.into(), plan))
}

async fn work(directory: &Path, plan: &Plan) {
    let mut random = fastrand::Rng::with_seed(plan.seed);
    let disk = open(directory, plan.capacity, plan.segment, ONLY_AT_A_FLUSH);
    disk.notice(created(plan.version));
    let mut skipped = 0;
    for step in 0..plan.steps {
        let n = random.u32(..plan.keys / plan.parts) * plan.parts + plan.part;
        let last = step + 1 == plan.steps;
        match random.u32(..100) {
            dice if dice < plan.removes => {
                println!("offers {n} 0");
                disk.remove(&key(n));
            }
            0..70 => {
                println!("offers {n} {}", plan.version + step);
                match disk.write(entry(n, plan.version + step)) {
                    // Another process evicts, and has not yet.
                    Ok(()) | Err(Skipped::Full) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            70..78 => {
                if let Some(record) = record(&disk, n).await.unwrap() {
                    // Less waits than may, or it is as full as a write finds it.
                    validate(&disk, n, &record, plan.version + step).ok();
                }
            }
            // Of any key: a wrong byte panics. One may be evicted while it is read.
            78..92 => drop(version(&disk, random.u32(..plan.keys)).await.unwrap()),
            _ => {}
        }
        if last || random.u8(..16) == 0 {
            let flushed = disk.flush().await;
            let before = std::mem::replace(&mut skipped, disk.figures().skipped);
            let all = flushed.is_ok() && skipped == before;
            println!("{}", if all { "flushed" } else { "skipped" });
        }
        if step == plan.steps / 2 && plan.steps < u32::MAX {
            disk.retire().unwrap();
        }
    }
    disk.close().await;
    println!("closed");
}
