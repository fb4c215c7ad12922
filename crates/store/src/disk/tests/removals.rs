//! What was removed stays removed, whatever else happens at that moment.

use super::*;

/// The segments of small ones that a process fills in a row.
async fn fill(disk: &Disk, first: u32, until: impl Fn(&Disk) -> bool) {
    for n in first..first + 1000 {
        disk.write(entry(n, 1, 3000)).unwrap();
        disk.flush().await.unwrap();
        if until(disk) {
            return;
        }
    }
    panic!("it never came so far");
}

/// Closed, and read by the next process.
async fn after_a_restart(disks: Vec<Disk>, path: &Path, n: u32) -> Option<u32> {
    for disk in disks {
        disk.close().await;
    }
    let disk = open(path, 8);
    disk.flush().await.unwrap();
    version(&disk, n).await
}

/// One that evicts and another, which both have key 0; the first has found it once.
async fn two(path: &Path, device: Device) -> (Disk, Disk) {
    let evicts = open(path, 8);
    let other = Disk::open_on(path, options(8), NOW, device).unwrap();
    // More than a segment, of which the first is sealed then.
    for n in 0..30 {
        other.write(entry(n, 1, 3000)).unwrap();
    }
    other.flush().await.unwrap();
    evicts.flush().await.unwrap();
    assert!(evicts.find(&key(0)).is_some());
    (evicts, other)
}

#[tokio::test]
async fn while_it_is_carried_over() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(8), NOW, device.clone()).unwrap();
    disk.write(entry(0, 1, 3000)).unwrap();
    disk.flush().await.unwrap();
    disk.find(&key(0));
    let (platter, tag) = (disk.platter.clone(), disk.tag(&key(0)));
    device.in_a_copy(move || platter.supersede(tag));
    fill(&disk, 1, |disk| disk.figures().carried > 0).await;
    assert_eq!(version(&disk, 0).await, None);
    assert_eq!(after_a_restart(vec![disk], home.path(), 0).await, None);
}

#[tokio::test]
async fn where_another_process_has_moved_it_unseen() {
    let home = tempfile::tempdir().unwrap();
    let (evicts, other) = two(home.path(), Device::default()).await;
    let mut n = 100;
    while evicts.figures().carried == 0 {
        other.write(entry(n, 1, 3000)).unwrap();
        other.flush().await.unwrap();
        evicts.flush().await.unwrap();
        n += 1;
    }
    // The last record of a segment that is being written may not be whole yet.
    other.flush().await.unwrap();
    assert_eq!(version(&other, 0).await, None);
    assert_eq!(version(&evicts, 0).await, Some(1));
    other.remove(&key(0));
    other.flush().await.unwrap();
    evicts.flush().await.unwrap();
    assert_eq!(version(&evicts, 0).await, None, "the other has heard of it");
    assert_eq!(after_a_restart(vec![other, evicts], home.path(), 0).await, None);
}

#[tokio::test]
async fn though_another_process_found_it_valid_unseen() {
    let home = tempfile::tempdir().unwrap();
    let (evicts, other) = two(home.path(), Device::default()).await;
    let Entry { key: name, created, keep_until, labels, meta, .. } = entry(0, 7, 0);
    let of = seen(0, 1);
    evicts.rewrite_meta(&name, of, created, keep_until, meta, labels).unwrap();
    evicts.flush().await.unwrap();
    assert_eq!(evicts.figures().rewritten, 1);
    other.notice(created);
    other.remove(&name);
    other.flush().await.unwrap();
    assert_eq!(after_a_restart(vec![other, evicts], home.path(), 0).await, None);
}

#[tokio::test]
async fn while_there_is_no_room_for_its_tomb_and_another_process_moves_it() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let (evicts, other) = two(home.path(), device.clone()).await;
    device.break_writes(Errno::NOSPC);
    other.remove(&key(0));
    assert_eq!(other.flush().await, Err(Skipped::Full), "it is not written");
    fill(&evicts, 100, |disk| disk.figures().carried > 0).await;
    other.flush().await.ok();
    device.mend();
    for _ in 0..2 {
        other.flush().await.unwrap();
    }
    assert_eq!(version(&other, 0).await, None);
    assert_eq!(after_a_restart(vec![other, evicts], home.path(), 0).await, None);
}

#[tokio::test]
async fn while_it_is_written_and_there_is_no_room_for_more() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(8), NOW, device.clone()).unwrap();
    let (platter, tag, full) = (disk.platter.clone(), disk.tag(&key(0)), device.clone());
    device.in_a_record(move || {
        platter.supersede(tag);
        full.break_writes(Errno::NOSPC);
    });
    disk.write(entry(0, 1, 3000)).unwrap();
    assert_eq!(disk.flush().await, Err(Skipped::Full));
    device.mend();
    for _ in 0..2 {
        disk.flush().await.unwrap();
    }
    assert_eq!(version(&disk, 0).await, None);
    assert_eq!(after_a_restart(vec![disk], home.path(), 0).await, None);
}

#[tokio::test]
async fn if_more_are_removed_than_may_wait() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let few = Options { queue_jobs: 4, ..options(64) };
    let disk = Disk::open_on(home.path(), few, NOW, device.clone()).unwrap();
    for n in 0..200 {
        disk.write(entry(n, 1, 100)).unwrap();
        disk.flush().await.unwrap();
    }
    let tags: Vec<u64> = (0..200).map(|n| disk.tag(&key(n))).collect();
    let platter = disk.platter.clone();
    // The thread that writes takes nothing off the queue meanwhile.
    device.in_a_record(move || tags.into_iter().for_each(|tag| platter.supersede(tag)));
    disk.write(entry(1000, 1, 100)).unwrap();
    while disk.flush().await.is_err() {}
    disk.close().await;
    let disk = open(home.path(), 64);
    for n in 0..200 {
        assert_eq!(version(&disk, n).await, None, "key {n}");
    }
    assert_eq!(version(&disk, 1000).await, Some(1));
}

#[tokio::test]
async fn an_older_version_of_what_is_evicted_without_room_for_a_tomb() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options(64), NOW, device.clone()).unwrap();
    // Each line is a segment; of the second and third little is left.
    for (n, version, len) in [
        (0, 1, 1000),
        (1, 1, 31_500),
        (2, 1, 31_500),
        (0, 2, 1000),
        (3, 1, 31_500),
        (4, 1, 31_500),
        (5, 1, 1000),
        (3, 2, 31_500),
        (4, 2, 31_500),
        (6, 1, 1000),
        (3, 3, 31_500),
        (4, 3, 31_500),
    ] {
        disk.write(entry(n, version, len)).unwrap();
    }
    disk.flush().await.unwrap();
    assert_eq!(disk.figures().segments, 4);
    device.break_writes(Errno::NOSPC);
    disk.write(entry(7, 1, 10)).unwrap();
    disk.flush().await.ok();
    assert_eq!(disk.figures().evicted_segments, 2);
    assert_eq!(version(&disk, 0).await, None);
    assert_eq!(version(&disk, 1).await, Some(1), "the segment of the older version is there");
    device.mend();
    for _ in 0..2 {
        disk.flush().await.unwrap();
    }
    disk.close().await;
    let disk = open(home.path(), 64);
    assert_eq!(version(&disk, 0).await, None, "after a restart");
    assert_eq!(version(&disk, 1).await, Some(1));
}

/// The end of its segment cannot be written, so that what lies there goes.
#[tokio::test]
async fn an_older_version_of_what_a_killed_process_left_without_room() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 64);
    disk.write(entry(0, 1, 1000)).unwrap();
    for n in 1..40 {
        disk.write(entry(n, 1, 3000)).unwrap();
    }
    disk.write(entry(0, 2, 1000)).unwrap();
    disk.write(entry(40, 1, 1000)).unwrap();
    disk.flush().await.unwrap();
    let left = tempfile::tempdir().unwrap();
    for file in files(home.path(), "").into_iter().chain([home.path().join("FORMAT")]) {
        let place = left.path().join(file.strip_prefix(home.path()).unwrap());
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::copy(&file, &place).unwrap();
    }
    let device = Device::default();
    device.break_writes(Errno::NOSPC);
    let next = Disk::open_on(left.path(), options(64), NOW, device.clone()).unwrap();
    assert_eq!(version(&next, 0).await, None);
    assert_eq!(version(&next, 1).await, Some(1), "the segment of the older version is there");
    device.mend();
    next.flush().await.unwrap();
    assert_eq!(after_a_restart(vec![next], left.path(), 0).await, None);
}

/// Nobody has looked through the directory since it wrote.
#[tokio::test]
async fn what_a_process_wrote_that_has_just_begun() {
    let home = tempfile::tempdir().unwrap();
    let evicts = open(home.path(), 8);
    let other = open(home.path(), 8);
    other.write(entry(0, 1, 3000)).unwrap();
    other.flush().await.unwrap();
    evicts.notice(entry(0, 1, 0).created);
    assert!(evicts.remove(&key(0)), "the other may have it");
    evicts.flush().await.unwrap();
    other.flush().await.unwrap();
    assert_eq!(version(&other, 0).await, None);
    assert_eq!(after_a_restart(vec![other, evicts], home.path(), 0).await, None);
}

#[tokio::test]
async fn who_removes_knows_at_once_who_else_is_there() {
    let home = tempfile::tempdir().unwrap();
    let old = open(home.path(), 8);
    assert!(!old.remove(&key(0)));
    let new = open(home.path(), 8);
    assert!(old.remove(&key(0)) && new.remove(&key(0)));
    old.retire().unwrap();
    old.flush().await.unwrap();
    assert!(old.remove(&key(0)) && new.remove(&key(0)), "nobody evicts");
    new.flush().await.unwrap();
    assert!(old.remove(&key(0)) && new.remove(&key(0)), "the new one evicts");
    old.close().await;
    assert!(!new.remove(&key(0)));
    let brief = open(home.path(), 8);
    assert!(new.remove(&key(0)));
    brief.close().await;
    assert!(!new.remove(&key(0)));
}

/// Eviction asks how far a tomb reaches before it lets go of it.
#[tokio::test]
async fn by_a_tomb_that_reaches_what_its_writer_had_not_seen() {
    let home = tempfile::tempdir().unwrap();
    let (evicts, other) = two(home.path(), Device::default()).await;
    fill(&evicts, 100, |disk| disk.figures().carried > 0).await;
    let at = |disk: &Disk| disk.platter.holdings.locate(disk.tag(&key(0))).unwrap();
    let copied = at(&evicts).0.name.seq;
    other.remove(&key(0));
    other.close().await;
    evicts.flush().await.unwrap();
    let (segment, tomb) = at(&evicts);
    assert!(tomb.tomb && segment.sealed() && segment.name.seq < copied);
    assert!(segment.until() >= copied, "{} {copied}", segment.until());
}

#[tokio::test]
async fn a_removal_of_what_nobody_has_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let disk = open(home.path(), 8);
    assert!(!disk.remove(&key(0)));
    disk.flush().await.unwrap();
    assert_eq!((disk.figures().objects, disk.figures().segments), (0, 0));
}
