//! How long does a start take with ten million objects on the disk, and how much memory does
//! each of them take? `cargo bench -p tidegate-store --bench recover [objects [directory]]`; a
//! directory is kept, and what it has is not written again.

use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_store::disk::{Disk, Entry, Options};
use tidegate_store::{Labels, Moment, Seed};

const NOW: Moment = Moment::from_millis(1_700_000_000_000);
const OBJECTS: u64 = 10_000_000;
/// Flushed after so many, which is less than may wait.
const BATCH: u64 = 4000;

fn main() {
    let told: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let objects = told.first().map_or(OBJECTS, |n| n.parse().expect("a number of objects"));
    let home = tempfile::tempdir().expect("a directory to write to");
    let kept = told.get(1).map_or_else(|| home.path(), Path::new);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    if !kept.join("FORMAT").exists() {
        let clock = Clock::start();
        runtime.block_on(write(kept, objects));
        clock.print("written and sealed", objects);
    }
    runtime.block_on(recover(kept, objects, "recovered, files in memory"));
    forget(kept);
    runtime.block_on(recover(kept, objects, "recovered, files not in memory"));
}

/// Seconds that passed, and seconds of processors; on a busy machine they differ.
struct Clock {
    wall: Instant,
    cpu_s: f64,
}

impl Clock {
    fn start() -> Self {
        Self { wall: Instant::now(), cpu_s: cpu_s() }
    }

    fn print(&self, what: &str, objects: u64) {
        let (wall, cpu) = (self.wall.elapsed().as_secs_f64(), cpu_s() - self.cpu_s);
        show(format_args!("{objects} objects {what} in {wall:.2} s, {cpu:.2} s of processors"));
    }
}

/// Of this process and the kernel for it, in the kernel's hundredths.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("what the kernel counts");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().expect("a number of ticks") / 100.0).sum()
}

fn options() -> Options {
    Options { tend: Duration::from_secs(3600), ..Options::of_capacity(64 << 30) }
}

/// Objects without a body: recovery is a matter of their number.
async fn write(path: &Path, objects: u64) {
    let disk = Disk::open(path, options(), NOW).expect("a disk");
    let seed = Seed::from_bytes([1; 16]);
    for n in 0..objects {
        let entry = Entry {
            key: seed.key(format!("https example.com /{n}").as_bytes()),
            fill: tidegate_store::FillId::from_bits(0),
            created: NOW,
            keep_until: NOW.after(Duration::from_secs(1_000_000)),
            meta: vec![0; 32],
            labels: Labels::default(),
            body: Vec::new(),
        };
        disk.write(entry).expect("less waits than may");
        if n % BATCH == BATCH - 1 {
            disk.flush().await.expect("a flush");
        }
    }
    disk.close().await;
}

async fn recover(path: &Path, objects: u64, what: &str) {
    let clock = Clock::start();
    let disk = Disk::open(path, options(), NOW).expect("a disk");
    clock.print(what, objects);
    let figures = disk.figures();
    assert_eq!(figures.objects, objects);
    let each = figures.index_bytes as f64 / objects as f64;
    show(format_args!("  {each:.1} bytes of index an object, {} segments", figures.segments));
    disk.close().await;
}

/// Drops what the kernel keeps of the files.
fn forget(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            forget(&path);
        } else {
            let file = std::fs::File::open(&path).expect("a file");
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
        }
    }
}

#[expect(clippy::print_stdout, reason = "a bench tells what it measured")]
fn show(line: std::fmt::Arguments<'_>) {
    println!("{line}");
}
