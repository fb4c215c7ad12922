//! Whole objects in memory.

use super::*;

#[test]
fn what_was_filled_is_found_by_its_name_alone() {
    let memory = memory(10_000);
    assert!(matches!(fill(&memory, "a", 1, "body"), Filled::Kept(..)));
    assert_eq!(found(&memory, "a"), is("a 1", "body"));
    assert_eq!(found(&memory, "b"), None);
    fill(&memory, "a", 2, "other");
    assert_eq!(found(&memory, "a"), is("a 2", "other"));
    assert_eq!(memory.figures().objects, 1);
}

#[test]
fn two_names_with_one_hash_are_two_objects() {
    let memory = memory(10_000);
    for name in [b"a", b"b"] {
        let about = About { key: Key::with_hash(7, name), ..about("x", 1) };
        assert!(put(&memory, about, Parts::One(Bytes::from_static(name))));
    }
    for name in [b"a", b"b"] {
        let hit = memory.find(&Key::with_hash(7, name), at(0));
        assert!(
            matches!(hit, Some(Hit::Whole(object, _)) if object.parts.as_slice()[0] == name[..])
        );
    }
    assert!(memory.find(&Key::with_hash(7, b"c"), at(0)).is_none());
}

#[test]
fn what_was_kept_is_judged_again_after_each_purge() {
    let memory = memory(10_000);
    fill(&memory, "a", 10, "a");
    fill(&memory, "b", 10, "b");
    for _ in 0..2 {
        assert!(found(&memory, "a").is_some());
        memory.purges.purge(&[Target::Subject(b"b")], Manner::Hard, at(20)).unwrap();
        assert!(found(&memory, "b").is_none());
    }
    memory.purges.purge(&[Target::Subject(b"a")], Manner::Soft, at(30)).unwrap();
    for _ in 0..2 {
        let hit = memory.find(&SEED.key(b"a"), at(0));
        assert!(matches!(hit, Some(Hit::Whole(_, Verdict::Soft(since))) if since == at(30)));
    }
    memory.purges.purge(&[Target::All], Manner::Hard, at(40)).unwrap();
    assert!(found(&memory, "a").is_none());
    assert_eq!(memory.figures().bytes, 0);
}

#[test]
fn new_metadata_leaves_the_body_and_what_it_was_used() {
    let memory = memory(10_000);
    fill(&memory, "a", 1, "body");
    found(&memory, "a");
    memory.purges.purge(&[Target::All], Manner::Soft, at(5)).unwrap();
    assert!(memory.replace_meta(seen(2), about("a", 9)).is_none(), "not what was validated");
    let another = Version { fill: FillId::from_bits(2), ..seen(1) };
    assert!(memory.replace_meta(another, about("a", 9)).is_none(), "another at that moment");
    assert!(memory.replace_meta(seen(1), about("b", 9)).is_none(), "not there");
    assert!(memory.replace_meta(seen(1), about("a", 9)).is_some());
    let Some(Hit::Whole(object, verdict)) = memory.find(&SEED.key(b"a"), at(0)) else {
        panic!("it is there")
    };
    assert_eq!((verdict, object.uses()), (Verdict::Kept, 2));
    assert_eq!(found(&memory, "a"), is("a 9", "body"));
    assert_eq!(memory.figures().bytes, object.weight());
    memory.purges.purge(&[Target::All], Manner::Hard, at(20)).unwrap();
    assert!(
        memory.replace_meta(seen(9), about("a", 30)).is_none(),
        "no answer revives what was purged"
    );
}

#[test]
fn what_is_of_no_use_any_more_is_not_found() {
    let memory = memory(10_000);
    let soon = About { keep_until: at(50), ..about("a", 1) };
    assert!(put(&memory, soon, Parts::One("x".into())));
    assert!(memory.find(&SEED.key(b"a"), at(50)).is_some());
    assert!(memory.find(&SEED.key(b"a"), at(51)).is_none());
    assert_eq!(memory.figures().bytes, 0);
}

#[test]
fn what_comes_from_elsewhere_is_kept_unless_something_happened_meanwhile() {
    let memory = memory(10_000);
    let key = SEED.key(b"a");
    let events: [&dyn Fn(); 3] = [
        &|| {
            memory.remove(&key);
        },
        &|| {
            fill(&memory, "a", 5, "new");
            // Thrown out at once.
            let held = memory.shard(&key).read().object(&key).cloned().unwrap();
            memory.forget(&held);
        },
        &|| {
            memory.purges.purge(&[Target::All], Manner::Hard, at(9)).unwrap();
        },
    ];
    for event in events {
        let ticket = memory.ticket(&key);
        event();
        assert!(!memory.insert(about("a", 1), Parts::One("old".into()), 0, ticket));
        assert_eq!(found(&memory, "a"), None);
    }
    assert!(put(&memory, about("a", 11), Parts::One("body".into())));
    assert_eq!(found(&memory, "a"), is("a 11", "body"));
}

#[test]
fn all_that_belongs_to_an_object_is_counted() {
    let memory = memory(100_000);
    let mut bytes = 0;
    let long = "k".repeat(1000);
    let mut weighs = |name: &str, meta: &str, tags: usize, body: usize| {
        let mut about = about(name, 1);
        about.meta = Arc::new(meta.to_owned());
        about.labels.tags = vec![0; tags].into();
        assert!(put(&memory, about, Parts::One(vec![0; body].into())));
        let before = std::mem::replace(&mut bytes, memory.figures().bytes);
        bytes - before
    };
    let least = weighs("a", "", 0, 0);
    assert!(least > 200, "{least}");
    assert_eq!(weighs("b", "", 0, 5000), least + 5000);
    assert_eq!(weighs("c", &long, 0, 0), least + 1000);
    assert_eq!(weighs("d", "", 10, 0), least + 80);
    // Name and subject.
    assert_eq!(weighs(&long, "", 0, 0), least + 2 * 999);
}

#[test]
fn a_sweep_forgets_what_was_purged_and_says_how_old_the_rest_is() {
    let memory = memory(10_000);
    assert_eq!(memory.sweep(at(1)), None);
    fill(&memory, "a", 10, "a");
    fill(&memory, "b", 20, "b");
    let (_filling, _) = memory.begin(about("c", 30), None);
    memory.purges.purge(&[Target::Subject(b"a")], Manner::Hard, at(40)).unwrap();
    assert_eq!(memory.figures().objects, 2);
    assert_eq!(memory.sweep(at(50)), Some(at(20)));
    assert_eq!(memory.figures().objects, 1);
}

#[test]
fn memory_learns_how_much_is_for_what_is_new() {
    let memory = memory(1 << 20);
    assert_eq!(memory.figures().small, 10);
    let mut random = fastrand::Rng::with_seed(1);
    // Each name comes twice, the second time when a small queue has forgotten it.
    for turn in 0..200_000_u64 {
        let name = if turn.is_multiple_of(2) { turn } else { turn.saturating_sub(1201) };
        let name = format!("{name:x}");
        if found(&memory, &name).is_none() {
            fill(&memory, &name, turn, &"x".repeat(random.usize(0..10)));
        }
    }
    assert!(memory.figures().small >= 50, "{}", memory.figures().small);
}

#[test]
fn an_older_one_that_is_on_its_way_from_elsewhere_does_not_stay() {
    let memory = memory(10_000);
    let key = SEED.key(b"a");
    let newer = Object::new(about("a", 5), Parts::One(Bytes::new()), 0);
    let before = memory.ticket(&key);
    let parts = || Parts::One(Bytes::from_static(b"old"));
    assert!(memory.insert(about("a", 1), parts(), 0, before), "it came first");
    let renewed = memory.renew(&newer, before).unwrap();
    assert_eq!(found(&memory, "a"), None);
    assert!(!memory.insert(about("a", 1), parts(), 0, before), "it comes later");
    assert_eq!(memory.renew(&newer, before), None);
    assert_eq!(memory.ticket(&key), renewed);
    assert_eq!((memory.figures().bytes, memory.figures().objects), (0, 0));
}
