//! What a disk is given of what is fetched.

use super::*;

fn choosy() -> Options {
    Options { admit: Admit::SecondHit, ..small() }
}

/// What the disk has after a restart.
async fn on_disk(home: &Path, store: Store<String>, names: &[&str]) -> Vec<bool> {
    store.close().await;
    let store = open(home, &["one"], choosy());
    let mut there = Vec::new();
    for name in names {
        there.push(found(&store, name).await.is_some());
    }
    there
}

#[tokio::test]
async fn what_is_asked_for_once_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], choosy());
    let names = ["once/", "hit/", "again/", "followed/", "removed/"];
    for name in names {
        if name != "followed/" {
            assert!(put(&store, name, "body", 1).is_kept, "memory has it");
        }
    }
    store.find(&store.key(b"hit/"), at(2)).await.unwrap();
    put(&store, "again/", "new", 3);
    let (mut fill, _) = store.begin(start(&store, "followed/"), store.stamp(at(3)));
    assert_eq!(store.find(&store.key(b"followed/"), at(3)).await.unwrap().tier, Tier::Running);
    fill.push("body".into()).unwrap();
    fill.finish(None).unwrap();
    store.find(&store.key(b"removed/"), at(4)).await.unwrap();
    store.remove(&store.key(b"removed/"), at(1));
    store.flush().await;
    let figures = store.figures();
    assert_eq!((figures.deferred, figures.disks[0].skipped), (4, 0));
    let there = on_disk(home.path(), store, &names).await;
    assert_eq!(there, [false, true, true, true, false]);
}

#[tokio::test]
async fn a_hit_writes_once() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], choosy());
    put(&store, "a/", "body", 1);
    for _ in 0..5 {
        found(&store, "a/").await.unwrap();
        store.flush().await;
    }
    assert_eq!(store.figures().disks[0].written, 1);
}

#[tokio::test]
async fn what_was_on_the_disk_goes_with_its_next_version_or_is_that() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], Options::of_memory(100_000));
    put(&store, "a/", "old", 1);
    store.close().await;
    // Nothing was seen since the start.
    let store = open(home.path(), &["one"], choosy());
    put(&store, "a/", "new", 2);
    store.close().await;
    let store = open(home.path(), &["one"], choosy());
    let (_, _, body) = found(&store, "a/").await.unwrap();
    assert_eq!(body, b"new");
}

#[tokio::test]
async fn a_validation_is_a_second_use() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], choosy());
    put(&store, "a/", "body", 1);
    let labels = Labels { subject: (*b"a/").into(), tags: [].into() };
    let of = store.find(&store.key(b"a/"), at(1)).await.unwrap().version();
    let validated = Validated {
        key: store.key(b"a/"),
        of,
        began: store.stamp(at(5)),
        keep_until: LATE,
        meta: "new".to_owned(),
        labels,
    };
    assert!(store.replace_meta(validated).await);
    assert_eq!(on_disk(home.path(), store, &["a/"]).await, [true]);
}
