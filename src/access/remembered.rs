//! What was found out at some cost, kept for a while: bounded in count and age.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::time::Instant;

/// A keyed hash: tells nothing of what it is of, and nobody can aim at it.
pub(super) type Tag = [u8; 32];

/// Makes tags; those of another process are different ones.
///
/// The first random number of a process takes 50 ms to gather: its key is made with the first tag,
/// so that nobody waits for it who needs none.
pub(super) struct Tagger(Key);

#[expect(clippy::disallowed_types, reason = "it is of one tagger, and no global")]
type Key = std::sync::OnceLock<hmac::Key>;

impl Tagger {
    pub(super) fn new() -> Self {
        Tagger(Key::new())
    }

    /// The tag of several parts; other parts of the same bytes have another one.
    pub(super) fn tag(&self, parts: &[&[u8]]) -> Tag {
        let key = self.0.get_or_init(|| {
            let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
            key.expect("the system has random numbers")
        });
        let mut context = hmac::Context::with_key(key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl std::fmt::Debug for Tagger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tagger")
    }
}

/// Values by tag. The oldest is forgotten for a new one, and each after a while.
#[derive(Debug)]
pub(super) struct Remembered<V> {
    most: usize,
    kept_for: Duration,
    values: Mutex<Values<V>>,
}

#[derive(Debug)]
struct Values<V> {
    by_tag: HashMap<Tag, (Instant, V)>,
    // Invariant: every tag of `by_tag` once, in the order they were noted, which
    // is that in which they end.
    order: VecDeque<Tag>,
}

impl<V: Clone> Remembered<V> {
    pub(super) fn new(most: usize, kept_for: Duration) -> Self {
        let values = Values { by_tag: HashMap::new(), order: VecDeque::new() };
        Remembered { most, kept_for, values: Mutex::new(values) }
    }

    pub(super) fn find(&self, tag: &Tag) -> Option<V> {
        let values = self.lock();
        let (noted, value) = values.by_tag.get(tag)?;
        (noted.elapsed() < self.kept_for).then(|| value.clone())
    }

    /// Notes a value; one that is noted already keeps its place and its age.
    pub(super) fn note(&self, tag: Tag, value: V) {
        let mut values = self.lock();
        let values = &mut *values;
        let is_old = |noted: &Instant| noted.elapsed() >= self.kept_for;
        if let Some((noted, known)) = values.by_tag.get_mut(&tag)
            && !is_old(noted)
        {
            *known = value;
            return;
        }
        while let Some(oldest) = values.order.front() {
            let ends = values.by_tag.get(oldest).is_none_or(|(noted, _)| is_old(noted));
            if !ends && values.order.len() < self.most {
                break;
            }
            values.by_tag.remove(oldest);
            values.order.pop_front();
        }
        values.by_tag.insert(tag, (Instant::now(), value));
        values.order.push_back(tag);
    }

    fn lock(&self) -> MutexGuard<'_, Values<V>> {
        // Nothing that panics runs under the lock.
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const WHILE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn values_are_forgotten_after_a_while() {
        let remembered = Remembered::new(10, WHILE);
        remembered.note([1; 32], 'a');
        advance(WHILE / 2).await;
        remembered.note([2; 32], 'b');
        assert_eq!(remembered.find(&[1; 32]), Some('a'));
        advance(WHILE / 2).await;
        assert_eq!((remembered.find(&[1; 32]), remembered.find(&[2; 32])), (None, Some('b')));
        remembered.note([3; 32], 'c');
        assert_eq!(remembered.lock().by_tag.len(), 2, "the old one makes room");
        remembered.note([1; 32], 'd');
        assert_eq!(remembered.find(&[1; 32]), Some('d'));
        advance(WHILE).await;
        remembered.note([1; 32], 'e');
        assert_eq!(remembered.find(&[1; 32]), Some('e'), "it is remembered anew");
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_for_the_newest() {
        let remembered = Remembered::new(3, WHILE);
        for byte in 0..=255 {
            remembered.note([byte; 32], byte);
            remembered.note([byte; 32], byte);
            let values = remembered.lock();
            assert!(values.by_tag.len() <= 3 && values.order.len() == values.by_tag.len());
        }
        let known: Vec<u8> = (0..=255).filter_map(|byte| remembered.find(&[byte; 32])).collect();
        assert_eq!(known, [253, 254, 255]);
    }

    #[test]
    fn tags_tell_parts_apart() {
        let tagger = Tagger::new();
        let tag = |parts: &[&[u8]]| tagger.tag(parts);
        assert_eq!(tag(&[b"ab", b"c"]), tag(&[b"ab", b"c"]));
        assert_ne!(tag(&[b"ab", b"c"]), tag(&[b"a", b"bc"]));
        assert_ne!(tag(&[b"ab"]), tag(&[b"ab", b""]));
        assert_ne!(tag(&[b"ab"]), Tagger::new().tag(&[b"ab"]));
    }
}
