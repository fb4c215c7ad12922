//! A disk as a whole, on a real directory, with a device that can be made to fail.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use rustix::io::Errno;

use super::*;
use crate::key::Seed;

const SEGMENT: u64 = 64 * 1024;
const NOW: Moment = Moment::from_millis(1_700_000_000_000);

fn options(segments: u64) -> Options {
    Options {
        segment: Some(SEGMENT),
        // Only a flush tends.
        tend: Duration::from_secs(3600),
        ..Options::of_capacity(segments * SEGMENT)
    }
}

fn open(path: &Path, segments: u64) -> Disk {
    Disk::open(path, options(segments), NOW).unwrap()
}

fn key(n: u32) -> Key {
    Seed::from_bytes([9; 16]).key(format!("https example.com /{n}").as_bytes())
}

/// Bytes that tell the key and the version they belong to.
fn body(n: u32, version: u32, len: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(n) << 32 | u64::from(version));
    std::iter::repeat_with(|| random.u8(..)).take(len).collect()
}

fn entry(n: u32, version: u32, len: usize) -> Entry {
    let body = body(n, version, len);
    Entry {
        key: key(n),
        created: NOW.after(Duration::from_secs(u64::from(version))),
        keep_until: NOW.after(Duration::from_secs(1_000_000)),
        meta: version.to_le_bytes().to_vec(),
        labels: Labels {
            subject: Box::from(&b"example.com/"[..]),
            tags: Box::from([u64::from(n)]),
        },
        body: body.chunks(5000).map(Bytes::copy_from_slice).collect(),
    }
}

/// The version and body of an object.
async fn read(disk: &Disk, n: u32) -> Result<Option<(u32, Bytes)>, DiskFault> {
    let Some(found) = disk.find(&key(n)) else { return Ok(None) };
    let Some(record) = disk.load(&found, &key(n)).await? else { return Ok(None) };
    let version = u32::from_le_bytes(record.meta().as_ref().try_into().unwrap());
    assert_eq!(record.labels().tags.as_ref(), [u64::from(n)]);
    Ok(Some((version, record.read(0..u64::MAX).await?)))
}

/// The version, after the body was found to be of this version.
async fn version(disk: &Disk, n: u32) -> Option<u32> {
    let (version, read) = read(disk, n).await.unwrap()?;
    assert_eq!(read, body(n, version, read.len()), "key {n} version {version}");
    Some(version)
}

fn files(path: &Path, ending: &str) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(path.join("seg")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let mut found: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    found.retain(|file| file.to_str().unwrap().ends_with(ending));
    found.sort();
    found
}

#[tokio::test]
async fn any_range_of_an_object_is_read_as_it_was_written() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment: Some(2 << 20), ..Options::of_capacity(16 << 20) };
    let disk = Disk::open(home.path(), options, NOW).unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for (n, len) in [0, 1, 100, 16_000, 65_535, 65_536, 65_537, 300_000].into_iter().enumerate() {
        let n = n as u32;
        disk.write(entry(n, 1, len)).unwrap();
        disk.flush().await.unwrap();
        let whole = body(n, 1, len);
        let found = disk.find(&key(n)).unwrap();
        let record = disk.load(&found, &key(n)).await.unwrap().unwrap();
        assert_eq!(record.body_len(), len as u64);
        assert_eq!(record.read(0..u64::MAX).await.unwrap(), whole);
        for _ in 0..30 {
            let start = random.usize(..=len);
            let end = random.usize(start..=len);
            let part = record.read(start as u64..end as u64).await.unwrap();
            assert_eq!(part, whole[start..end], "{start}..{end} of {len}");
        }
        assert_eq!(record.read(len as u64 + 5..u64::MAX).await.unwrap(), Bytes::new());
    }
    assert_eq!(disk.figures().written, 8);
}

#[tokio::test]
async fn objects_are_there_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    for n in 0..50 {
        disk.write(entry(n, n, 4000)).unwrap();
    }
    disk.flush().await.unwrap();
    disk.close().await;
    assert!(files(home.path(), ".open").is_empty(), "all is sealed");
    let disk = open(home.path(), 64);
    assert_eq!(disk.figures().objects, 50);
    assert_eq!(disk.oldest(), Some(entry(0, 0, 0).created));
    assert_eq!(disk.newest(), Some(entry(49, 49, 0).created));
    for n in 0..50 {
        assert_eq!(version(&disk, n).await, Some(n));
    }
    assert_eq!(version(&disk, 50).await, None);
}

#[tokio::test]
async fn the_last_version_counts_before_and_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    // The clock may run backwards: what is written last counts all the same.
    for version in [5, 9, 3] {
        disk.write(entry(1, version, 9000)).unwrap();
    }
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 1).await, Some(3));
    disk.close().await;
    let disk = open(home.path(), 64);
    assert_eq!(version(&disk, 1).await, Some(3));
    assert_eq!(disk.figures().objects, 1);
}

#[tokio::test]
async fn a_removed_object_stays_removed() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    for n in 0..4 {
        disk.write(entry(n, 1, 100)).unwrap();
    }
    disk.flush().await.unwrap();
    disk.remove(&key(0));
    assert_eq!(version(&disk, 0).await, None, "at once");
    // Also when it was still to be written.
    disk.write(entry(1, 2, 100)).unwrap();
    disk.remove(&key(1));
    disk.remove(&key(99));
    // But not what is written later.
    disk.remove(&key(2));
    disk.write(entry(2, 2, 100)).unwrap();
    let expected = [None, None, Some(2), Some(1)];
    disk.flush().await.unwrap();
    for n in 0..4 {
        assert_eq!(version(&disk, n).await, expected[n as usize], "key {n}");
    }
    disk.close().await;
    let disk = open(home.path(), 64);
    for n in 0..4 {
        assert_eq!(version(&disk, n).await, expected[n as usize], "key {n} after a restart");
    }
}

#[tokio::test]
async fn a_validated_object_has_new_metadata_and_the_same_body() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 9000)).unwrap();
    let later = entry(1, 7, 0);
    let labels = Labels { tags: Box::from([44]), ..Labels::default() };
    disk.flush().await.unwrap();
    for n in [1, 2] {
        let meta = b"new".to_vec();
        let Entry { created, keep_until, .. } = later;
        let of = entry(1, 1, 0).created;
        disk.rewrite_meta(&key(n), of, created, keep_until, meta, labels.clone()).unwrap();
        // The same again comes too late.
        let late = b"late".to_vec();
        disk.rewrite_meta(&key(n), of, created, keep_until, late, labels.clone()).unwrap();
    }
    disk.flush().await.unwrap();
    disk.close().await;
    let disk = open(home.path(), 64);
    let record = disk.load(&disk.find(&key(1)).unwrap(), &key(1)).await.unwrap().unwrap();
    assert_eq!(record.meta().as_ref(), b"new");
    assert_eq!(record.created(), later.created);
    assert_eq!(record.labels(), &labels);
    assert_eq!(record.read(0..u64::MAX).await.unwrap(), body(1, 1, 9000));
    assert!(disk.find(&key(2)).is_none());
}

#[tokio::test]
async fn a_record_of_another_key_is_no_answer() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    let found = disk.find(&key(1)).unwrap();
    assert!(disk.load(&found, &key(2)).await.unwrap().is_none());
    assert_eq!(disk.figures().damaged, 0);
}

#[tokio::test]
async fn what_is_too_large_or_too_much_is_skipped() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes: 40_000, ..options(64) };
    let disk = Disk::open(home.path(), options, NOW).unwrap();
    assert_eq!(disk.write(entry(1, 1, SEGMENT as usize / 2)), Err(Skipped::Large));
    let huge = Entry { meta: vec![0; 2 << 20], ..entry(1, 1, 1) };
    assert_eq!(disk.write(huge), Err(Skipped::Large));
    let offered = (0..2000).map(|n| disk.write(entry(n, 1, 30_000)));
    let busy = offered.filter(|offered| *offered == Err(Skipped::Busy)).count();
    assert!(busy > 0, "the queue takes one at a time");
    assert_eq!(disk.figures().skipped, busy as u64 + 2);
}

/// Else the older version would be found once memory has lost the newer one.
#[tokio::test]
async fn a_version_that_is_not_written_takes_the_older_one_with_it() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    for n in 0..3 {
        disk.write(entry(n, 1, 100)).unwrap();
    }
    disk.flush().await.unwrap();
    assert_eq!(disk.write(entry(0, 2, 60_000)), Err(Skipped::Large));
    assert_eq!(version(&disk, 0).await, None);
    device.break_writes(Errno::NOSPC);
    // Two segments go, among them the only one.
    disk.write(entry(1, 2, 100)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(disk.write(entry(2, 2, 100)), Err(Skipped::Full));
    for n in 0..3 {
        assert_eq!(version(&disk, n).await, None, "key {n}");
    }
    device.mend();
    disk.flush().await.unwrap();
    disk.close().await;
    let disk = open(home.path(), 64);
    for n in 0..3 {
        assert_eq!(version(&disk, n).await, None, "key {n} after a restart");
    }
}

#[tokio::test]
async fn the_capacity_holds_and_used_objects_stay() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 16);
    let hot: Vec<u32> = (0..20).collect();
    for n in &hot {
        disk.write(entry(*n, 1, 3000)).unwrap();
    }
    for n in 1000..2500 {
        disk.write(entry(n, 1, 3000)).unwrap();
        if n % 10 == 0 {
            disk.flush().await.unwrap();
            for n in &hot {
                disk.find(&key(*n));
            }
            let size = disk.figures().size_bytes;
            assert!(size <= 16 * SEGMENT, "{size} bytes");
            let files = files(home.path(), "").into_iter();
            let real: u64 = files.map(|file| file.metadata().unwrap().len()).sum();
            assert!(real <= 16 * SEGMENT, "{real} bytes of files");
        }
    }
    // What still waits to be written has not gone.
    disk.flush().await.unwrap();
    for n in &hot {
        assert_eq!(version(&disk, *n).await, Some(1), "key {n} was used all the time");
    }
    let figures = disk.figures();
    assert!(figures.carried > 0 && figures.evicted_segments > 50, "{figures:?}");
    assert!(figures.objects < 16 * SEGMENT / 3000, "{figures:?}");
    assert_eq!(version(&disk, 1000).await, None, "one that was never used");
    // One that comes back soon after it went is not on probation again.
    let evicted =
        (1000..2500).rev().find(|n| disk.platter.holdings.index.peek(disk.tag(&key(*n))).is_none());
    disk.write(entry(evicted.unwrap(), 2, 3000)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().ghost_hits, 1);
}

#[tokio::test]
async fn many_short_lives_leave_a_bounded_number_of_segments() {
    let home = tempfile::tempdir().unwrap();
    for life in 0..60 {
        let disk = open(home.path(), 8);
        assert!(life == 0 || version(&disk, 1000).await == Some(life), "life {life}");
        disk.write(entry(life, 1, 100)).unwrap();
        disk.write(entry(1000, life + 1, 100)).unwrap();
        disk.flush().await.unwrap();
        disk.find(&key(1000));
        let segments = disk.figures().segments;
        assert!(segments <= 8 * 2 + 1, "life {life}: {segments} segments");
        disk.close().await;
    }
}

#[tokio::test]
async fn an_object_is_read_to_its_end_after_it_was_evicted() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 8);
    disk.write(entry(1, 1, 30_000)).unwrap();
    disk.flush().await.unwrap();
    let found = disk.find(&key(1)).unwrap();
    let record = disk.load(&found, &key(1)).await.unwrap().unwrap();
    // Its one use carries it over once; others that are used push it out of the main queue.
    for n in 2..60 {
        disk.write(entry(n, 1, 30_000)).unwrap();
        disk.flush().await.unwrap();
        disk.find(&key(n));
    }
    assert!(disk.find(&key(1)).is_none());
    assert_eq!(record.read(0..u64::MAX).await.unwrap(), body(1, 1, 30_000));
}

/// Whatever is written, removed, evicted and restarted: what is found is the last version.
#[tokio::test]
async fn an_older_version_never_comes_back() {
    for seed in 0..6 {
        let home = tempfile::tempdir().unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut last: HashMap<u32, Option<u32>> = HashMap::new();
        let mut disk = open(home.path(), 10);
        let mut hits = 0;
        for step in 1..900 {
            let n = random.u32(..60);
            match random.u32(..100) {
                0..60 => {
                    disk.write(entry(n, step, random.usize(..12_000))).unwrap();
                    last.insert(n, Some(step));
                }
                60..70 => {
                    disk.remove(&key(n));
                    last.insert(n, None);
                }
                70..97 => {
                    disk.flush().await.unwrap();
                    let found = version(&disk, n).await;
                    hits += u32::from(found.is_some());
                    let expected = last.get(&n).copied().flatten();
                    assert!(
                        found.is_none() || found == expected,
                        "seed {seed} step {step} key {n}"
                    );
                }
                97 => {
                    disk.flush().await.unwrap();
                    disk.close().await;
                    disk = open(home.path(), 10);
                }
                _ => disk.flush().await.unwrap(),
            }
        }
        assert!(hits > 40, "seed {seed}: {hits} hits");
        // What was written last is counted once it is written.
        disk.flush().await.unwrap();
        assert_eq!(disk.figures().damaged, 0);
        let live: u64 = disk.platter.holdings.segments().iter().map(|s| s.live()).sum();
        let spots = (0..60).filter_map(|n| disk.platter.holdings.index.peek(disk.tag(&key(n))));
        assert_eq!(live, spots.map(|spot| u64::from(spot.len) * UNIT).sum::<u64>());
    }
}

#[tokio::test]
async fn a_damaged_record_is_dropped_and_never_served() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 20_000)).unwrap();
    disk.write(entry(2, 1, 20_000)).unwrap();
    disk.flush().await.unwrap();
    let at = {
        let found = disk.find(&key(1)).unwrap();
        u64::from(found.spot.at) * UNIT + found.record_len() - 70
    };
    let file = &files(home.path(), ".open")[0];
    let file = std::fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 7], at).unwrap();
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Damaged));
    assert_eq!(read(&disk, 1).await, Ok(None));
    assert_eq!(version(&disk, 2).await, Some(1));
    assert_eq!(disk.figures().damaged, 1);
    disk.close().await;
    let disk = open(home.path(), 64);
    assert_eq!(read(&disk, 1).await, Ok(None));
    assert_eq!(version(&disk, 2).await, Some(1));
}

#[tokio::test]
async fn a_device_that_cannot_be_written_is_out() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    disk.write(entry(1, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    device.break_writes(Errno::IO);
    disk.write(entry(2, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().health, Health::Out);
    assert_eq!(disk.write(entry(3, 1, 10)), Err(Skipped::Out));
    assert!(disk.find(&key(1)).is_none());
    device.mend();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().health, Health::Out, "it stays out");
}

#[tokio::test]
async fn a_device_that_cannot_be_read_is_out() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    disk.write(entry(1, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    device.break_reads(Errno::IO);
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Io(Errno::IO)));
    assert_eq!(disk.figures().health, Health::Out);
    assert_eq!(read(&disk, 1).await, Ok(None));
    drop(disk);
    let opened = Disk::open_on(home.path(), options(64), NOW, device);
    assert!(matches!(opened, Err(OpenFault::Io { errno: Errno::IO, .. })));
}

#[tokio::test]
async fn a_full_device_is_read_only_until_it_has_room() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    for n in 0..40 {
        disk.write(entry(n, 1, 20_000)).unwrap();
    }
    disk.flush().await.unwrap();
    let before = disk.figures();
    device.break_writes(Errno::NOSPC);
    disk.write(entry(100, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    let after = disk.figures();
    assert_eq!(after.health, Health::Full);
    assert_eq!((after.full, after.evicted_segments), (1, 2), "two segments went");
    assert!(after.segments <= before.segments - 2);
    assert_eq!(disk.write(entry(101, 1, 10)), Err(Skipped::Full));
    assert_eq!(version(&disk, 39).await, Some(1), "it is still read");
    device.mend();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().health, Health::Working);
    disk.write(entry(102, 1, 10)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 102).await, Some(1));
}

#[tokio::test]
async fn what_is_not_in_memory_is_read_by_the_pool() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    device.slow_down();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    disk.write(entry(1, 1, 30_000)).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(version(&disk, 1).await, Some(1));
    let figures = disk.figures();
    assert_eq!((figures.reads_prompt, figures.reads_waited), (0, 2));
    disk.close().await;
    let none = Options { reads_waiting: 0, ..options(64) };
    let disk = Disk::open_on(home.path(), none, NOW, device).unwrap();
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Busy));
    assert_eq!(disk.figures().reads_refused, 1);
}

#[tokio::test]
async fn two_processes_share_a_directory_and_hand_over() {
    let home = tempfile::tempdir().unwrap();
    let old = open(home.path(), 16);
    for n in 0..10 {
        old.write(entry(n, 1, 1000)).unwrap();
    }
    old.flush().await.unwrap();
    let new = open(home.path(), 16);
    for n in 0..9 {
        assert_eq!(
            version(&new, n).await,
            Some(1),
            "key {n}: from a segment that is being written"
        );
    }
    assert_eq!(version(&new, 9).await, None, "the last one may still be being written");
    assert!(old.figures().evicts && !new.figures().evicts);

    // What the new one writes the old one finds, and the other way round.
    new.write(entry(20, 1, 1000)).unwrap();
    new.write(entry(3, 2, 1000)).unwrap();
    new.write(entry(21, 1, 1000)).unwrap();
    new.remove(&key(4));
    new.flush().await.unwrap();
    old.write(entry(30, 1, 1000)).unwrap();
    old.write(entry(31, 1, 1000)).unwrap();
    old.flush().await.unwrap();
    new.flush().await.unwrap();
    assert_eq!(version(&old, 20).await, Some(1));
    assert_eq!(version(&old, 3).await, Some(2), "the newer version counts");
    assert_eq!(version(&new, 30).await, Some(1));
    assert_eq!(version(&new, 9).await, Some(1));

    old.retire().unwrap();
    old.flush().await.unwrap();
    new.flush().await.unwrap();
    assert!(!old.figures().evicts && new.figures().evicts);
    let reading = old.load(&old.find(&key(5)).unwrap(), &key(5)).await.unwrap().unwrap();
    old.close().await;
    new.flush().await.unwrap();
    for n in [0, 1, 2, 5, 30, 31, 20, 21] {
        assert_eq!(version(&new, n).await, Some(1), "key {n} after the hand-over");
    }
    assert_eq!(version(&new, 4).await, None);
    for n in 1000..1400 {
        new.write(entry(n, 1, 3000)).unwrap();
    }
    new.flush().await.unwrap();
    assert_eq!(reading.read(0..u64::MAX).await.unwrap(), body(5, 1, 1000), "held, yet evicted");
}

#[tokio::test]
async fn what_the_evicting_process_removes_the_other_forgets() {
    let home = tempfile::tempdir().unwrap();
    let evicts = open(home.path(), 8);
    let other = open(home.path(), 8);
    for n in 0..200 {
        other.write(entry(n, 1, 3000)).unwrap();
        if n % 5 == 0 {
            other.flush().await.unwrap();
            evicts.flush().await.unwrap();
            // Two that are written by each process at most lie beyond the capacity.
            let size = evicts.figures().size_bytes;
            assert!(size <= (8 + 4) * SEGMENT, "{size} bytes");
        }
    }
    other.flush().await.unwrap();
    assert_eq!(other.figures().evicted_segments, 0);
    assert!(evicts.figures().evicted_segments > 3);
    assert_eq!(other.figures().segments, evicts.figures().segments);
    let found = (0..200).filter(|n| other.find(&key(*n)).is_some()).count();
    assert!(found < 200);
}

#[tokio::test]
async fn what_a_dead_process_left_is_adopted() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    for n in 0..10 {
        disk.write(entry(n, 1, 1000)).unwrap();
    }
    disk.flush().await.unwrap();
    // As a process leaves it that is killed: a copy without a lock.
    let copied = tempfile::tempdir().unwrap();
    let left = files(home.path(), ".open").remove(0);
    let place = copied.path().join(left.strip_prefix(home.path()).unwrap());
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(home.path().join("FORMAT"), copied.path().join("FORMAT")).unwrap();
    std::fs::copy(&left, &place).unwrap();
    // And one that was not made to its end.
    let half =
        place.to_str().unwrap().replace(".open", ".new").replace("-", "-0").replace("-00", "-0");
    std::fs::write(&half, "half").unwrap();
    let adopted = open(copied.path(), 64);
    for n in 0..10 {
        assert_eq!(version(&adopted, n).await, Some(1), "key {n}");
    }
    assert!(files(copied.path(), ".open").is_empty());
    assert_eq!(files(copied.path(), ".seg").len(), 1);
    assert_eq!(adopted.figures().segments, 1);
}

#[tokio::test]
async fn segments_of_another_store_are_removed() {
    let home = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let disk = open(other.path(), 64);
    disk.write(entry(1, 1, 1000)).unwrap();
    disk.flush().await.unwrap();
    disk.close().await;
    open(home.path(), 64).close().await;
    let foreign = files(other.path(), ".seg").remove(0);
    let place = home.path().join(foreign.strip_prefix(other.path()).unwrap());
    std::fs::create_dir_all(place.parent().unwrap()).unwrap();
    std::fs::copy(&foreign, &place).unwrap();
    let disk = open(home.path(), 64);
    assert!(disk.find(&key(1)).is_none());
    assert!(!place.exists());
}

#[tokio::test]
async fn another_slice_size_starts_empty_and_removes_what_was() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    for n in 0..100 {
        disk.write(entry(n, 1, 3000)).unwrap();
    }
    disk.flush().await.unwrap();
    disk.close().await;
    let other = Options { slice: 4096, ..options(64) };
    let disk = Disk::open(home.path(), other, NOW).unwrap();
    assert!(disk.find(&key(1)).is_none());
    disk.flush().await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "FORMAT, LOCK and seg, not {left:?}");
}

#[test]
fn a_capacity_too_small_for_segments_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("none");
    let fault = Disk::open(&path, Options::of_capacity(1000), NOW).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "a capacity of 1000 bytes is too small: it takes eight segments of 64 KiB"
    );
    assert!(!path.exists(), "nothing is made");
}
