//! A store in front of disks.

use super::*;

#[tokio::test]
async fn what_is_on_a_disk_is_there_after_a_restart_and_moves_into_memory() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    assert!(put(&store, "a/", "body", 1).is_kept);
    let long = "x".repeat(20_000);
    put(&store, "long/", &long, 1);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    let body = |text: &str| text.as_bytes().to_vec();
    for tier in [Tier::Disk, Tier::Memory] {
        assert_eq!(found(&store, "a/").await, Some((tier, "a/".to_owned(), body("body"))));
        let expected = Some((Tier::Disk, "long/".to_owned(), body(&long)));
        assert_eq!(found(&store, "long/").await, expected, "it is too long to move");
    }
    assert_eq!(found(&store, "b/").await, None);
    let figures = store.figures();
    let counts = (figures.found, figures.loaded, figures.promoted, figures.missed);
    assert_eq!(counts, (1, 3, 1, 1));
}

#[tokio::test]
async fn ranges_of_a_body_on_a_disk_are_its_bytes() {
    let home = tempfile::tempdir().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    let long: Vec<u8> = (0..30_000).map(|_| random.u8(..)).collect();
    let store = open(home.path(), &["one"], small());
    put(&store, "a/", &long, 1);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    for _ in 0..50 {
        let start = random.usize(0..=long.len());
        let end = random.bool().then(|| random.usize(start..=long.len()));
        let mut body = store.find(&store.key(b"a/"), at(0)).await.unwrap().body;
        body.seek(start as u64, end.map(|end| end as u64)).unwrap();
        assert_eq!(read(body).await.unwrap(), long[start..end.unwrap_or(long.len())]);
    }
    let mut body = store.find(&store.key(b"a/"), at(0)).await.unwrap().body;
    assert_eq!(body.seek(0, Some(30_001)), Err(Broken::OutOfRange));
    assert_eq!(body.length(), Some(30_000));
}

#[tokio::test]
async fn a_purge_hits_what_is_on_a_disk_and_is_known_after_a_restart() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    for name in ["a/1", "a/2", "b/1"] {
        put(&store, name, "body", 10);
    }
    store.purge(&[Target::Prefix(b"a/")], Manner::Hard, at(20)).unwrap();
    store.purge(&[Target::Prefix(b"b/")], Manner::Soft, at(30)).unwrap();
    put(&store, "a/2", "new", 40);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    assert_eq!(found(&store, "a/1").await, None);
    assert!(found(&store, "a/2").await.is_some());
    let soft = store.find(&store.key(b"b/1"), at(0)).await.unwrap();
    assert_eq!((soft.tier, soft.stale_since), (Tier::Disk, Some(at(30))));
    let soft = store.find(&store.key(b"b/1"), at(0)).await.unwrap();
    assert_eq!((soft.tier, soft.stale_since), (Tier::Memory, Some(at(30))));
}

#[tokio::test]
async fn a_purge_hits_what_is_on_a_disk_from_before_the_clock_was_set_back() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    put(&store, "a/", "body", 1000);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    store.purge(&[Target::Subject(b"a/")], Manner::Hard, at(500)).unwrap();
    assert_eq!(found(&store, "a/").await, None);
}

#[tokio::test]
async fn a_purge_is_known_for_as_long_as_a_disk_has_what_it_hit() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    put(&store, "a/", "body", 1);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    store.purge(&[Target::Subject(b"a/")], Manner::Hard, at(5)).unwrap();
    store.tidy(at(100_000));
    assert_eq!(store.figures().purges.marks, 1);
    assert_eq!(found(&store, "a/").await, None);
}

#[tokio::test]
async fn what_was_removed_or_purged_during_its_fill_is_on_no_disk() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    let under_way = |name: &str| store.begin(start(&store, name), store.stamp(at(1))).0;
    let (mut removed, mut purged) = (under_way("a/"), under_way("b/"));
    for fill in [&mut removed, &mut purged] {
        fill.push("body".into()).unwrap();
    }
    store.remove(&store.key(b"a/"), at(1));
    store.purge(&[Target::Subject(b"b/")], Manner::Hard, at(1)).unwrap();
    for fill in [removed, purged] {
        assert_eq!(fill.finish(None).unwrap(), Stored { length: 4, is_kept: false });
    }
    put(&store, "c/", "body", 1);
    assert!(store.remove(&store.key(b"c/"), at(1)));
    store.close().await;
    let store = open(home.path(), &["one"], small());
    for name in ["a/", "b/", "c/"] {
        assert_eq!(found(&store, name).await, None, "{name}");
    }
}

#[tokio::test]
async fn a_version_that_a_disk_does_not_take_leaves_no_older_one() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], Options::of_memory(1 << 20));
    put(&store, "a/", "old", 1);
    store.flush().await;
    // More than half a segment.
    assert!(put(&store, "a/", "x".repeat(50_000), 2).is_kept);
    store.close().await;
    let store = open(home.path(), &["one"], Options::of_memory(1 << 20));
    assert_eq!(found(&store, "a/").await, None);
}

#[tokio::test]
async fn what_memory_has_no_room_for_is_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    for n in 0..40 {
        put(&store, &format!("{n}/"), vec![n; 10_000], 1);
    }
    store.flush().await;
    assert!(store.figures().memory.bytes <= 100_000);
    for n in 0..40 {
        let (_, _, body) = found(&store, &format!("{n}/")).await.unwrap();
        assert_eq!(body, vec![n; 10_000]);
    }
    assert!(store.figures().loaded > 20);
}

#[tokio::test]
async fn a_validated_object_on_a_disk_has_its_new_metadata() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    put(&store, "a/", "x".repeat(10_000), 5);
    store.close().await;
    let store = open(home.path(), &["one"], small());
    store.purge(&[Target::All], Manner::Soft, at(10)).unwrap();
    let key = store.key(b"a/");
    let of = store.find(&key, at(0)).await.unwrap().version();
    let validated = |of: Version, meta: &str| Validated {
        key: key.clone(),
        of,
        began: store.stamp(at(20)),
        keep_until: LATE,
        meta: meta.to_owned(),
        labels: Labels { subject: (*b"a/").into(), tags: [].into() },
    };
    assert!(!store.replace_meta(validated(Version { created: at(4), ..of }, "other")).await);
    // Somebody else was answered at that moment.
    let another = Version { fill: FillId::from_bits(of.fill.bits() ^ 1), ..of };
    assert!(!store.replace_meta(validated(another, "another")).await);
    assert!(store.replace_meta(validated(of, "new")).await);
    store.flush().await;
    let now = store.find(&key, at(0)).await.unwrap();
    assert_eq!((now.meta.as_str(), now.created, now.stale_since), ("new", at(20), None));
    assert_eq!(read(now.body).await.unwrap().len(), 10_000);
    store.purge(&[Target::All], Manner::Hard, at(30)).unwrap();
    assert!(!store.replace_meta(validated(Version { created: at(20), ..of }, "revived")).await);
}

#[tokio::test]
async fn each_object_is_on_one_disk_whatever_their_order() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one", "two", "three"], small());
    for n in 0..60 {
        put(&store, &format!("{n}/"), "body", 1);
    }
    store.close().await;
    let store = open(home.path(), &["three", "one", "two"], small());
    for n in 0..60 {
        assert!(found(&store, &format!("{n}/")).await.is_some(), "{n}");
    }
    for disk in store.figures().disks {
        assert!((5..40).contains(&disk.objects), "{}", disk.objects);
    }
    drop(store);
    // Without one of them, what it had is missed, and nothing else.
    let store = open(home.path(), &["one", "two"], small());
    let mut there = 0;
    for n in 0..60 {
        there += u64::from(found(&store, &format!("{n}/")).await.is_some());
    }
    let kept: u64 = store.figures().disks.iter().map(|disk| disk.objects).sum();
    assert_eq!(there, kept);
}

#[tokio::test]
async fn metadata_of_another_version_is_a_miss() {
    struct Other;
    impl Meta for Other {
        fn encode(&self, to: &mut Vec<u8>) {
            to.push(0xff);
        }
        fn decode(bytes: &[u8]) -> Option<Self> {
            (bytes == [0xff]).then_some(Self)
        }
        fn weight(&self) -> usize {
            0
        }
    }
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    put(&store, "a/", "body", 1);
    store.close().await;
    let options = disk::Options { segment: Some(64 << 10), ..disk::Options::of_capacity(8 << 20) };
    let disk = Disk::open(&home.path().join("one"), options, at(1)).unwrap();
    let store = Store::<Other>::open(small(), vec![disk], &[], at(1)).unwrap();
    assert!(store.find(&store.key(b"a/"), at(0)).await.is_none());
    assert_eq!(store.figures().disks[0].damaged, 0);
}

#[tokio::test]
async fn a_disk_that_failed_is_used_again_when_its_time_has_come() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let options = disk::Options { segment: Some(64 << 10), ..disk::Options::of_capacity(8 << 20) };
    let disk = Disk::open_on(home.path(), options, at(1), device.clone()).unwrap();
    let store = Store::<String>::open(small(), vec![disk], &[], at(1)).unwrap();
    put(&store, "a/", "x".repeat(10_000), 1);
    store.flush().await;
    for n in 0..30 {
        // It leaves memory.
        put(&store, &format!("{n}/"), "x".repeat(10_000), 1);
    }
    store.flush().await;
    device.break_writes(Errno::IO);
    put(&store, "b/", "body", 1);
    store.flush().await;
    device.mend();
    let key = store.key(b"a/");
    for now in [2, 4000, 5000] {
        assert!(store.find(&key, at(now)).await.is_none(), "after {now} ms");
        store.flush().await;
    }
    // It is tried, and may be there before it is looked at.
    store.find(&key, at(5001)).await;
    store.flush().await;
    assert!(store.find(&key, at(5002)).await.is_some());
}

/// A store of one disk that takes bodies of some blocks, and one of those.
async fn with_blocks(home: &Path) -> (Store<String>, Vec<u8>) {
    let options = disk::Options { segment: Some(1 << 20), ..disk::Options::of_capacity(8 << 20) };
    let disk = Disk::open(home, options, at(1)).unwrap();
    let options = Options { promoted: 1000, ..Options::of_memory(4 << 20) };
    let store = Store::<String>::open(options, vec![disk], &[], at(1)).unwrap();
    let mut random = fastrand::Rng::with_seed(6);
    let whole: Vec<u8> = (0..5 * BLOCK + 1234).map(|_| random.u8(..)).collect();
    put(&store, "a/", &whole, 1);
    store.close().await;
    let disk = Disk::open(home, disk::Options::of_capacity(8 << 20), at(1)).unwrap();
    (Store::<String>::open(options, vec![disk], &[], at(1)).unwrap(), whole)
}

const BLOCK: usize = 64 << 10;

/// Flips a bit at this place of a body, wherever a segment has it.
fn flip(home: &Path, body: &[u8], at: usize) {
    let folder = std::fs::read_dir(home.join("seg")).unwrap().next().unwrap().unwrap().path();
    let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let begin = bytes.windows(64).position(|window| window == &body[..64]).unwrap();
    bytes[begin + at] ^= 4;
    std::fs::write(&file, bytes).unwrap();
}

#[tokio::test]
async fn a_body_is_good_up_to_the_block_that_is_damaged_and_then_gone() {
    for block in 0..6 {
        let home = tempfile::tempdir().unwrap();
        let (store, whole) = with_blocks(home.path()).await;
        let key = store.key(b"a/");
        let mut ranged = store.find(&key, at(1)).await.unwrap().body;
        let mut body = store.find(&key, at(1)).await.unwrap().body;
        flip(home.path(), &whole, block * BLOCK + 777);
        let mut read = Vec::new();
        let broken = loop {
            match body.next().await {
                Ok(bytes) => read.extend_from_slice(&bytes.unwrap()),
                Err(broken) => break broken,
            }
        };
        assert_eq!(broken, Broken::Unreadable);
        assert_eq!(body.position(), (block * BLOCK) as u64, "block {block}");
        assert!(read == whole[..block * BLOCK], "block {block}: what was read is good");
        assert!(store.find(&key, at(1)).await.is_none(), "the next look-up misses it");
        assert_eq!(store.figures().disks[0].damaged, 1, "it is counted once");
        // Who reads it still gets what is not damaged.
        let start = if block == 5 { 0 } else { 5 * BLOCK + 1 };
        ranged.seek(start as u64, Some(start as u64 + 1000)).unwrap();
        assert_eq!(ranged.next().await.unwrap().unwrap(), whole[start..start + 1000]);
        assert_eq!(ranged.position(), start as u64 + 1000);
    }
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_gone_and_says_from_where_on() {
    let home = tempfile::tempdir().unwrap();
    let options = disk::Options { segment: Some(2 << 20), ..disk::Options::of_capacity(16 << 20) };
    let device = Device::default();
    let disk = Disk::open_on(home.path(), options, at(1), device.clone()).unwrap();
    let options = Options { longest: 1 << 20, promoted: 1000, ..Options::of_memory(2 << 20) };
    let store = Store::<String>::open(options, vec![disk], &[], at(1)).unwrap();
    put(&store, "a/", vec![7; 600_000], 1);
    for n in 0..9 {
        // It leaves memory.
        put(&store, &format!("{n}/"), vec![1; 500_000], 1);
    }
    store.flush().await;
    let key = store.key(b"a/");
    let mut body = store.find(&key, at(1)).await.unwrap().body;
    let mut read = body.next().await.unwrap().unwrap().len() as u64;
    device.break_reads(Errno::IO);
    assert_eq!(body.next().await, Err(Broken::Unreadable));
    assert_eq!(body.position(), read);
    device.mend();
    assert!(store.find(&key, at(1)).await.is_none());
    // The sector may be another one: what it still has can be read.
    while let Some(bytes) = body.next().await.unwrap() {
        read += bytes.len() as u64;
    }
    assert_eq!(read, 600_000);
}
