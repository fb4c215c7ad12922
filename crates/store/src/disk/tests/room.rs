//! What goes when there is no room.

use super::*;

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
