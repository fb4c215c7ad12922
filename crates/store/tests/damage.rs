//! Whatever happens to the bytes of a disk, nothing is served that was not written for the key.

use std::fs;
use std::path::{Path, PathBuf};

use tidegate_store::disk::DiskFault;

use crate::objects::{ONLY_AT_A_FLUSH, entry, open, version};

const KEYS: u32 = 60;
const CAPACITY: u64 = 1 << 30;
const SEGMENT: u64 = 128 * 1024;
const ROUNDS: u64 = 300;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(&file, &place).unwrap();
    }
}

/// Does to one file what devices, crashes and people do.
fn damage(random: &mut fastrand::Rng, files: &[PathBuf]) -> String {
    let file = random.choice(files).unwrap();
    let other = fs::read(random.choice(files).unwrap()).unwrap();
    let mut bytes = fs::read(file).unwrap();
    let at = random.usize(..bytes.len().max(1));
    let len = random.usize(..20_000).min(bytes.len() - at);
    let what = match random.u8(..8) {
        0..3 => {
            let places = (0..bytes.len()).step_by(64);
            let heads: Vec<usize> = places.filter(|at| bytes[*at..].starts_with(b"TGr1")).collect();
            for _ in 0..random.usize(1..6) {
                // Heads are few bytes of all.
                let at_head = random.bool();
                let head = random.choice(&heads).filter(|_| at_head);
                let at = match head {
                    Some(head) => head + random.usize(..200),
                    None => random.usize(..bytes.len().max(1)),
                };
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
            "flipped bits"
        }
        3 => {
            bytes.truncate(at);
            "cut the end"
        }
        4 => {
            bytes[at..at + len].fill(0);
            "lost a write"
        }
        5 => {
            let from = random.usize(..=bytes.len() - len) / 64 * 64;
            let at = at / 64 * 64;
            let len = len.min(bytes.len() - from.max(at));
            bytes.copy_within(from..from + len, at);
            "wrote elsewhere in the file"
        }
        6 => {
            let at = at / 64 * 64;
            let len = len.min(other.len());
            let len = len.min(bytes.len() - at);
            bytes[at..at + len].copy_from_slice(&other[..len]);
            "wrote another file's bytes"
        }
        _ => {
            bytes = other;
            "took another file for it"
        }
    };
    fs::write(file, bytes).unwrap();
    format!("{what} of {file:?} at {at}")
}

#[tokio::test]
async fn no_damage_makes_a_wrong_byte() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), CAPACITY, SEGMENT, ONLY_AT_A_FLUSH);
    for step in 1..=4 * KEYS {
        disk.write(entry(step % KEYS, step)).unwrap();
    }
    disk.flush().await.unwrap();
    let all = files(home.path());
    assert!(all.iter().filter(|file| file.ends_with(".seg")).count() < all.len());
    let (mut right, mut dropped, mut missing) = (0, 0, 0);
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let copied = tempfile::tempdir().unwrap();
        copy(home.path(), copied.path());
        // Before it is opened, or under its feet.
        let live = seed % 4 == 3;
        let early = live.then(|| open(copied.path(), CAPACITY, SEGMENT, ONLY_AT_A_FLUSH));
        for _ in 0..random.usize(1..4) {
            let what = damage(&mut random, &files(copied.path()));
            println!("seed {seed}: {what}");
        }
        let disk = early.unwrap_or_else(|| open(copied.path(), CAPACITY, SEGMENT, ONLY_AT_A_FLUSH));
        for n in 0..KEYS {
            match version(&disk, n).await {
                Ok(Some(version)) => {
                    assert_eq!(version % KEYS, n);
                    right += 1;
                }
                Ok(None) => missing += 1,
                Err(DiskFault::Damaged) => dropped += 1,
                Err(fault) => panic!("{fault}"),
            }
        }
        // It goes on as a disk does.
        disk.write(entry(1, 100_021)).unwrap();
        disk.flush().await.unwrap();
        assert_eq!(version(&disk, 1).await, Ok(Some(100_021)), "seed {seed}");
        disk.close().await;
    }
    println!("{right} objects right, {dropped} dropped, {missing} missing");
    assert!(right > 1000 && dropped > 100 && missing > 100);
}
