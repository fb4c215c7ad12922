//! What is known of a name changes: an object takes the place of another, if it
//! is still wanted.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Memory;
use super::object::{About, Object, Running};
use crate::fill::Allowance;
use crate::key::Key;
use crate::meta::Meta;
use crate::purge::Verdict;

/// What memory knew of a name at some time: another one, and that has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ticket(pub(super) u32);

/// Where an object comes from that is put into the table.
pub(super) enum Origin<'o, M> {
    Fill(&'o Arc<Running<M>>),
    Elsewhere(Ticket),
}

impl<M> Clone for Origin<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Origin<'_, M> {}

impl<M: Meta> Memory<M> {
    /// Puts an object, for which room was taken, into the table, and ends the
    /// fill it comes from. None if it is purged or not the newest.
    pub(super) fn publish(&self, object: Arc<Object<M>>, of: Origin<'_, M>) -> Option<Ticket> {
        let key = &object.about.key;
        let mut shard = self.shard(key).write();
        if let Origin::Fill(running) = of {
            shard.take_running(running);
        }
        if !self.is_wanted(&object, shard.object(key), of) {
            drop(shard);
            self.give(object.weight());
            return None;
        }
        if let Origin::Fill(_) = of {
            self.change(key);
        }
        let ticket = self.ticket(key);
        let mut queue = self.queue.lock();
        let old = shard.put(object.clone());
        let removed = old.as_ref().and_then(|old| queue.remove(old.place(), old));
        object.put_at(queue.insert(object.clone()));
        drop(queue);
        drop(shard);
        self.give(removed.map_or(0, |removed| removed.weight()));
        self.tune(&object);
        Some(ticket)
    }

    /// Says that a fill was whole though there was no room for it: what it
    /// replaces goes. None if it was purged or is not the newest.
    pub(super) fn supersede(
        &self,
        object: &Arc<Object<M>>,
        running: &Arc<Running<M>>,
    ) -> Option<Ticket> {
        let key = &object.about.key;
        let mut shard = self.shard(key).write();
        shard.take_running(running);
        if !self.is_wanted(object, shard.object(key), Origin::Fill(running)) {
            return None;
        }
        self.change(key);
        let ticket = self.ticket(key);
        let old = shard.take(key);
        if let Some(old) = &old {
            self.leave(old);
        }
        drop(shard);
        Some(ticket)
    }

    /// Says that nothing older than an object is to be found elsewhere from now on:
    /// what is older goes, and what a look-up has on its way is not kept. None if
    /// its name has changed since the ticket was taken.
    pub(crate) fn renew(&self, object: &Object<M>, ticket: Ticket) -> Option<Ticket> {
        let About { key, created, .. } = &object.about;
        let mut shard = self.shard(key).write();
        if self.ticket(key) != ticket {
            return None;
        }
        self.change(key);
        let renewed = self.ticket(key);
        let older = shard.object(key).filter(|held| held.about.created < *created).cloned();
        if let Some(older) = older {
            shard.take_if(&older);
            self.leave(&older);
        }
        drop(shard);
        Some(renewed)
    }

    /// Puts one object in the place of another; None if that has left it.
    pub(super) fn exchange(&self, old: &Arc<Object<M>>, new: Arc<Object<M>>) -> Option<Ticket> {
        let key = &old.about.key;
        let mut shard = self.shard(key).write();
        shard.object(key).filter(|held| Arc::ptr_eq(held, old))?;
        let mut queue = self.queue.lock();
        new.put_at(old.place());
        let replaced = queue.replace(old.place(), old, new.clone());
        drop(queue);
        replaced?;
        self.change(key);
        shard.put(new);
        Some(self.ticket(key))
    }

    /// Under the lock of its shard.
    pub(super) fn change(&self, key: &Key) {
        self.changes_of(key).fetch_add(1, Ordering::AcqRel);
    }

    fn is_wanted(
        &self,
        object: &Object<M>,
        held: Option<&Arc<Object<M>>>,
        of: Origin<'_, M>,
    ) -> bool {
        let is_newest = held.is_none_or(|held| held.about.created <= object.about.created);
        let is_known = match of {
            Origin::Fill(running) => !running.is_doomed(),
            Origin::Elsewhere(ticket) => self.ticket(&object.about.key) == ticket,
        };
        is_newest && is_known && self.judge(object) != Verdict::Gone
    }
}
