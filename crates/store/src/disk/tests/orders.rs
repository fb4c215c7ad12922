//! Any order of what two processes do to one directory.

use super::*;

const KEYS: u32 = 40;

/// One process, and what it may find of each key.
struct Process {
    disk: Disk,
    /// Nothing that was written before these steps: it has seen, or done, what came then.
    since: HashMap<u32, u32>,
}

impl Process {
    fn begin(path: &Path, step: u32) -> Self {
        let disk = open(path, 10);
        disk.notice(entry(0, step, 0).created);
        Self { disk, since: HashMap::new() }
    }

    /// What it finds was written, and not before what it knows of.
    async fn check(&self, n: u32, written: &HashMap<(u32, u32), usize>, told: &str) -> bool {
        let Some((version, bytes)) = read(&self.disk, n).await.unwrap() else { return false };
        let len = written.get(&(n, version)).copied();
        assert_eq!(len, Some(bytes.len()), "{told}: key {n} version {version}");
        assert_eq!(bytes, body(n, version, bytes.len()), "{told}: key {n} version {version}");
        let since = self.since.get(&n).copied().unwrap_or(0);
        assert!(version >= since, "{told}: key {n} is {version}, not since {since}");
        true
    }
}

#[tokio::test]
async fn neither_of_two_processes_finds_what_is_older_than_what_it_knows() {
    for seed in 0..10 {
        let home = tempfile::tempdir().unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut both = [Process::begin(home.path(), 0), Process::begin(home.path(), 0)];
        let mut written = HashMap::new();
        // The last that anybody did to a key: a version, or a removal before this one.
        let mut last: HashMap<u32, u32> = HashMap::new();
        let mut hits = 0;
        for step in 1..700 {
            let told = format!("seed {seed} step {step}");
            let n = random.u32(..KEYS);
            let process = random.choice(&mut both).unwrap();
            match random.u32(..100) {
                0..45 => {
                    let len = random.usize(..9000);
                    process.disk.give_way(&key(n));
                    if process.disk.write(entry(n, step, len)).is_ok() {
                        written.insert((n, step), len);
                    }
                    process.since.insert(n, step);
                    last.insert(n, step);
                }
                45..55 => {
                    process.disk.notice(entry(n, step, 0).created);
                    assert!(process.disk.remove(&key(n)));
                    process.since.insert(n, step + 1);
                    last.insert(n, step + 1);
                }
                55..65 => process.disk.flush().await.unwrap(),
                65..97 => hits += u32::from(process.check(n, &written, &told).await),
                // One ends, the other takes over, and the next one begins.
                _ => {
                    both.rotate_left(random.usize(..2));
                    let [ends, stays] = both;
                    ends.disk.retire().unwrap();
                    ends.disk.close().await;
                    stays.disk.flush().await.unwrap();
                    // Of what another process writes the last is not seen: one in each queue.
                    stays.disk.write(entry(1000 + step, step, 10)).unwrap();
                    for _ in 0..2 {
                        stays.disk.give_way(&key(KEYS));
                        stays.disk.write(entry(KEYS, step, 10)).unwrap();
                        stays.disk.flush().await.unwrap();
                    }
                    both = [Process::begin(home.path(), step), stays];
                    for process in &mut both {
                        process.since = last.clone();
                        for n in 0..KEYS {
                            process.check(n, &written, &told).await;
                        }
                    }
                }
            }
        }
        assert!(hits > 30, "seed {seed}: {hits} hits");
        for process in both {
            process.disk.flush().await.unwrap();
            assert_eq!(process.disk.figures().damaged, 0, "seed {seed}");
            process.disk.close().await;
        }
    }
}
