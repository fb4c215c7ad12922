//! Large objects: one that says what they are, and slices of each of their versions.

use super::*;

const SLICES: u64 = 4;

/// The object says which version it is; slices say whose they are.
struct Film {
    name: String,
    version: Version,
}

impl Film {
    fn object(&self, store: &Store<String>) -> Start<String> {
        let meta = self.version.number().to_string();
        Start { meta, ..start(store, &self.name) }
    }

    fn slice(&self, store: &Store<String>, n: u64) -> Start<String> {
        let key = store.slice_key(&store.key(self.name.as_bytes()), self.version, n);
        Start { key, meta: self.bytes(n), ..start(store, &self.name) }
    }

    /// What a slice has, which tells it from all others.
    fn bytes(&self, n: u64) -> String {
        format!("{} {} {n}", self.name, self.version.number())
    }

    /// The version that the store has of that name, and which slices of it are there.
    async fn found(store: &Store<String>, name: &str) -> Option<(Self, Vec<u64>)> {
        let key = store.key(name.as_bytes());
        let object = store.find(&key, at(0)).await?;
        let version = Version::from_number(object.meta.parse().unwrap());
        let film = Self { name: name.to_owned(), version };
        let mut there = Vec::new();
        for n in 0..SLICES {
            let key = store.slice_key(&key, version, n);
            let Some(found) = store.find(&key, at(0)).await else { continue };
            assert_eq!(read(found.body).await.unwrap(), film.bytes(n).as_bytes(), "slice {n}");
            there.push(n);
        }
        Some((film, there))
    }
}

fn fill(store: &Store<String>, what: Start<String>, body: String, now: u64) {
    let (mut fill, _) = store.begin(what, store.stamp(at(now)));
    fill.push(body.into()).unwrap();
    fill.finish(None).unwrap();
}

#[tokio::test]
async fn a_purge_hits_all_slices_and_those_of_two_versions_never_mix() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let home = tempfile::tempdir().unwrap();
        let options = Options::of_memory(if seed % 2 == 0 { 10_000 } else { 200_000 });
        let mut store = open(home.path(), &["one", "two"], options);
        let mut current: [Option<Film>; 3] = [None, None, None];
        let mut slices = 0;
        for now in 1..300 {
            let which = random.usize(..current.len());
            let name = format!("film {which}/");
            match (random.u8(..20), &current[which]) {
                (0..2, _) => {
                    let film = Film { name, version: Version::random() };
                    fill(&store, film.object(&store), String::new(), now);
                    current[which] = Some(film);
                }
                (2..10, Some(film)) => {
                    let n = random.u64(..SLICES);
                    fill(&store, film.slice(&store, n), film.bytes(n), now);
                }
                (10, Some(film)) => {
                    store
                        .purge(&[Target::Subject(name.as_bytes())], Manner::Hard, at(now))
                        .unwrap();
                    for n in 0..SLICES {
                        let key = film.slice(&store, n).key;
                        assert!(store.find(&key, at(0)).await.is_none(), "seed {seed} at {now}");
                    }
                    current[which] = None;
                }
                (11, Some(film)) => {
                    // One validation of the object is one of all slices.
                    store.purge(&[Target::All], Manner::Soft, at(now)).unwrap();
                    let key = store.key(name.as_bytes());
                    let Some(found) = store.find(&key, at(0)).await else { continue };
                    let Start { keep_until, meta, labels, .. } = film.object(&store);
                    let (of, began) = (found.created, store.stamp(at(now)));
                    let validated = Validated { key, of, began, keep_until, meta, labels };
                    assert!(store.replace_meta(validated).await, "seed {seed} at {now}");
                    store.flush().await;
                }
                (12, _) => {
                    store.close().await;
                    store = open(home.path(), &["one", "two"], options);
                }
                _ => {
                    let found = Film::found(&store, &name).await;
                    let known = current[which].as_ref().map(|film| film.version);
                    let version = found.as_ref().map(|(film, _)| film.version);
                    assert!(version.is_none() || version == known, "seed {seed} at {now}");
                    slices += found.map_or(0, |(_, there)| there.len());
                }
            }
        }
        assert!(slices > 20, "seed {seed}: {slices}");
    }
}
