//! What servers say of the queries of their paths (No-Vary-Search), so that requests which
//! differ in nothing that counts find the same response.
//!
//! A server says it with a response, and a request has to be named before one is found. So what
//! was said last of each path is remembered, and names the requests after it. That is a hint: what
//! is found under such a name is used, and stored, only if it says the same itself.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_store::{Key, Moment};

use super::policy::no_vary_search::Search;
use super::policy::vary::frame;

const PARTS: usize = 16;
/// Paths in each part; the oldest are forgotten beyond.
const MOST: usize = 256;
/// Bytes of what is said, and of a name; with longer ones nothing is remembered: of all parts
/// 12 MiB at most.
const LONGEST: usize = 1024;
/// What names begin with that no URI has.
const SEARCHED: u8 = 0xfc;

/// Remembers what was said of paths.
pub(crate) struct Searches {
    parts: [Mutex<Part>; PARTS],
    /// Whether anything ever was.
    is_used: AtomicBool,
    // Names are those of one process: none finds what purges of a time without it have missed.
    since: Moment,
}

#[derive(Default)]
struct Part {
    known: HashMap<u128, Known>,
    // Invariant: names every key of `known`, the oldest first.
    order: VecDeque<u128>,
}

struct Known {
    search: Arc<Search>,
    // What is left of the query of the first response, and its own name, under which
    // it is stored: nobody knew yet what it would say.
    first: Option<(Vec<u8>, Key)>,
}

/// What a request is named by instead of its URI.
pub(crate) enum Named {
    /// As the first one of its kind was.
    First(Key),
    /// By these bytes.
    Bytes(Vec<u8>),
}

impl Searches {
    /// For a process that begins at that moment.
    pub(super) fn new(since: Moment) -> Self {
        let parts = std::array::from_fn(|_| Mutex::default());
        Searches { parts, is_used: AtomicBool::new(false), since }
    }

    /// Whether anything is remembered.
    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Acquire)
    }

    /// What was said of the path that has the name `path` without its query, and what a request
    /// with this one is named by.
    pub(crate) fn find(&self, path: &Key, query: Option<&str>) -> Option<(Arc<Search>, Named)> {
        let part = self.part(path);
        let known = part.known.get(&path.hash())?;
        let reduced = known.search.reduced(query);
        let named = match &known.first {
            Some((first, key)) if *first == reduced => Named::First(key.clone()),
            _ => {
                let mut name = vec![SEARCHED];
                name.extend_from_slice(&self.since.millis().to_le_bytes());
                frame(&mut name, path.bytes());
                known.search.write(&mut name);
                frame(&mut name, &reduced);
                Named::Bytes(name)
            }
        };
        Some((known.search.clone(), named))
    }

    /// Remembers what was said, and under what name the response is stored that says it, if
    /// that is its own.
    pub(crate) fn note(&self, path: &Key, said: Search, query: Option<&str>, own: Option<&Key>) {
        if said.length() > LONGEST || path.bytes().len() > LONGEST {
            return self.forget(path);
        }
        let first = own.filter(|own| own.bytes().len() <= LONGEST).cloned();
        let first = first.map(|own| (said.reduced(query), own));
        let hash = path.hash();
        let mut part = self.part(path);
        match part.known.entry(hash) {
            Entry::Occupied(known) if *known.get().search == said => return,
            Entry::Occupied(mut known) => {
                known.insert(Known { search: Arc::new(said), first });
                return;
            }
            Entry::Vacant(place) => {
                place.insert(Known { search: Arc::new(said), first });
            }
        }
        part.order.push_back(hash);
        if part.order.len() > MOST {
            let oldest = part.order.pop_front();
            oldest.and_then(|oldest| part.known.remove(&oldest));
        }
        self.is_used.store(true, Ordering::Release);
    }

    /// Forgets what was said of a path.
    pub(crate) fn forget(&self, path: &Key) {
        let hash = path.hash();
        let mut part = self.part(path);
        if part.known.remove(&hash).is_some() {
            part.order.retain(|other| *other != hash);
        }
    }

    fn part(&self, path: &Key) -> MutexGuard<'_, Part> {
        let index = (path.hash() >> 64) as usize % PARTS;
        self.parts[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::super::Vault;
    use super::*;

    fn said(field: &str) -> Search {
        let name = HeaderName::from_static("no-vary-search");
        let value = HeaderValue::from_str(field).expect("a value");
        Search::read(&HeaderMap::from_iter([(name, value)])).expect("it reads")
    }

    fn bytes(searches: &Searches, path: &Key, query: &str) -> Option<Vec<u8>> {
        match searches.find(path, Some(query))?.1 {
            Named::First(key) => Some(key.bytes().to_vec()),
            Named::Bytes(bytes) => Some(bytes),
        }
    }

    #[test]
    fn what_differs_in_nothing_that_counts_has_one_name() {
        let vault = Vault::small();
        let (path, own) = (vault.store.key(b"/a"), vault.store.key(b"/a?x=1&y=2"));
        let searches = Searches::new(Moment::from_millis(1));
        assert!(!searches.is_used() && searches.find(&path, Some("x=1")).is_none());
        searches.note(&path, said("params=(\"x\")"), Some("x=1&y=2"), Some(&own));
        assert!(searches.is_used());
        assert_eq!(bytes(&searches, &path, "y=2&x=3").as_deref(), Some(own.bytes()));
        let other = bytes(&searches, &path, "y=3&x=1");
        assert!(other.is_some() && other == bytes(&searches, &path, "x=2&y=3"));
        assert_ne!(other, bytes(&searches, &path, "y=4"));
        // What is said again changes nothing; something else does.
        searches.note(&path, said("params=(\"x\")"), Some("y=3"), Some(&path));
        assert_eq!(bytes(&searches, &path, "y=2").as_deref(), Some(own.bytes()));
        searches.note(&path, said("params"), Some("y=3"), None);
        let all = bytes(&searches, &path, "y=2");
        assert!(all == bytes(&searches, &path, "z=1") && all != other);
        searches.forget(&path);
        assert!(searches.find(&path, Some("y=2")).is_none());
        // Another process knows none of these names.
        let later = Searches::new(Moment::from_millis(2));
        later.note(&path, said("params"), None, None);
        assert_ne!(bytes(&later, &path, "y=2"), all);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let vault = Vault::small();
        let searches = Searches::new(Moment::from_millis(1));
        let path = |number: usize| vault.store.key(format!("/{number}").as_bytes());
        for number in 0..PARTS * MOST * 2 {
            searches.note(&path(number), said("params"), None, None);
        }
        let held: usize =
            searches.parts.iter().map(|part| part.lock().expect("sound").known.len()).sum();
        assert_eq!(held, PARTS * MOST);
        let long = format!("params=(\"{}\")", "x".repeat(LONGEST + 1));
        searches.note(&path(0), said(&long), None, None);
        assert!(searches.find(&path(0), None).is_none());
    }
}
