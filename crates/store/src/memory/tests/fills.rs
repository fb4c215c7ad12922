//! Objects on their way.

use super::*;

#[tokio::test]
async fn who_asks_during_a_fill_follows_it() {
    let memory = memory(10_000);
    fill(&memory, "a", 1, "old");
    let (mut filling, mut own) = memory.begin(about("a", 2), Some(6));
    filling.push("abc".into()).unwrap();
    let Some(Hit::Running(running, mut other, _)) = memory.find(&SEED.key(b"a"), at(0)) else {
        panic!("the newer is found");
    };
    assert_eq!(*running.about.meta, "a 2");
    filling.push("def".into()).unwrap();
    assert!(matches!(filling.finish(Some("final".into())), Ok(Filled::Kept(..))));
    for reader in [&mut own, &mut other] {
        assert_eq!(reader.next().await.unwrap().unwrap(), "abcdef");
        assert_eq!(reader.next().await, Ok(None));
    }
    assert_eq!(found(&memory, "a"), is("final", "abcdef"));
    assert_eq!(memory.figures().running, 0);
}

#[tokio::test]
async fn a_fill_that_breaks_off_leaves_what_was_there() {
    let memory = memory(10_000);
    fill(&memory, "a", 1, "old");
    let before = memory.figures();
    let (mut filling, mut own) = memory.begin(about("a", 2), None);
    filling.push("abc".into()).unwrap();
    drop(filling);
    assert_eq!(own.next().await.unwrap().unwrap(), "abc");
    assert_eq!(own.next().await, Err(Broken::Aborted));
    assert_eq!(found(&memory, "a"), is("a 1", "old"));
    assert_eq!(memory.figures(), before);
}

#[tokio::test]
async fn each_fill_of_a_key_has_readers_of_its_own() {
    let memory = memory(10_000);
    let (mut first, _) = memory.begin(about("a", 1), None);
    let (mut second, _) = memory.begin(about("a", 2), None);
    first.push("first".into()).unwrap();
    second.push("second".into()).unwrap();
    let key = SEED.key(b"a");
    for (filling, expected) in [(&first, "first"), (&second, "second")] {
        let (_, mut reader) = memory.follow(&key, filling.running().about.fill).unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap(), expected);
    }
    // Whoever asks by name gets the newer.
    assert_eq!(found(&memory, "a").unwrap().0, "a 2");
    let fill = second.running().about.fill;
    assert!(matches!(second.finish(None), Ok(Filled::Kept(..))));
    assert!(memory.follow(&key, fill).is_none());
    // The older one ends later, and replaces nothing.
    assert!(matches!(first.finish(None), Ok(Filled::Outdated(5))));
    assert_eq!(found(&memory, "a"), is("a 2", "second"));
}

#[test]
fn a_fill_that_began_before_a_purge_never_revives_what_it_hit() {
    let memory = memory(10_000);
    let (mut filling, _) = memory.begin(about("a", 10), None);
    filling.push("abc".into()).unwrap();
    memory.purges.purge(&[Target::Tag(tag(b"a"))], Manner::Hard, at(20)).unwrap();
    assert_eq!(found(&memory, "a"), None, "nor does anyone join it");
    assert!(matches!(filling.finish(None), Ok(Filled::Outdated(3))));
    assert_eq!(found(&memory, "a"), None);
    assert_eq!(memory.figures().bytes, 0);
    fill(&memory, "a", 21, "new");
    assert_eq!(found(&memory, "a"), is("a 21", "new"));
}

#[test]
fn what_is_removed_during_its_fill_stays_removed() {
    let memory = memory(10_000);
    fill(&memory, "a", 1, "old");
    let (mut filling, _) = memory.begin(about("a", 2), None);
    filling.push("abc".into()).unwrap();
    assert!(memory.remove(&SEED.key(b"a")));
    assert_eq!(found(&memory, "a"), None);
    assert!(matches!(filling.finish(None), Ok(Filled::Outdated(3))));
    assert_eq!(found(&memory, "a"), None);
    assert!(!memory.remove(&SEED.key(b"a")));
    assert_eq!(memory.figures().bytes, 0);
}

#[test]
fn a_body_for_which_there_is_no_room_goes_by() {
    let memory = memory(2000);
    fill(&memory, "small", 1, "x");
    assert!(matches!(fill(&memory, "large", 1, &"x".repeat(1001)), Filled::Passed(1001)));
    assert_eq!(found(&memory, "large"), None);
    assert_eq!(found(&memory, "small"), is("small 1", "x"), "it cost nobody anything");
    assert_eq!(memory.figures().passed, 1);
    let none = self::memory(10);
    assert!(matches!(fill(&none, "a", 1, "x"), Filled::Passed(1)));
    assert_eq!(none.figures().bytes, 0);
}
