//! Any order of events.

use super::*;

/// What is known of a name in the random test.
#[derive(Clone)]
struct Newest {
    version: Version,
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
    let version = Version { fill: fill.id(), created };
    let mut body = Vec::new();
    for _ in 0..random.usize(0..5) {
        let piece = vec![random.u8(..); random.usize(0..9000)];
        body.extend_from_slice(&piece);
        fill.push(piece.into()).unwrap();
    }
    let meta = format!("{now}");
    let is_kept = random.u8(0..5) > 0 && fill.finish(Some(meta.clone())).unwrap().is_kept;
    is_kept.then_some(Newest { version, meta, body })
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
        let admit = if seed % 3 == 0 { Admit::SecondHit } else { Admit::Always };
        let options = Options { admit, ..options };
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
                    store.remove(&key, at(now));
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
                    let of = known.version;
                    let validated =
                        Validated { key, of, began, keep_until: LATE, meta: meta.clone(), labels };
                    if store.replace_meta(validated).await {
                        newest[which] = Some(Newest {
                            version: Version { created: began, ..of },
                            meta,
                            ..known
                        });
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
                    assert_eq!(found.version(), known.version, "seed {seed} at {now}");
                    assert_eq!(*found.meta, known.meta, "seed {seed} at {now}");
                    let body = read(found.body).await.unwrap();
                    assert!(body == known.body, "seed {seed} at {now}");
                }
            }
        }
        assert!(hits > 10, "seed {seed}: {hits}");
    }
}
