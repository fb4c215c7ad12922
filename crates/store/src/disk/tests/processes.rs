//! What other processes do to a directory, and left in it.

use super::*;

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
    let (name, _) = name::Name::parse(left.file_name().unwrap().to_str().unwrap()).unwrap();
    let half = name::Name { writer: name.writer ^ 1, ..name }.path(name::State::New);
    let half = copied.path().join("seg").join(half);
    std::fs::write(&half, "half").unwrap();
    let adopted = open(copied.path(), 64);
    for n in 0..10 {
        assert_eq!(version(&adopted, n).await, Some(1), "key {n}");
    }
    assert!(files(copied.path(), ".open").is_empty());
    assert_eq!(files(copied.path(), ".seg").len(), 1);
    assert_eq!(adopted.figures().segments, 1);
    assert!(!half.exists());
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
    assert_eq!(left.len(), 4, "FORMAT, GUESTS, LOCK and seg, not {left:?}");
}
