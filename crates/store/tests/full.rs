//! A file system that is smaller than the capacity, and one that others fill.

use std::path::Path;
use std::process::Command;

use tidegate_store::disk::Health;

use crate::objects::{ONLY_AT_A_FLUSH, entry, open, version};

const PLACE: &str = "TIDEGATE_STORE_TEST_TMPFS";
const SEGMENT: u64 = 4 << 20;
const OBJECTS: u32 = 14_000;

/// Mounts 64 MiB in a namespace of its own, and runs the other test there.
#[test]
fn a_full_file_system_costs_misses_only() {
    let home = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64m none \"$0\" || exit 77
        exec \"$1\" --exact full::fills_a_small_file_system --nocapture";
    let run = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(home.path())
        .arg(std::env::current_exe().unwrap())
        .env(PLACE, home.path())
        .output();
    match run {
        Ok(output) if output.status.success() => {
            print!("{}", String::from_utf8_lossy(&output.stdout));
        }
        // 1 is what unshare says, 77 the script: nothing was tried.
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) => {
            let reason = String::from_utf8_lossy(&output.stderr);
            println!("no tmpfs could be mounted here, so nothing was shown: {reason}");
        }
        Ok(output) => panic!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => println!("there is no unshare here, so nothing was shown: {error}"),
    }
}

#[test]
fn fills_a_small_file_system() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(fill(Path::new(&place)));
}

async fn fill(place: &Path) {
    // The capacity says ten times of what there is.
    let disk = open(&place.join("disk"), 640 << 20, SEGMENT, ONLY_AT_A_FLUSH);
    let mut written: u64 = 0;
    for n in 0..OBJECTS {
        let entry = entry(n, 1);
        written += entry.body.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        disk.write(entry).unwrap();
        if n % 100 == 0 {
            disk.flush().await.unwrap();
            assert_eq!(disk.figures().health, Health::Working, "it evicts and goes on");
        }
    }
    disk.flush().await.unwrap();
    let figures = disk.figures();
    assert!(written > 90 << 20 && figures.size_bytes <= 64 << 20, "{written} {figures:?}");
    assert!(figures.full > 2 && figures.evicted_segments > 5, "{figures:?}");
    assert_eq!((figures.errors, figures.damaged), (0, 0));
    let mut there = 0;
    for n in 0..OBJECTS {
        there += usize::from(version(&disk, n).await.unwrap() == Some(1));
    }
    assert!(there > 3000, "{there} objects are there");

    // Somebody else takes all the room, as soon as there is any.
    let last = OBJECTS + 6_000;
    for n in OBJECTS..last {
        if n % 300 == 0 {
            // It ends at what fits.
            std::fs::write(place.join(format!("foreign-{n}")), vec![1; 60 << 20]).ok();
        }
        disk.write(entry(n, 1)).ok();
        if n % 100 == 0 {
            disk.flush().await.unwrap();
        }
    }
    let figures = disk.figures();
    assert!(figures.size_bytes < 40 << 20 && figures.errors == 0, "{figures:?}");
    for n in 0..last {
        version(&disk, n).await.unwrap();
    }
    for file in std::fs::read_dir(place).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            std::fs::remove_file(path).unwrap();
        }
    }
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().health, Health::Working, "there is room again");
    disk.write(entry(1, 3)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 1).await, Ok(Some(3)));
    println!("{there} of {OBJECTS} objects kept in 64 MiB, {} times full", disk.figures().full);
}
