//! Which URIs have responses that are not stored: requests for them do not wait
//! for each other, as one does not help the next.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pingora::cache::key::CacheHashKey;
use pingora::cache::predictor::CacheablePredictor;
use pingora::cache::{CacheKey, NoCacheReason};
use tidegate_store::Key;
use tokio::time::Instant;

/// How long that is believed: a response may become storable any time, and one
/// of many clients may have been the reason.
const LASTS: Duration = Duration::from_secs(120);
/// Names in each part; the oldest are forgotten beyond: of all parts 3 MiB.
const MOST: usize = 4096;
const PARTS: usize = 16;
/// So many objects of a host, one after the other, and it has none in slices. One alone may be
/// what is made anew for each request, beside files.
const ENOUGH: u128 = 3;

/// What `NoCacheReason::Custom` says of a response that the next request for it
/// will hardly fare better with.
pub(crate) const LASTING: &str = "lasting";

/// Remembers what was not stored.
pub(crate) struct Passes([Mutex<Part>; PARTS]);

#[derive(Default)]
struct Part {
    until: HashMap<u128, (Instant, NoCacheReason)>,
    // Invariant: names every key of `until` once, the oldest first.
    order: VecDeque<u128>,
}

impl Part {
    fn forget(&mut self, hash: u128) -> bool {
        let is_known = self.until.remove(&hash).is_some();
        if is_known {
            self.order.retain(|known| *known != hash);
        }
        is_known
    }
}

impl Default for Passes {
    fn default() -> Self {
        Passes(std::array::from_fn(|_| Mutex::default()))
    }
}

impl Passes {
    fn part(&self, hash: u128) -> MutexGuard<'_, Part> {
        let index = (hash >> 64) as usize % PARTS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, hash: u128) -> Option<NoCacheReason> {
        let mut part = self.part(hash);
        match part.until.get(&hash) {
            Some((until, reason)) if *until > Instant::now() => Some(*reason),
            Some(_) => {
                part.forget(hash);
                None
            }
            None => None,
        }
    }
}

fn hash_of(key: &CacheKey) -> u128 {
    u128::from_be_bytes(key.primary_bin())
}

/// What stands for the slices of an object.
fn slices_of(whole: &Key) -> u128 {
    !whole.hash()
}

/// What stands for each time that a host did not heed a Range.
fn times(host: &Key) -> impl Iterator<Item = u128> {
    let first = host.hash();
    (0..ENOUGH).map(move |time| first.wrapping_add(time))
}

impl CacheablePredictor for Passes {
    fn cacheable_prediction(&self, key: &CacheKey) -> bool {
        self.find(hash_of(key)).is_none()
    }

    fn predicted_uncacheable_reason(&self, key: &CacheKey) -> Option<NoCacheReason> {
        self.find(hash_of(key))
    }

    fn mark_cacheable(&self, key: &CacheKey) -> bool {
        let hash = hash_of(key);
        !self.part(hash).forget(hash)
    }

    fn mark_uncacheable(&self, key: &CacheKey, reason: NoCacheReason) -> Option<bool> {
        let is_lasting = match reason {
            NoCacheReason::Custom(word) => word == LASTING,
            NoCacheReason::ResponseTooLarge => true,
            _ => false,
        };
        if !is_lasting {
            return None;
        }
        Some(self.note(hash_of(key), reason))
    }
}

impl Passes {
    /// Remembers that an object is not to be had in slices.
    pub(crate) fn note_unsliced(&self, whole: &Key) {
        self.note(slices_of(whole), NoCacheReason::Custom(LASTING));
    }

    pub(crate) fn is_unsliced(&self, whole: &Key) -> bool {
        self.find(slices_of(whole)).is_some()
    }

    /// Remembers that a host gave the whole of an object to who asked for a slice.
    pub(crate) fn note_heedless(&self, host: &Key) {
        let next = times(host).find(|hash| self.find(*hash).is_none());
        next.map(|hash| self.note(hash, NoCacheReason::Custom(LASTING)));
    }

    /// Forgets that, as it gave a slice.
    pub(crate) fn note_heedful(&self, host: &Key) {
        for hash in times(host) {
            self.part(hash).forget(hash);
        }
    }

    /// Whether a host gives the whole to whoever asks for a slice.
    pub(crate) fn is_heedless(&self, host: &Key) -> bool {
        times(host).all(|hash| self.find(hash).is_some())
    }

    /// Remembers that it is fetched before it is asked for; false if that was done lately, whatever
    /// came of it.
    pub(crate) fn note_ahead(&self, name: &Key) -> bool {
        let is_new = self.find(name.hash()).is_none();
        if is_new {
            self.note(name.hash(), NoCacheReason::Custom(LASTING));
        }
        is_new
    }

    /// Remembers a name; false if it was known.
    pub(super) fn note(&self, hash: u128, reason: NoCacheReason) -> bool {
        let mut part = self.part(hash);
        let until = Instant::now() + LASTS;
        let is_new = match part.until.entry(hash) {
            Entry::Occupied(mut known) => {
                known.insert((until, reason));
                false
            }
            Entry::Vacant(place) => {
                place.insert((until, reason));
                true
            }
        };
        if is_new {
            part.order.push_back(hash);
            while part.order.len() > MOST {
                let oldest = part.order.pop_front();
                oldest.and_then(|oldest| part.until.remove(&oldest));
            }
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: u128) -> CacheKey {
        let mut key = CacheKey::new("", "");
        key.set_primary_bin_override(hash.to_be_bytes());
        key
    }

    fn is_passed(passes: &Passes, hash: u128) -> bool {
        !passes.cacheable_prediction(&key(hash))
    }

    #[tokio::test(start_paused = true)]
    async fn what_lasts_is_believed_for_a_while() {
        let passes = Passes::default();
        let lasting = NoCacheReason::Custom(LASTING);
        assert_eq!(passes.mark_uncacheable(&key(7), lasting), Some(true));
        assert_eq!(passes.mark_uncacheable(&key(7), lasting), Some(false));
        assert!(is_passed(&passes, 7) && !is_passed(&passes, 8));
        tokio::time::advance(LASTS).await;
        assert!(!is_passed(&passes, 7));
        passes.mark_uncacheable(&key(7), lasting);
        assert!(!passes.mark_cacheable(&key(7)) && passes.mark_cacheable(&key(7)));
        assert!(!is_passed(&passes, 7));
    }

    #[tokio::test]
    async fn what_does_not_last_is_not_remembered() {
        let passes = Passes::default();
        for reason in [
            NoCacheReason::Custom("authorization"),
            NoCacheReason::Deferred,
            NoCacheReason::UpstreamError,
            NoCacheReason::OriginNotCache,
        ] {
            assert_eq!(passes.mark_uncacheable(&key(7), reason), None, "{reason:?}");
        }
        assert!(!is_passed(&passes, 7));
        passes.mark_uncacheable(&key(7), NoCacheReason::ResponseTooLarge);
        assert!(is_passed(&passes, 7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_is_heedless_that_was_so_several_times() {
        let (passes, host) =
            (Passes::default(), tidegate_store::Seed::from_bytes([7; 16]).key(b"a"));
        let note = |times: u128| (0..times).for_each(|_| passes.note_heedless(&host));
        note(ENOUGH - 1);
        assert!(!passes.is_heedless(&host));
        passes.note_heedful(&host);
        note(ENOUGH - 1);
        assert!(!passes.is_heedless(&host));
        note(2);
        assert!(passes.is_heedless(&host));
        tokio::time::advance(LASTS).await;
        assert!(!passes.is_heedless(&host));
    }

    #[tokio::test]
    async fn what_was_forgotten_is_young_again() {
        let (passes, lasting) = (Passes::default(), NoCacheReason::Custom(LASTING));
        passes.mark_uncacheable(&key(7), lasting);
        passes.mark_cacheable(&key(7));
        for hash in (7..).take(MOST) {
            passes.mark_uncacheable(&key(hash), lasting);
        }
        assert!(is_passed(&passes, 7));
    }

    #[tokio::test]
    async fn the_oldest_are_forgotten_first() {
        let passes = Passes::default();
        for hash in 0..=MOST as u128 {
            passes.mark_uncacheable(&key(hash), NoCacheReason::Custom(LASTING));
        }
        assert!(
            !is_passed(&passes, 0) && is_passed(&passes, 1) && is_passed(&passes, MOST as u128)
        );
    }
}
