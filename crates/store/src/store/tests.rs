use std::path::Path;

use bytes::Bytes;

use super::*;
use crate::fill::Broken;

const LATE: Moment = Moment::from_millis(u64::MAX);

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

fn store() -> Store<String> {
    Store::in_memory(Options::of_memory(100_000))
}

fn start(store: &Store<String>, name: &str) -> Start<String> {
    Start {
        key: store.key(name.as_bytes()),
        keep_until: LATE,
        meta: name.to_owned(),
        labels: Labels { subject: name.as_bytes().into(), tags: [].into() },
        length: None,
    }
}

fn put(store: &Store<String>, name: &str, body: impl AsRef<[u8]>, now: u64) -> Stored {
    let began = store.stamp(at(now));
    let (mut fill, _) = store.begin(start(store, name), began);
    fill.push(Bytes::copy_from_slice(body.as_ref())).unwrap();
    fill.finish(None).unwrap()
}

async fn read(mut body: Body) -> Result<Vec<u8>, Broken> {
    let mut all = Vec::new();
    while let Some(bytes) = body.next().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn an_object_is_found_with_its_body_and_counted() {
    let store = store();
    assert_eq!(put(&store, "a/", "body", 1), Stored { length: 4, is_kept: true });
    let found = store.find(&store.key(b"a/"), at(2)).await.unwrap();
    assert_eq!((found.tier, found.created, found.stale_since), (Tier::Memory, at(1), None));
    assert_eq!(*found.meta, "a/");
    assert_eq!(found.body.length(), Some(4));
    assert_eq!(read(found.body).await.unwrap(), b"body");
    let mut part = store.find(&store.key(b"a/"), at(2)).await.unwrap().body;
    part.seek(1, Some(3)).unwrap();
    assert_eq!(read(part).await.unwrap(), b"od");
    assert!(store.find(&store.key(b"b/"), at(2)).await.is_none());
    let figures = store.figures();
    assert_eq!((figures.found, figures.followed, figures.missed), (2, 0, 1));
}

#[tokio::test]
async fn a_fill_has_a_reader_of_its_own_by_its_tag() {
    let store = store();
    let (mut first, _) = store.begin(start(&store, "a/"), store.stamp(at(1)));
    let (second, _) = store.begin(start(&store, "a/"), store.stamp(at(1)));
    first.push("first".into()).unwrap();
    let key = store.key(b"a/");
    let found = store.follow(&key, first.tag()).unwrap();
    assert_eq!(found.tier, Tier::Running);
    first.finish(None).unwrap();
    assert_eq!(read(found.body).await.unwrap(), b"first");
    drop(second);
    assert_eq!(store.find(&key, at(1)).await.unwrap().tier, Tier::Memory);
}

#[tokio::test]
async fn a_validated_object_is_no_longer_stale_by_a_purge_before() {
    let store = store();
    put(&store, "a/", "body", 1);
    store.purge(&[Target::Prefix(b"a/")], Manner::Soft, at(5)).unwrap();
    let key = store.key(b"a/");
    let found = store.find(&key, at(6)).await.unwrap();
    assert_eq!(found.stale_since, Some(at(5)));
    let began = store.stamp(at(6));
    let validated = |meta: &str| Validated {
        key: key.clone(),
        of: found.created,
        began,
        keep_until: LATE,
        meta: meta.to_owned(),
        labels: Labels { subject: (*b"a/").into(), tags: [].into() },
    };
    assert!(store.replace_meta(validated("new")).await);
    let now = store.find(&key, at(7)).await.unwrap();
    assert_eq!((now.meta.as_str(), now.stale_since, now.created), ("new", None, at(6)));
    // A second answer to the same question comes too late.
    assert!(!store.replace_meta(validated("late")).await);
    assert_eq!(*store.find(&key, at(7)).await.unwrap().meta, "new");
}

#[tokio::test]
async fn a_validation_that_began_before_a_purge_does_not_undo_it() {
    let store = store();
    put(&store, "a/", "body", 1);
    let key = store.key(b"a/");
    let began = store.stamp(at(4));
    store.purge(&[Target::All], Manner::Soft, at(4)).unwrap();
    let labels = Labels { subject: (*b"a/").into(), tags: [].into() };
    let meta = "new".to_owned();
    let (of, keep_until) = (at(1), LATE);
    let validated = Validated { key: key.clone(), of, began, keep_until, meta, labels };
    assert!(store.replace_meta(validated).await);
    assert_eq!(store.find(&key, at(5)).await.unwrap().stale_since, Some(at(4)));
}

#[tokio::test]
async fn tidying_gives_back_what_was_purged_and_forgets_old_purges() {
    let store = store();
    put(&store, "a/", "body", 1);
    store.purge(&[Target::Prefix(b"a/")], Manner::Hard, at(5)).unwrap();
    store.tidy(at(6));
    let figures = store.figures();
    assert_eq!((figures.memory.objects, figures.memory.bytes), (0, 0));
    assert_eq!(figures.purges.marks, 1, "a fill may have begun just before");
    store.tidy(at(100_000));
    assert_eq!(store.figures().purges.marks, 0);
}

#[tokio::test]
async fn two_stores_share_their_purges() {
    let directory = tempfile::tempdir().unwrap();
    let logs = [directory.path().join("purge.log")];
    let open =
        || Store::<String>::open(Options::of_memory(100_000), Vec::new(), &logs, at(1)).unwrap();
    let (one, other) = (open(), open());
    put(&other, "a/", "body", 2);
    one.purge(&[Target::Subject(b"a/")], Manner::Hard, at(3)).unwrap();
    assert!(other.find(&other.key(b"a/"), at(3)).await.is_some());
    assert_eq!(other.refresh(at(3)).unwrap(), 1);
    assert!(other.find(&other.key(b"a/"), at(3)).await.is_none());
}

/// With disks in folders of that name.
fn open(home: &Path, disks: &[&str], options: Options) -> Store<String> {
    let mut opened = Vec::new();
    let mut logs = Vec::new();
    for name in disks {
        let path = home.join(name);
        let disk = disk::Options {
            segment: Some(64 << 10),
            // Only a flush looks through the folder.
            tend: Duration::from_secs(3600),
            ..disk::Options::of_capacity(8 << 20)
        };
        opened.push(Disk::open(&path, disk, at(1)).unwrap());
        logs.push(path.join("purge.log"));
    }
    Store::open(options, opened, &logs, at(1)).unwrap()
}

fn small() -> Options {
    Options { promoted: 1000, longest: 50_000, ..Options::of_memory(100_000) }
}

async fn found(store: &Store<String>, name: &str) -> Option<(Tier, String, Vec<u8>)> {
    let found = store.find(&store.key(name.as_bytes()), at(0)).await?;
    let meta = found.meta.as_ref().clone();
    Some((found.tier, meta, read(found.body).await.unwrap()))
}

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
async fn what_was_removed_or_purged_during_its_fill_is_on_no_disk() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], small());
    let under_way = |name: &str| store.begin(start(&store, name), store.stamp(at(1))).0;
    let (mut removed, mut purged) = (under_way("a/"), under_way("b/"));
    for fill in [&mut removed, &mut purged] {
        fill.push("body".into()).unwrap();
    }
    store.remove(&store.key(b"a/"));
    store.purge(&[Target::Subject(b"b/")], Manner::Hard, at(1)).unwrap();
    for fill in [removed, purged] {
        assert_eq!(fill.finish(None).unwrap(), Stored { length: 4, is_kept: false });
    }
    put(&store, "c/", "body", 1);
    assert!(store.remove(&store.key(b"c/")));
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
    let of = store.find(&key, at(0)).await.unwrap().created;
    let validated = |of: Moment, meta: &str| Validated {
        key: key.clone(),
        of,
        began: store.stamp(at(20)),
        keep_until: LATE,
        meta: meta.to_owned(),
        labels: Labels { subject: (*b"a/").into(), tags: [].into() },
    };
    assert!(!store.replace_meta(validated(at(4), "other")).await);
    assert!(store.replace_meta(validated(of, "new")).await);
    store.flush().await;
    let now = store.find(&key, at(0)).await.unwrap();
    assert_eq!((now.meta.as_str(), now.created, now.stale_since), ("new", at(20), None));
    assert_eq!(read(now.body).await.unwrap().len(), 10_000);
    store.purge(&[Target::All], Manner::Hard, at(30)).unwrap();
    assert!(!store.replace_meta(validated(at(20), "revived")).await);
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

/// What is known of a name in the random test.
#[derive(Clone)]
struct Newest {
    created: Moment,
    meta: String,
    body: Vec<u8>,
}

/// Fills an object with random pieces; what it is, if it is finished and kept.
fn filled(
    store: &Store<String>,
    random: &mut fastrand::Rng,
    name: &str,
    now: u64,
) -> Option<Newest> {
    let created = store.stamp(at(now));
    let (mut fill, _) = store.begin(start(store, name), created);
    let mut body = Vec::new();
    for _ in 0..random.usize(0..5) {
        let piece = vec![random.u8(..); random.usize(0..9000)];
        body.extend_from_slice(&piece);
        fill.push(piece.into()).unwrap();
    }
    let meta = format!("{now}");
    let is_kept = random.u8(0..5) > 0 && fill.finish(Some(meta.clone())).unwrap().is_kept;
    is_kept.then_some(Newest { created, meta, body })
}

/// Any order of events and restarts: a look-up finds the newest that was kept and
/// neither purged nor removed since, or nothing.
#[tokio::test]
async fn no_order_of_events_and_restarts_shows_what_is_not_the_newest() {
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let home = tempfile::tempdir().unwrap();
        let folders: &[&str] = if seed % 2 == 0 { &["one"] } else { &["one", "two"] };
        let options = Options { longest: 40_000, ..Options::of_memory(random.u64(5_000..200_000)) };
        let options = Options { promoted: random.u64(0..20_000), ..options };
        let mut store = open(home.path(), folders, options);
        let mut newest: Vec<Option<Newest>> = vec![None; 8];
        let mut hits = 0;
        for now in 1..250 {
            let which = random.usize(0..newest.len());
            let name = format!("{which}/");
            let key = store.key(name.as_bytes());
            match random.u8(0..16) {
                0..5 => {
                    if let Some(kept) = filled(&store, &mut random, &name, now) {
                        newest[which] = Some(kept);
                    }
                }
                5 => {
                    store.remove(&key);
                    newest[which] = None;
                }
                6 => {
                    let target = [Target::Subject(name.as_bytes())];
                    store.purge(&target, Manner::Hard, at(now)).unwrap();
                    newest[which] = None;
                }
                7 => {
                    let Some(known) = newest[which].clone() else { continue };
                    let began = store.stamp(at(now));
                    let meta = format!("valid {now}");
                    let labels = Labels { subject: name.as_bytes().into(), tags: [].into() };
                    let of = known.created;
                    let validated =
                        Validated { key, of, began, keep_until: LATE, meta: meta.clone(), labels };
                    if store.replace_meta(validated).await {
                        newest[which] = Some(Newest { created: began, meta, ..known });
                    }
                    store.flush().await;
                }
                8 => {
                    store.close().await;
                    store = open(home.path(), folders, options);
                }
                9 => store.flush().await,
                _ => {
                    let Some(found) = store.find(&key, at(0)).await else { continue };
                    hits += 1;
                    let known =
                        newest[which].as_ref().unwrap_or_else(|| panic!("seed {seed} {now}"));
                    assert_eq!(found.created, known.created, "seed {seed} at {now}");
                    assert_eq!(*found.meta, known.meta, "seed {seed} at {now}");
                    let body = read(found.body).await.unwrap();
                    assert!(body == known.body, "seed {seed} at {now}");
                }
            }
        }
        assert!(hits > 10, "seed {seed}: {hits}");
    }
}
