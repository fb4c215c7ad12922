//! Whose turn it is, where only a few may do something at the same time.
//!
//! One after another among clients, not among what they ask: whoever asks for
//! much waits for itself. And no client has every turn while others wait.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::networks::ClientKey;

/// How many turns and waiting ones there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Turns at the same time, and those that one client may have of them; of
    /// one turn, it may have that.
    pub(super) at_once: usize,
    pub(super) of_client: usize,
    /// Who may wait for one, in all and of one client. When there is no room, who
    /// comes as the first of a client takes the place of one of the client with the
    /// most.
    pub(super) waiting: usize,
    pub(super) waiting_of_client: usize,
}

/// As many as may are waiting already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many are waiting")]
pub(super) struct Crowd;

/// The turns there are.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Mutex<Queue>>);

#[derive(Debug)]
struct Queue {
    bounds: Bounds,
    // Invariant: no client without a turn; all together at most `at_once`.
    having: HashMap<ClientKey, usize>,
    // Invariant: no client without one that waits; the last came last.
    waiting: HashMap<ClientKey, VecDeque<Waiter>>,
    // Invariant: each client of `waiting` once.
    order: VecDeque<ClientKey>,
    /// The number of the next that waits.
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    // Without it, who waits has lost its place.
    call: oneshot::Sender<Turn>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    client: ClientKey,
    // None once it is somebody else's.
    of: Option<Turns>,
}

impl Turns {
    pub(super) fn new(bounds: Bounds) -> Self {
        let (having, waiting) = (HashMap::new(), HashMap::new());
        let queue = Queue { bounds, having, waiting, order: VecDeque::new(), next: 0 };
        Turns(Arc::new(Mutex::new(queue)))
    }

    /// Waits for a turn; the caller bounds how long.
    pub(super) async fn take(&self, client: ClientKey) -> Result<Turn, Crowd> {
        let (number, called) = {
            let mut queue = self.queue();
            if queue.has_turn_for(client) {
                queue.give(client);
                return Ok(Turn { client, of: Some(self.clone()) });
            }
            queue.line_up(client)?
        };
        let _place = Place { turns: self, client, number };
        called.await.map_err(|_| Crowd)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing that panics runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives turns that are free to those who wait.
    fn pass_on(&self, mut queue: MutexGuard<'_, Queue>) {
        while let Some((client, waiter)) = queue.next() {
            queue.give(client);
            let turn = Turn { client, of: Some(self.clone()) };
            if let Err(mut turn) = waiter.call.send(turn) {
                // Who waited is gone. It is not given back by itself, for the
                // queue is locked.
                turn.of = None;
                queue.take_back(client);
            }
        }
    }
}

impl Queue {
    fn has_turn_for(&self, client: ClientKey) -> bool {
        let had: usize = self.having.values().sum();
        let own = self.having.get(&client).copied().unwrap_or_default();
        // O(n); n ≤ the turns at the same time.
        had < self.bounds.at_once && own < self.bounds.of_client
    }

    fn give(&mut self, client: ClientKey) {
        *self.having.entry(client).or_default() += 1;
    }

    fn take_back(&mut self, client: ClientKey) {
        if let Some(own) = self.having.get_mut(&client) {
            *own -= 1;
            if *own == 0 {
                self.having.remove(&client);
            }
        }
    }

    fn line_up(&mut self, client: ClientKey) -> Result<(u64, oneshot::Receiver<Turn>), Crowd> {
        // O(n); n ≤ those who may wait.
        let all: usize = self.waiting.values().map(VecDeque::len).sum();
        let own = self.waiting.get(&client).map_or(0, VecDeque::len);
        let is_full = all >= self.bounds.waiting;
        if own >= self.bounds.waiting_of_client || (is_full && (own > 0 || !self.make_room())) {
            return Err(Crowd);
        }
        let (call, called) = oneshot::channel();
        let number = self.next;
        self.next += 1;
        if own == 0 {
            self.order.push_back(client);
        }
        self.waiting.entry(client).or_default().push_back(Waiter { number, call });
        Ok((number, called))
    }

    /// Sends the last away of a client with the most and more than one; whether
    /// there is such a client.
    fn make_room(&mut self) -> bool {
        let richest = self.waiting.values_mut().max_by_key(|waiting| waiting.len());
        match richest {
            Some(waiting) if waiting.len() > 1 => waiting.pop_back().is_some(),
            _ => false,
        }
    }

    /// The next to be given a turn, if there is one for it.
    fn next(&mut self) -> Option<(ClientKey, Waiter)> {
        let at = self.order.iter().position(|client| self.has_turn_for(*client))?;
        let client = self.order.remove(at)?;
        let waiting = self.waiting.get_mut(&client)?;
        let waiter = waiting.pop_front()?;
        if waiting.is_empty() {
            self.waiting.remove(&client);
        } else {
            self.order.push_back(client);
        }
        Some((client, waiter))
    }

    fn leave(&mut self, client: ClientKey, number: u64) {
        if let Some(own) = self.waiting.get_mut(&client) {
            own.retain(|waiter| waiter.number != number);
            if own.is_empty() {
                self.waiting.remove(&client);
                self.order.retain(|other| *other != client);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.of.take() {
            let mut queue = turns.queue();
            queue.take_back(self.client);
            turns.pass_on(queue);
        }
    }
}

/// A place among those who wait, until it is dropped.
struct Place<'a> {
    turns: &'a Turns,
    client: ClientKey,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.queue().leave(self.client, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Taking<'a> = Pin<Box<dyn Future<Output = Result<Turn, Crowd>> + 'a>>;

    fn client(last: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([192, 0, 2, last]))
    }

    fn turns(at_once: usize, of_client: usize) -> Turns {
        Turns::new(Bounds { at_once, of_client, waiting: 8, waiting_of_client: 4 })
    }

    fn poll(taking: &mut Taking<'_>) -> Poll<Result<Turn, Crowd>> {
        taking.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    /// Those of `clients` who get turns when one is given back after the other.
    fn order(turns: &Turns, clients: &[u8]) -> Vec<u8> {
        let mut all: Vec<(u8, Taking<'_>)> = Vec::new();
        for last in clients {
            all.push((*last, Box::pin(turns.take(client(*last)))));
        }
        let mut order = Vec::new();
        let mut had = Vec::new();
        for round in 0..=clients.len() {
            all.retain_mut(|(last, taking)| match poll(taking) {
                Poll::Pending => true,
                Poll::Ready(Ok(turn)) => {
                    order.push(*last);
                    had.push(turn);
                    false
                }
                Poll::Ready(Err(Crowd)) => false,
            });
            if round > 0 && !had.is_empty() {
                had.remove(0);
            }
        }
        assert!(turns.queue().waiting.is_empty() && turns.queue().order.is_empty());
        order
    }

    #[test]
    fn clients_take_turns_however_much_they_ask() {
        assert_eq!(order(&turns(1, 1), &[1, 1, 1, 2, 2, 3, 1]), [1, 1, 2, 3, 1, 2, 1]);
        assert_eq!(order(&turns(1, 1), &[]), [0; 0]);
    }

    #[test]
    fn no_client_has_every_turn() {
        let turns = turns(4, 2);
        let mut first: Vec<Taking<'_>> =
            (0..3).map(|_| -> Taking<'_> { Box::pin(turns.take(client(1))) }).collect();
        let mut had: Vec<Turn> = Vec::new();
        for taking in &mut first[..2] {
            let Poll::Ready(Ok(turn)) = poll(taking) else { panic!("there are turns") };
            had.push(turn);
        }
        assert!(poll(&mut first[2]).is_pending(), "it has its share");
        let mut second: Taking<'_> = Box::pin(turns.take(client(2)));
        assert!(matches!(poll(&mut second), Poll::Ready(Ok(_))), "there is one for others");
        assert!(poll(&mut first[2]).is_pending());
        had.pop();
        assert!(matches!(poll(&mut first[2]), Poll::Ready(Ok(_))));
        drop((had, first, second));
        assert!(turns.queue().having.is_empty(), "every turn is given back");
    }

    #[test]
    fn those_who_wait_are_few_and_who_has_the_most_makes_room() {
        let turns = turns(1, 1);
        let Poll::Ready(Ok(turn)) = poll(&mut (Box::pin(turns.take(client(9))) as Taking<'_>))
        else {
            panic!("there is a turn")
        };
        let mut taking = |last: u8| {
            let mut taking: Taking<'_> = Box::pin(turns.take(client(last)));
            match poll(&mut taking) {
                Poll::Pending => Some(taking),
                Poll::Ready(taken) => taken.map(|_| panic!("there is no turn")).unwrap_or(None),
            }
        };
        let mut waiting: Vec<_> = [1, 1, 1, 1, 1, 2, 2, 2, 2, 2].map(&mut taking).into();
        let seated: Vec<bool> = waiting.iter().map(Option::is_some).collect();
        assert_eq!(seated.iter().filter(|seated| **seated).count(), 8, "four of each");
        for last in 3..=12 {
            waiting.push(taking(last));
            assert_eq!(waiting.last().is_some_and(Option::is_some), last <= 8, "{last}");
            assert!(taking(last).is_none(), "{last} has one, or nobody has two");
        }
        let lost = waiting.iter_mut().flatten().filter_map(|taking| match poll(taking) {
            Poll::Pending => None,
            Poll::Ready(taken) => Some(taken.err()),
        });
        assert_eq!(lost.collect::<Vec<_>>(), [Some(Crowd); 6]);
        // Whoever gives up leaves nothing behind, and the turn is free again.
        drop(waiting);
        drop(turn);
        let queue = turns.queue();
        assert!(queue.waiting.is_empty() && queue.order.is_empty() && queue.having.is_empty());
    }

    #[test]
    fn a_turn_that_nobody_took_goes_to_the_next() {
        let turns = turns(1, 1);
        let Poll::Ready(Ok(turn)) = poll(&mut (Box::pin(turns.take(client(1))) as Taking<'_>))
        else {
            panic!("there is a turn")
        };
        let mut second: Taking<'_> = Box::pin(turns.take(client(2)));
        let mut third: Taking<'_> = Box::pin(turns.take(client(3)));
        assert!(poll(&mut second).is_pending() && poll(&mut third).is_pending());
        drop(turn);
        // It was called, and gives up before it hears.
        drop(second);
        assert!(matches!(poll(&mut third), Poll::Ready(Ok(_))));
    }
}
