//! Which object goes when bytes run out: S3-FIFO, counted in bytes.
//!
//! New objects enter a small queue, from which those that nobody asked for
//! again leave soon; the others move on to the main queue, where each use buys
//! another round. Names of what left the small queue are remembered for a
//! while: one that comes back was thrown out too early and goes to main.
//! ("FIFO queues are all you need for cache eviction", Yang et al., SOSP 2023.)

use crate::ghosts::Ghosts;

/// Uses that are counted; more buy nothing.
pub(crate) const MOST_USES: u8 = 3;

/// Objects passed over for one that goes; after these the next goes, used or not.
/// It keeps the lock short when everything was used.
const MOST_SPARED: usize = 128;

/// Names remembered even if nothing is held.
const FEWEST_GHOSTS: usize = 1024;

/// What a queue must know of an object.
pub(crate) trait Queued {
    /// Bytes. Invariant: the same for as long as it is queued.
    fn weight(&self) -> u64;
    fn fingerprint(&self) -> u64;
    /// At most [`MOST_USES`].
    fn uses(&self) -> u8;
    fn set_uses(&self, uses: u8);
    fn is(&self, other: &Self) -> bool;
}

/// Where an object is queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(pub(crate) u32);

/// Objects in the order in which they may go.
pub(crate) struct Queue<H> {
    nodes: Vec<Node<H>>,
    free: Vec<u32>,
    /// By [`Line`].
    lists: [List; 2],
    capacity: u64,
    small_percent: u8,
    /// Bytes that the small queue keeps before main is asked for some.
    small_share: u64,
    /// Rises with each object that begins to wait in a line, and wraps around.
    turn: u32,
    ghosts: Ghosts,
}

struct Node<H> {
    handle: Option<H>,
    newer: Option<Link>,
    older: Option<Link>,
    turn: u32,
    line: Line,
}

/// An object, and how late it goes if nothing more is used.
pub(crate) struct Ranked<H> {
    pub(crate) handle: H,
    pub(crate) rank: Rank,
}

/// The main queue goes after the small one, what is newer in it after what is older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Rank {
    pub(crate) is_main: bool,
    pub(crate) turn: u32,
}

/// An index into the nodes, one higher: an absent one needs no room.
type Link = std::num::NonZeroU32;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Small,
    Main,
}

#[derive(Default)]
struct List {
    newest: Option<Link>,
    oldest: Option<Link>,
    weight: u64,
    count: usize,
}

impl<H: Queued> Queue<H> {
    /// For `capacity` bytes, `small` percent of them for what is new.
    pub(crate) fn new(capacity: u64, small: u8) -> Self {
        Self {
            nodes: Vec::new(),
            free: Vec::new(),
            lists: Default::default(),
            capacity,
            small_percent: small,
            small_share: share(capacity, small),
            turn: 0,
            ghosts: Ghosts::new(capacity),
        }
    }

    pub(crate) fn insert(&mut self, handle: H) -> Place {
        let line = match self.ghosts.take(handle.fingerprint()) {
            true => Line::Main,
            false => Line::Small,
        };
        let node = Node { handle: Some(handle), newer: None, older: None, turn: 0, line };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer objects than 2^32 fit in memory")
            }
        };
        self.link(at, line);
        Place(at)
    }

    /// Takes an object out, unless it has gone from there already.
    pub(crate) fn remove(&mut self, place: Place, handle: &H) -> Option<H> {
        self.held(place, handle)?;
        self.unlink(place.0);
        self.release(place.0)
    }

    /// Puts one object in the place of another, unless that has gone already.
    pub(crate) fn replace(&mut self, place: Place, old: &H, new: H) -> Option<H> {
        let before = self.held(place, old)?.weight();
        let node = &mut self.nodes[place.0 as usize];
        let list = &mut self.lists[node.line as usize];
        list.weight = list.weight - before + new.weight();
        node.handle.replace(new)
    }

    /// Takes out the object that is missed least; None if there is none.
    pub(crate) fn evict(&mut self) -> Option<H> {
        for _ in 0..MOST_SPARED {
            let (at, line) = self.judged()?;
            let handle = self.nodes[at as usize].handle.as_ref()?;
            let uses = handle.uses();
            if uses == 0 {
                return self.leave(at, line);
            }
            // What moves on has used up what it did to get there.
            handle.set_uses(if line == Line::Main { uses - 1 } else { 0 });
            self.unlink(at);
            self.link(at, Line::Main);
        }
        let (at, line) = self.judged()?;
        self.leave(at, line)
    }

    /// What is in so many places from this one on, in no order; none when there are no more.
    pub(crate) fn ranked(&self, from: usize, places: usize) -> Option<Vec<Ranked<H>>>
    where
        H: Clone,
    {
        let nodes = self.nodes.get(from..)?;
        let ranked = nodes.iter().take(places).filter_map(|node| {
            let rank = Rank { is_main: node.line == Line::Main, turn: node.turn };
            Some(Ranked { handle: node.handle.clone()?, rank })
        });
        (!nodes.is_empty()).then(|| ranked.collect())
    }

    /// From now on there are so many percent for what is new.
    pub(crate) fn set_small(&mut self, small: u8) {
        self.small_percent = small;
        self.small_share = share(self.capacity, small);
    }

    pub(crate) fn small(&self) -> u8 {
        self.small_percent
    }

    pub(crate) fn count(&self) -> usize {
        self.lists.iter().map(|list| list.count).sum()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.lists.iter().map(|list| list.weight).sum()
    }

    pub(crate) fn ghosts(&self) -> usize {
        self.ghosts.count()
    }

    /// What a place holds, if that is `handle`.
    fn held(&self, place: Place, handle: &H) -> Option<&H> {
        let held = self.nodes.get(place.0 as usize)?.handle.as_ref()?;
        held.is(handle).then_some(held)
    }

    /// The object that is judged next.
    fn judged(&self) -> Option<(u32, Line)> {
        let [small, main] = &self.lists;
        let oldest = match small.weight > self.small_share {
            true => small.oldest.or(main.oldest),
            false => main.oldest.or(small.oldest),
        };
        let at = oldest?.get() - 1;
        Some((at, self.nodes[at as usize].line))
    }

    fn leave(&mut self, at: u32, line: Line) -> Option<H> {
        self.unlink(at);
        let handle = self.release(at)?;
        if line == Line::Small {
            let most = self.count().max(FEWEST_GHOSTS);
            self.ghosts.add(handle.fingerprint(), handle.weight(), most);
        }
        Some(handle)
    }

    fn release(&mut self, at: u32) -> Option<H> {
        let handle = self.nodes[at as usize].handle.take();
        self.free.push(at);
        handle
    }

    /// Makes an unlinked node the newest of a line.
    fn link(&mut self, at: u32, line: Line) {
        let link = Link::MIN.saturating_add(at);
        let list = &mut self.lists[line as usize];
        let before = list.newest.replace(link);
        list.oldest.get_or_insert(link);
        list.count += 1;
        let node = &mut self.nodes[at as usize];
        list.weight += node.handle.as_ref().map_or(0, Queued::weight);
        (node.line, node.newer, node.older) = (line, None, before);
        self.turn = self.turn.wrapping_add(1);
        node.turn = self.turn;
        if let Some(before) = before {
            self.nodes[before.get() as usize - 1].newer = Some(link);
        }
    }

    fn unlink(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let (newer, older) = (node.newer, node.older);
        let list = &mut self.lists[node.line as usize];
        list.count -= 1;
        list.weight -= node.handle.as_ref().map_or(0, Queued::weight);
        match newer {
            Some(newer) => self.nodes[newer.get() as usize - 1].older = older,
            None => list.newest = older,
        }
        match older {
            Some(older) => self.nodes[older.get() as usize - 1].newer = newer,
            None => list.oldest = newer,
        }
    }
}

fn share(capacity: u64, percent: u8) -> u64 {
    let percent = u64::from(percent.min(100));
    capacity / 100 * percent + capacity % 100 * percent / 100
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    struct Item {
        name: u64,
        weight: u64,
        uses: Cell<u8>,
    }

    impl Queued for Rc<Item> {
        fn weight(&self) -> u64 {
            self.weight
        }
        fn fingerprint(&self) -> u64 {
            self.name
        }
        fn uses(&self) -> u8 {
            self.uses.get()
        }
        fn set_uses(&self, uses: u8) {
            self.uses.set(uses);
        }
        fn is(&self, other: &Self) -> bool {
            Rc::ptr_eq(self, other)
        }
    }

    fn item(name: u64, weight: u64) -> Rc<Item> {
        Rc::new(Item { name, weight, uses: Cell::new(0) })
    }

    fn evicted(queue: &mut Queue<Rc<Item>>) -> Option<u64> {
        queue.evict().map(|item| item.name)
    }

    #[test]
    fn what_nobody_asks_for_again_goes_first_whatever_came_before() {
        let mut queue = Queue::new(100, 10);
        let used = item(1, 10);
        queue.insert(used.clone());
        used.set_uses(1);
        for name in 2..6 {
            queue.insert(item(name, 10));
        }
        let order: Vec<_> = std::iter::from_fn(|| evicted(&mut queue)).collect();
        // The small queue keeps its share; main gives before that.
        assert_eq!(order, [2, 3, 4, 1, 5]);
    }

    #[test]
    fn what_comes_back_soon_goes_to_main() {
        let mut queue = Queue::new(100, 10);
        queue.insert(item(1, 10));
        assert_eq!(evicted(&mut queue), Some(1));
        queue.insert(item(1, 10));
        for name in 2..4 {
            queue.insert(item(name, 10));
        }
        assert_eq!(evicted(&mut queue), Some(2), "the one that came back is spared");
    }

    #[test]
    fn each_use_buys_one_round_in_main() {
        let mut queue = Queue::new(100, 10);
        let names = [1, 2];
        for name in names {
            queue.insert(item(name, 10));
            assert_eq!(evicted(&mut queue), Some(name));
        }
        let used = item(1, 10);
        queue.insert(used.clone());
        queue.insert(item(2, 10));
        used.set_uses(1);
        assert_eq!(evicted(&mut queue), Some(2));
        assert_eq!(used.uses(), 0);
        assert_eq!(evicted(&mut queue), Some(1));
    }

    #[test]
    fn one_goes_even_if_all_are_used_again_and_again() {
        let mut queue = Queue::new(10_000, 10);
        let items: Vec<_> = (0..1000).map(|name| item(name, 10)).collect();
        for item in &items {
            queue.insert(item.clone());
            item.set_uses(MOST_USES);
        }
        assert!(evicted(&mut queue).is_some());
        let spared = items.iter().filter(|item| item.uses() < MOST_USES).count();
        assert!(spared <= MOST_SPARED, "{spared}");
    }

    #[test]
    fn a_place_holds_only_the_object_it_was_given_for() {
        let mut queue = Queue::new(100, 10);
        let first = item(1, 10);
        let place = queue.insert(first.clone());
        assert!(queue.remove(place, &first).is_some());
        let second = item(2, 20);
        assert_eq!(queue.insert(second.clone()), place, "the place is used again");
        assert!(queue.remove(place, &first).is_none());
        assert!(queue.replace(place, &first, item(3, 1)).is_none());
        assert!(queue.replace(place, &second, item(2, 7)).is_some());
        assert_eq!((queue.weight(), queue.count()), (7, 1));
    }

    #[test]
    fn all_are_listed_with_what_goes_last_on_top() {
        let mut queue = Queue::new(100, 50);
        let items: Vec<_> = (0..9).map(|name| item(name, 10)).collect();
        for item in &items {
            queue.insert(item.clone());
        }
        for item in &items[..3] {
            item.set_uses(1);
        }
        // Three move on to main before the first goes.
        assert_eq!(evicted(&mut queue), Some(3));
        let mut ranked = Vec::new();
        for from in (0..).step_by(2) {
            let Some(some) = queue.ranked(from, 2) else { break };
            ranked.extend(some);
        }
        ranked.sort_by_key(|ranked| std::cmp::Reverse(ranked.rank));
        let names: Vec<_> = ranked.iter().map(|ranked| ranked.handle.name).collect();
        assert_eq!(names, [2, 1, 0, 8, 7, 6, 5, 4]);
        assert!(ranked[2].rank.is_main && !ranked[3].rank.is_main);
    }

    #[test]
    fn ghosts_are_bounded_in_number_and_weight() {
        let mut queue = Queue::new(1 << 40, 10);
        for name in 0..10_000 {
            queue.insert(item(name, 1));
            evicted(&mut queue);
        }
        assert_eq!(queue.ghosts(), FEWEST_GHOSTS);
        let mut queue = Queue::new(100, 10);
        for name in 0..100 {
            queue.insert(item(name, 30));
            evicted(&mut queue);
        }
        assert_eq!(queue.ghosts(), 3);
    }

    /// The same rules over plain vectors, each step O(n).
    #[derive(Default)]
    struct Model {
        small: Vec<Rc<Item>>,
        main: Vec<Rc<Item>>,
        ghosts: Vec<(u64, u64, bool)>,
        capacity: u64,
        small_share: u64,
    }

    impl Model {
        fn insert(&mut self, item: Rc<Item>) {
            let ghost = self.ghosts.iter_mut().find(|(name, _, here)| *here && *name == item.name);
            match ghost {
                Some(ghost) => {
                    ghost.2 = false;
                    self.main.push(item);
                }
                None => self.small.push(item),
            }
        }

        fn remove(&mut self, item: &Rc<Item>) {
            self.small.retain(|held| !Rc::ptr_eq(held, item));
            self.main.retain(|held| !Rc::ptr_eq(held, item));
        }

        fn evict(&mut self) -> Option<u64> {
            loop {
                let weight: u64 = self.small.iter().map(|item| item.weight).sum();
                if weight > self.small_share || self.main.is_empty() {
                    if self.small.is_empty() {
                        return None;
                    }
                    let item = self.small.remove(0);
                    if item.uses.replace(0) > 0 {
                        self.main.push(item);
                        continue;
                    }
                    self.ghosts
                        .iter_mut()
                        .filter(|ghost| ghost.0 == item.name)
                        .for_each(|g| g.2 = false);
                    self.ghosts.push((item.name, item.weight, true));
                    while self.ghosts.iter().map(|ghost| ghost.1).sum::<u64>() > self.capacity {
                        self.ghosts.remove(0);
                    }
                    return Some(item.name);
                }
                let item = self.main.remove(0);
                if item.uses() == 0 {
                    return Some(item.name);
                }
                item.set_uses(item.uses() - 1);
                self.main.push(item);
            }
        }

        fn weight(&self) -> u64 {
            self.small.iter().chain(&self.main).map(|item| item.weight).sum()
        }
    }

    fn run(seed: u64) {
        let mut random = fastrand::Rng::with_seed(seed);
        let capacity = 200;
        let share = random.u8(0..=100);
        let mut queue = Queue::new(capacity, share);
        let small_share = capacity / 100 * u64::from(share);
        let mut model = Model { capacity, small_share, ..Model::default() };
        let mut held: Vec<(Place, Rc<Item>, Rc<Item>)> = Vec::new();
        for step in 0..400 {
            match random.u8(0..10) {
                0..4 => {
                    let (name, weight) = (random.u64(0..40), random.u64(1..30));
                    let (ours, theirs) = (item(name, weight), item(name, weight));
                    held.push((queue.insert(ours.clone()), ours, theirs.clone()));
                    model.insert(theirs);
                }
                4..7 if !held.is_empty() => {
                    let (_, ours, theirs) = &held[random.usize(0..held.len())];
                    let uses = (ours.uses() + 1).min(MOST_USES);
                    ours.set_uses(uses);
                    theirs.set_uses(uses);
                }
                7 if !held.is_empty() => {
                    let (place, ours, theirs) = held.swap_remove(random.usize(0..held.len()));
                    queue.remove(place, &ours);
                    model.remove(&theirs);
                }
                _ => {
                    assert_eq!(evicted(&mut queue), model.evict(), "seed {seed} step {step}");
                }
            }
            assert_eq!(queue.weight(), model.weight(), "seed {seed} step {step}");
            assert_eq!(queue.count(), model.small.len() + model.main.len());
        }
    }

    #[test]
    fn it_does_what_the_same_rules_do_over_plain_vectors() {
        (0..300).for_each(run);
    }
}
