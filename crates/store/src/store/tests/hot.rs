//! Memory before and after a restart.

use super::*;
use crate::disk::HotFault;

/// So that all fits, and moves.
fn roomy() -> Options {
    Options { promoted: 20_000, ..Options::of_memory(400_000) }
}

#[tokio::test]
async fn what_was_in_memory_is_there_again_after_a_restart() {
    for folders in [&["one"][..], &["one", "two", "three"]] {
        let home = tempfile::tempdir().unwrap();
        let store = open(home.path(), folders, roomy());
        for n in 0..60 {
            put(&store, &format!("{n}/"), vec![n; 10_000], 1);
            if n < 6 {
                store.find(&store.key(format!("{n}/").as_bytes()), at(1)).await.unwrap();
            }
        }
        store.save_hot(at(2)).await.unwrap();
        let mut hot = Vec::new();
        for n in 0..60 {
            let key = store.key(format!("{n}/").as_bytes());
            hot.push(store.0.memory.holds(&key));
        }
        assert!(hot[..6].iter().all(|hot| *hot) && hot.contains(&false), "{hot:?}");
        store.close().await;
        let store = open(home.path(), folders, roomy());
        // Somebody was earlier.
        assert_eq!(found(&store, "0/").await.unwrap().0, Tier::Disk);
        let warmed = store.warm(u64::MAX, at(3)).await;
        let count = hot.iter().filter(|hot| **hot).count() as u64;
        assert_eq!((warmed.objects, warmed.faults.len()), (count - 1, 0));
        assert_eq!(store.figures().promoted, count);
        for (n, _) in hot.iter().enumerate().filter(|(_, hot)| **hot) {
            let (tier, meta, body) = found(&store, &format!("{n}/")).await.unwrap();
            assert_eq!((tier, meta), (Tier::Memory, format!("{n}/")));
            assert_eq!(body, vec![n as u8; 10_000]);
        }
        assert_eq!(store.warm(u64::MAX, at(3)).await.objects, 0, "once");
    }
}

#[tokio::test]
async fn within_a_budget_what_was_used_comes_first() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one", "two"], roomy());
    // The first six go to the main queue, when there is no room.
    for n in 0..60 {
        put(&store, &format!("{n}/"), vec![n; 10_000], 1);
        if n < 6 {
            store.find(&store.key(format!("{n}/").as_bytes()), at(1)).await.unwrap();
        }
    }
    store.save_hot(at(2)).await.unwrap();
    store.close().await;
    let store = open(home.path(), &["one", "two"], roomy());
    let warmed = store.warm(61_500, at(3)).await;
    assert_eq!(warmed.objects, 6);
    assert!(warmed.bytes <= 61_500, "{warmed:?}");
    for n in 0..6 {
        assert!(store.0.memory.holds(&store.key(format!("{n}/").as_bytes())), "{n}");
    }
    // They were used before: what is new goes first.
    for n in 100..160 {
        put(&store, &format!("{n}/"), vec![1; 10_000], 4);
    }
    for n in 0..6 {
        assert!(store.0.memory.holds(&store.key(format!("{n}/").as_bytes())), "{n}");
    }
}

#[tokio::test]
async fn nothing_that_was_asked_for_since_goes_for_what_was_before() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], roomy());
    for n in 0..30 {
        put(&store, &format!("{n}/"), vec![n as u8; 10_000], 1);
    }
    store.save_hot(at(2)).await.unwrap();
    store.close().await;
    let store = open(home.path(), &["one"], roomy());
    let new: Vec<String> = (100..130).map(|n| format!("{n}/")).collect();
    for name in &new {
        put(&store, name, vec![1; 10_000], 3);
    }
    let warmed = store.warm(u64::MAX, at(4)).await;
    assert!((1..20).contains(&warmed.objects), "{warmed:?}");
    assert!(new.iter().all(|name| store.0.memory.holds(&store.key(name.as_bytes()))));
}

#[tokio::test]
async fn what_was_purged_removed_replaced_or_is_too_old_stays_cold() {
    let home = tempfile::tempdir().unwrap();
    let store = open(home.path(), &["one"], roomy());
    for name in ["purged/", "removed/", "replaced/", "late/", "soft/"] {
        put(&store, name, "old", 1);
    }
    let brief = Start { keep_until: at(9), ..start(&store, "brief/") };
    let (mut fill, _) = store.begin(brief, store.stamp(at(1)));
    fill.push("old".into()).unwrap();
    fill.finish(None).unwrap();
    store.save_hot(at(2)).await.unwrap();
    store.purge(&[Target::Subject(b"purged/")], Manner::Hard, at(3)).unwrap();
    store.purge(&[Target::Subject(b"soft/")], Manner::Soft, at(4)).unwrap();
    store.remove(&store.key(b"removed/"), at(1));
    put(&store, "replaced/", "new", 5);
    store.close().await;
    let store = open(home.path(), &["one"], roomy());
    // One is fetched again before it is its turn.
    put(&store, "late/", "newer", 8);
    assert_eq!(store.warm(u64::MAX, at(10)).await.objects, 2);
    let body = |text: &str| text.as_bytes().to_vec();
    for name in ["purged/", "removed/", "brief/"] {
        assert!(store.find(&store.key(name.as_bytes()), at(10)).await.is_none(), "{name}");
    }
    for (name, text) in [("replaced/", "new"), ("late/", "newer"), ("soft/", "old")] {
        let (tier, _, read) = found(&store, name).await.unwrap();
        assert_eq!((tier, read), (Tier::Memory, body(text)), "{name}");
    }
    let soft = store.find(&store.key(b"soft/"), at(10)).await.unwrap();
    assert_eq!(soft.stale_since, Some(at(4)));
}

#[tokio::test]
async fn a_list_is_private_and_one_that_is_none_is_passed_over() {
    use std::os::unix::fs::PermissionsExt;

    let home = tempfile::tempdir().unwrap();
    let list = home.path().join("one/hot.lst");
    let half = home.path().join("one/hot.lst.0000000000000001");
    let store = open(home.path(), &["one"], roomy());
    assert!(!list.exists());
    put(&store, "a/", "body", 1);
    store.save_hot(at(2)).await.unwrap();
    assert_eq!(std::fs::metadata(&list).unwrap().permissions().mode() & 0o777, 0o600);
    store.close().await;
    let good = std::fs::read(&list).unwrap();
    assert_eq!(good.len(), 64 + 16);
    let damaged: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes[70] ^= 1,
        |bytes| bytes.truncate(40),
        |bytes| bytes.clear(),
        |bytes| bytes.extend_from_slice(&[0; 1 << 20]),
    ];
    for damage in damaged {
        let mut bytes = good.clone();
        damage(&mut bytes);
        std::fs::write(&list, bytes).unwrap();
        std::fs::write(&half, "what a process left that died").unwrap();
        let store = open(home.path(), &["one"], roomy());
        let warmed = store.warm(u64::MAX, at(3)).await;
        assert_eq!((warmed.objects, warmed.faults), (0, vec![(0, HotFault::Malformed)]));
        assert!(!half.exists());
        assert_eq!(found(&store, "a/").await.unwrap().0, Tier::Disk);
        // The next one is good again.
        store.save_hot(at(4)).await.unwrap();
        store.close().await;
        let store = open(home.path(), &["one"], roomy());
        assert_eq!(store.warm(u64::MAX, at(5)).await.objects, 1);
        store.close().await;
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_written_is_an_error_and_the_old_one_stays() {
    let home = tempfile::tempdir().unwrap();
    let device = Device::default();
    let options = disk::Options { segment: Some(64 << 10), ..disk::Options::of_capacity(8 << 20) };
    let disk = Disk::open_on(home.path(), options, at(1), device.clone()).unwrap();
    let store = Store::<String>::open(roomy(), vec![disk], &[], at(1)).unwrap();
    put(&store, "a/", "body", 1);
    store.save_hot(at(2)).await.unwrap();
    let before = std::fs::read(home.path().join("hot.lst")).unwrap();
    device.break_writes(Errno::NOSPC);
    put(&store, "b/", "body", 1);
    assert_eq!(store.save_hot(at(3)).await, Err(HotFault::Io(Errno::NOSPC)));
    assert_eq!(std::fs::read(home.path().join("hot.lst")).unwrap(), before);
    let names = std::fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.into_iter().all(|name| !name.to_str().unwrap().starts_with("hot.lst.")));
}
