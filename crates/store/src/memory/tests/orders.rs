//! Any order of events, and many threads.

use super::*;

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
                                memory.replace_meta(object.about.version(), about(&name, now));
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
