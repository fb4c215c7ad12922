//! Two processes on the same disk, each with a memory of its own.

use super::*;

#[tokio::test]
async fn what_one_makes_worthless_the_other_has_no_more() {
    let home = tempfile::tempdir().unwrap();
    let old = open(home.path(), &["one"], small());
    let new = open(home.path(), &["one"], small());
    for (now, here, there) in [(10, &old, &new), (20, &new, &old)] {
        // In its memory, and not yet on the disk.
        put(there, "a/", "body", now);
        let key = there.key(b"a/");
        assert_eq!(there.find(&key, at(now)).await.unwrap().tier, Tier::Memory);
        assert!(here.find(&here.key(b"a/"), at(now)).await.is_none(), "it is not known here");
        assert!(here.remove(&here.key(b"a/"), at(now + 1)), "it may be there");
        here.purge(&[Target::Subject(b"a/")], Manner::Hard, at(now + 1)).unwrap();
        assert!(there.find(&key, at(now + 2)).await.is_none());
        there.flush().await;
        assert!(there.find(&key, at(now + 3)).await.is_none());
    }
    old.close().await;
    // It evicts from now on.
    new.flush().await;
    assert!(!new.remove(&new.key(b"a/"), at(30)), "nobody else is there");
    put(&new, "a/", "body", 31);
    assert!(new.remove(&new.key(b"a/"), at(32)));
}
