//! Who asks whether a large object is good still. It is one request for each object, whatever parts
//! of it are asked for; all who want to know wait for that.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_store::Key;
use tokio::sync::watch;

use super::slices::{Progress, Told};

/// What is being asked.
#[derive(Debug, Default)]
pub(crate) struct News(Mutex<HashMap<u128, watch::Receiver<Progress>>>);

/// The right to ask about an object, until it is dropped.
#[derive(Debug)]
pub(crate) struct Asking {
    news: &'static News,
    object: u128,
    progress: watch::Receiver<Progress>,
}

impl News {
    /// What there is to wait for, and who asks: none if somebody does already.
    pub(crate) fn ask(
        &'static self,
        object: &Key,
    ) -> (watch::Receiver<Progress>, Option<(Told, Asking)>) {
        let object = object.hash();
        let mut asked = self.asked();
        if let Some(progress) = asked.get(&object)
            && *progress.borrow() == Progress::Asking
            && progress.has_changed().is_ok()
        {
            return (progress.clone(), None);
        }
        let (told, progress) = watch::channel(Progress::Asking);
        asked.insert(object, progress.clone());
        let asking = Asking { news: self, object, progress: progress.clone() };
        (progress, Some((told, asking)))
    }

    fn asked(&self) -> MutexGuard<'_, HashMap<u128, watch::Receiver<Progress>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if let Entry::Occupied(asked) = self.news.asked().entry(self.object)
            // Another one may ask by now.
            && asked.get().same_channel(&self.progress)
        {
            asked.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use tidegate_store::Seed;

    use super::*;

    #[test]
    fn one_asks_about_each_object_and_the_others_hear_of_it() {
        let news: &'static News = Box::leak(Box::default());
        let (a, b) = (Seed::from_bytes([7; 16]).key(b"a"), Seed::from_bytes([7; 16]).key(b"b"));
        let (progress, first) = news.ask(&a);
        let (told, asking) = first.expect("nobody asks");
        let (other, none) = news.ask(&a);
        assert!(none.is_none() && other.same_channel(&progress));
        assert!(news.ask(&b).1.is_some());
        told.send_replace(Progress::Here);
        assert_eq!(*other.borrow(), Progress::Here);
        // What was told is news to who asked before, not to who asks after.
        let (_, second) = news.ask(&a);
        assert!(second.is_some());
        drop(asking);
        assert!(news.ask(&a).1.is_none(), "the second still asks");
        drop(second);
        assert!(news.ask(&a).1.is_some());
        drop(told);
        assert!(news.asked().is_empty());
    }
}
