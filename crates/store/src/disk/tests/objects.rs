//! What was written is found, the last of it, and nothing else.

use super::*;

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
        let of = seen(n, 1);
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
async fn what_takes_the_place_of_another_is_one_record_of_what_was_used() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    for version in 1..4 {
        disk.give_way(&key(1));
        assert!(disk.find(&key(1)).is_none());
        disk.write(entry(1, version, 1000)).unwrap();
        disk.flush().await.unwrap();
    }
    assert_eq!(version(&disk, 1).await, Some(3));
    let (segment, spot) = disk.platter.holdings.locate(disk.tag(&key(1))).unwrap();
    assert_eq!(segment.name.queue, name::Queue::Main);
    assert_eq!(segment.live(), u64::from(spot.len) * UNIT);
    // One for each version, and none for a tomb.
    disk.close().await;
    let lines: usize = files(home.path(), ".seg").iter().map(|file| lines(file)).sum();
    assert_eq!(lines, 3);
    let disk = open(home.path(), 64);
    // Where nothing comes it is removed all the same.
    disk.give_way(&key(1));
    disk.flush().await.unwrap();
    disk.close().await;
    assert_eq!(version(&open(home.path(), 64), 1).await, None);
}

/// How many records a segment has.
fn lines(file: &Path) -> usize {
    let opened = std::fs::File::open(file).unwrap();
    let file = file::File::new(opened.into(), Device::default());
    let mut opening = [0; footer::OPENING];
    file.read_at(&mut opening, 0).unwrap();
    let salt = footer::Opening::decode(&opening).unwrap().salt;
    scan::list(&file, salt).unwrap().lines.len()
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
    assert_eq!(disk.flush().await, Err(Skipped::Full), "a crash would bring them back");
    assert_eq!(disk.write(entry(2, 2, 100)), Err(Skipped::Full));
    assert!(disk.figures().owed > 0);
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
async fn validated_again_and_again_it_is_the_same_body_whatever_its_length() {
    let home = tempfile::tempdir().unwrap();
    let options = Options { segment: Some(2 << 20), ..Options::of_capacity(16 << 20) };
    let disk = Disk::open(home.path(), options.clone(), NOW).unwrap();
    for (n, len) in [0, 1, 65_535, 65_536, 65_537, 700_000].into_iter().enumerate() {
        disk.write(entry(n as u32, 1, len)).unwrap();
        disk.flush().await.unwrap();
        for version in 2..30 {
            let of = seen(n as u32, version - 1);
            let Entry { key, created, keep_until, labels, .. } = entry(n as u32, version, 0);
            let meta = vec![7; version as usize * 1000];
            disk.rewrite_meta(&key, of, created, keep_until, meta, labels).unwrap();
            disk.flush().await.unwrap();
        }
        let found = disk.find(&key(n as u32)).unwrap();
        let record = disk.load(&found, &key(n as u32)).await.unwrap().unwrap();
        assert_eq!(record.created(), entry(0, 29, 0).created, "length {len}");
        assert_eq!(record.meta().len(), 29_000);
        assert_eq!(record.read(0..u64::MAX).await.unwrap(), body(n as u32, 1, len));
    }
    let figures = disk.figures();
    assert_eq!((figures.rewritten, figures.written, figures.damaged), (6 * 28, 6, 0));
    assert!(figures.rewritten_bytes > 28 * 900_000, "{figures:?}");
}

/// Half of its hash is what the index knows a key by.
#[tokio::test]
async fn a_validation_is_of_no_other_key_with_the_same_half_of_its_hash() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 1000)).unwrap();
    disk.flush().await.unwrap();
    let (tag, of) = (disk.tag(&key(1)), seen(1, 1));
    let other = Entry { fill: of.fill, ..entry(2, 7, 0) };
    assert!(disk.platter.jobs.offer(Job::Rewrite { tag, of, entry: other }).is_ok());
    disk.flush().await.unwrap();
    assert_eq!((version(&disk, 1).await, disk.figures().rewritten), (Some(1), 0));
}

#[tokio::test]
async fn a_validation_makes_no_damage_good() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(1, 1, 20_000)).unwrap();
    disk.flush().await.unwrap();
    let at = u64::from(disk.find(&key(1)).unwrap().spot.at) * UNIT + 10_000;
    let file = &files(home.path(), ".open")[0];
    let file = std::fs::File::options().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0; 7], at).unwrap();
    let Entry { key, created, keep_until, labels, meta, .. } = entry(1, 2, 0);
    let of = seen(1, 1);
    disk.rewrite_meta(&key, of, created, keep_until, meta, labels).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().rewritten, 1);
    assert_eq!(read(&disk, 1).await, Err(DiskFault::Damaged));
    assert_eq!(read(&disk, 1).await, Ok(None));
}

#[tokio::test]
async fn a_validation_of_what_cannot_be_read_costs_the_object_and_no_disk() {
    // Its header is not given, its head, its body.
    for reads in 0..3 {
        let home = tempfile::tempdir().unwrap();
        let device = Device::default();
        let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
        disk.write(entry(1, 1, 20_000)).unwrap();
        disk.write(entry(2, 1, 20_000)).unwrap();
        disk.flush().await.unwrap();
        device.break_reads_after(reads, Errno::IO);
        let Entry { key, created, keep_until, labels, meta, .. } = entry(1, 2, 0);
        let of = seen(1, 1);
        disk.rewrite_meta(&key, of, created, keep_until, meta, labels).unwrap();
        disk.flush().await.unwrap();
        device.mend();
        assert_eq!(read(&disk, 1).await, Ok(None), "after {reads} reads");
        assert_eq!(version(&disk, 2).await, Some(1));
        let figures = disk.figures();
        assert_eq!((figures.health, figures.rewritten, figures.errors), (Health::Working, 0, 1));
    }
}

#[tokio::test]
async fn a_validation_that_cannot_be_written_takes_the_disk_out() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    disk.write(entry(1, 1, 20_000)).unwrap();
    disk.flush().await.unwrap();
    device.break_writes(Errno::IO);
    let Entry { key, created, keep_until, labels, meta, .. } = entry(1, 2, 0);
    let of = seen(1, 1);
    disk.rewrite_meta(&key, of, created, keep_until, meta, labels).unwrap();
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().health, Health::Out);
}
