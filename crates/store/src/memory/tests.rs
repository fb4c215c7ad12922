use bytes::Bytes;

use super::*;
use crate::fill::Broken;
use crate::key::Seed;
use crate::labels::{Labels, tag};
use crate::purge::{Manner, Target};

const SEED: Seed = Seed::from_bytes([1; 16]);

impl Meta for String {
    fn encode(&self, to: &mut Vec<u8>) {
        to.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
    fn weight(&self) -> usize {
        size_of::<Self>() + self.capacity()
    }
}

fn memory(capacity: u64) -> Arc<Memory<String>> {
    let limits = Limits { longest: capacity / 2, window: 64 };
    let size = Size { capacity, small: 10, limits };
    Memory::new(size, Arc::new(Purges::in_memory(100)))
}

fn at(millis: u64) -> Moment {
    Moment::from_millis(millis)
}

/// An object of that name, tagged with it, created then.
fn about(name: &str, created: u64) -> About<String> {
    About {
        key: SEED.key(name.as_bytes()),
        created: at(created),
        keep_until: at(1_000_000),
        meta: Arc::new(format!("{name} {created}")),
        labels: Labels { subject: name.as_bytes().into(), tags: [tag(name.as_bytes())].into() },
    }
}

fn fill(memory: &Arc<Memory<String>>, name: &str, created: u64, body: &str) -> Filled<String> {
    let (mut filling, _) = memory.begin(about(name, created), Some(body.len() as u64));
    filling.push(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    filling.finish(None).unwrap()
}

fn put(memory: &Memory<String>, about: About<String>, parts: Parts) -> bool {
    let ticket = memory.ticket(&about.key);
    memory.insert(about, parts, ticket)
}

/// The metadata and the body, if that is complete.
fn found(memory: &Memory<String>, name: &str) -> Option<(String, Bytes)> {
    match memory.find(&SEED.key(name.as_bytes()), at(0))? {
        Hit::Whole(object, _) => {
            Some(((*object.about.meta).clone(), object.parts.as_slice().concat().into()))
        }
        Hit::Running(running, ..) => Some(((*running.about.meta).clone(), Bytes::new())),
    }
}

fn is(meta: &str, body: &'static str) -> Option<(String, Bytes)> {
    Some((meta.to_owned(), Bytes::from_static(body.as_bytes())))
}

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
        let (_, mut reader) = memory.follow(&key, filling.running().tag).unwrap();
        assert_eq!(reader.next().await.unwrap().unwrap(), expected);
    }
    // Whoever asks by name gets the newer.
    assert_eq!(found(&memory, "a").unwrap().0, "a 2");
    let tag = second.running().tag;
    assert!(matches!(second.finish(None), Ok(Filled::Kept(..))));
    assert!(memory.follow(&key, tag).is_none());
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
fn new_metadata_leaves_the_body_and_what_it_was_used() {
    let memory = memory(10_000);
    fill(&memory, "a", 1, "body");
    found(&memory, "a");
    memory.purges.purge(&[Target::All], Manner::Soft, at(5)).unwrap();
    assert!(memory.replace_meta(at(2), about("a", 9)).is_none(), "not what was validated");
    assert!(memory.replace_meta(at(1), about("b", 9)).is_none(), "not there");
    assert!(memory.replace_meta(at(1), about("a", 9)).is_some());
    let Some(Hit::Whole(object, verdict)) = memory.find(&SEED.key(b"a"), at(0)) else {
        panic!("it is there")
    };
    assert_eq!((verdict, object.uses()), (Verdict::Kept, 2));
    assert_eq!(found(&memory, "a"), is("a 9", "body"));
    assert_eq!(memory.figures().bytes, object.weight());
    memory.purges.purge(&[Target::All], Manner::Hard, at(20)).unwrap();
    assert!(
        memory.replace_meta(at(9), about("a", 30)).is_none(),
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
        assert!(!memory.insert(about("a", 1), Parts::One("old".into()), ticket));
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

/// A fill under way: of which name, since when, what came, and if it is dead.
type Under = (usize, u64, Vec<u8>, Filling<String>, bool);

/// What a step of the random test may find: the newest body that was filled
/// and neither purged nor removed since, or nothing.
#[test]
fn no_order_of_events_shows_an_old_body_or_breaks_the_bound() {
    for seed in 0..200 {
        let mut random = fastrand::Rng::with_seed(seed);
        let capacity = random.u64(500..8000);
        let memory = memory(capacity);
        let names = ["a", "b", "c", "d", "e", "f"];
        let mut newest: [Option<(u64, Vec<u8>)>; 6] = Default::default();
        let mut fills: Vec<Under> = Vec::new();
        for now in 1..300_u64 {
            let which = random.usize(0..names.len());
            match random.u8(0..10) {
                0..2 => {
                    let (filling, _) = memory.begin(about(names[which], now), None);
                    fills.push((which, now, Vec::new(), filling, false));
                }
                2..5 if !fills.is_empty() => {
                    let index = random.usize(0..fills.len());
                    let piece = vec![random.u8(..); random.usize(0..500)];
                    fills[index].2.extend_from_slice(&piece);
                    fills[index].3.push(piece.into()).unwrap();
                }
                5 if !fills.is_empty() => {
                    let index = random.usize(0..fills.len());
                    let (which, created, body, filling, dead) = fills.swap_remove(index);
                    let filled = filling.finish(None).unwrap();
                    if matches!(filled, Filled::Kept(..)) {
                        assert!(!dead, "seed {seed}");
                        newest[which] = Some((created, body));
                    }
                }
                6 if !fills.is_empty() => drop(fills.swap_remove(0)),
                7 => {
                    let target = Target::Subject(names[which].as_bytes());
                    match random.bool() {
                        true => {
                            memory.purges.purge(&[target], Manner::Hard, at(now)).unwrap();
                        }
                        false => {
                            memory.remove(&SEED.key(names[which].as_bytes()));
                        }
                    }
                    newest[which] = None;
                    fills.iter_mut().filter(|fill| fill.0 == which).for_each(|fill| fill.4 = true);
                }
                _ => {
                    let Some(hit) = memory.find(&SEED.key(names[which].as_bytes()), at(0)) else {
                        continue;
                    };
                    if let Hit::Whole(object, _) = hit {
                        let (created, body) = newest[which].as_ref().unwrap();
                        assert_eq!(object.about.created, at(*created), "seed {seed}");
                        assert_eq!(object.parts.as_slice().concat(), *body, "seed {seed}");
                    } else if let Hit::Running(running, ..) = hit {
                        let of = fills.iter().find(|fill| at(fill.1) == running.about.created);
                        assert!(of.is_some_and(|fill| fill.0 == which && !fill.4));
                    }
                }
            }
            let used = memory.figures().bytes;
            assert!(used <= capacity, "seed {seed}: {used} of {capacity}");
        }
        fills.clear();
        for name in names {
            memory.remove(&SEED.key(name.as_bytes()));
        }
        let figures = memory.figures();
        assert_eq!((figures.bytes, figures.objects), (0, 0), "seed {seed}");
    }
}

#[test]
fn threads_find_whole_bodies_of_their_key_within_the_bound() {
    let capacity = 40_000;
    let memory = memory(capacity);
    let clock = AtomicU64::new(1);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (memory, clock) = (&memory, &clock);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                for _ in 0..3000 {
                    let name = format!("{}", random.u8(0..60));
                    let key = SEED.key(name.as_bytes());
                    match random.u8(0..20) {
                        0 => {
                            memory.remove(&key);
                        }
                        1 => {
                            let of = memory.find(&key, at(0));
                            if let Some(Hit::Whole(object, _)) = of {
                                let now = clock.fetch_add(1, Ordering::Relaxed);
                                memory.replace_meta(object.about.created, about(&name, now));
                            }
                        }
                        2..8 => {
                            let now = clock.fetch_add(1, Ordering::Relaxed);
                            let body = name.repeat(random.usize(0..600));
                            fill(memory, &name, now, &body);
                        }
                        _ => {
                            if let Some(Hit::Whole(object, _)) = memory.find(&key, at(0)) {
                                let body = object.parts.as_slice().concat();
                                assert!(body.chunks(name.len()).all(|c| c == name.as_bytes()));
                            }
                        }
                    }
                    assert!(memory.used.load(Ordering::Relaxed) <= capacity);
                }
            });
        }
    });
    let objects = memory.figures().objects;
    let held: usize = memory.shards.iter().map(|shard| shard.read().objects.len()).sum();
    assert_eq!(objects, held, "what is queued is in the table, and the other way round");
    let weight = memory.queue.lock().weight();
    assert_eq!(memory.figures().bytes, weight);
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
