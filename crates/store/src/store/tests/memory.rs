//! A store without disks.

use super::*;

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
    let found = store.follow(&key, first.id()).unwrap();
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
        of: found.version(),
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
async fn what_is_said_of_one_body_is_not_written_to_another_of_that_moment() {
    let store = store();
    let key = store.key(b"a/");
    let began = store.stamp(at(5));
    let mut versions = Vec::new();
    for body in ["first", "second"] {
        let (mut fill, _) = store.begin(start(&store, "a/"), began);
        fill.push(body.into()).unwrap();
        assert!(fill.finish(Some(body.to_owned())).unwrap().is_kept);
        versions.push(store.find(&key, at(6)).await.unwrap().version());
    }
    assert_eq!(versions[0].created, versions[1].created);
    for (of, expected) in [(versions[0], "second"), (versions[1], "valid")] {
        let validated = Validated {
            key: key.clone(),
            of,
            began: store.stamp(at(7)),
            keep_until: LATE,
            meta: "valid".to_owned(),
            labels: Labels { subject: (*b"a/").into(), tags: [].into() },
        };
        assert_eq!(store.replace_meta(validated).await, expected == "valid");
        let found = store.find(&key, at(8)).await.unwrap();
        assert_eq!((found.meta.as_str(), found.fill), (expected, versions[1].fill));
        assert_eq!(read(found.body).await.unwrap(), b"second");
    }
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
    let of = store.find(&key, at(4)).await.unwrap().version();
    let keep_until = LATE;
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
    assert!(other.find(&other.key(b"a/"), at(3)).await.is_none());
    one.purge(&[Target::Subject(b"b/")], Manner::Hard, at(4)).unwrap();
    assert_eq!(other.refresh(at(4)).unwrap(), 1);
    assert_eq!(other.refresh(at(5)).unwrap(), 0);
}
