//! How much of what is asked for is in memory, of the bytes, with which rule for what goes? And
//! what is written to a disk behind it, with which rule for what comes?
//!
//! The web: objects of 1 to 512 KiB of Zipf popularity, a tenth of which changes every
//! 100,000 requests, and names that are asked for once. Media: slices of 1 MiB of videos that
//! fifty viewers at a time watch for a while. It moves no bytes, and takes about a minute.
//!
//!     cargo bench -p tidegate-store --bench hit_ratio
#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

#[path = "../src/ghosts.rs"]
mod ghosts;
#[expect(dead_code, reason = "more of it than a bench needs")]
#[path = "../src/queue.rs"]
mod queue;
#[expect(dead_code, reason = "its tests are not those of a bench")]
#[path = "../src/tune.rs"]
mod tune;

#[expect(dead_code, reason = "its tests are not those of a bench")]
#[path = "../src/lately.rs"]
mod lately;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use lately::Lately;
use queue::{MOST_USES, Place, Queue, Queued};
use tune::Tuner;

const REQUESTS: usize = 2_000_000;
const SEED: u64 = 20_26;

/// A name and the bytes of what it names.
type Request = (u64, u64);

trait Cache {
    /// True if it was there.
    fn ask(&mut self, name: u64, weight: u64) -> bool;
}

fn main() {
    let workloads = [
        ("web, Zipf 0.8", web(0.8, REQUESTS)),
        ("web, Zipf 1.0", web(1.0, REQUESTS)),
        ("media", media(REQUESTS)),
        ("web and media", mixed(web(0.9, REQUESTS / 2), media(REQUESTS / 2))),
    ];
    println!("{REQUESTS} requests each, seed {SEED}; percent of the bytes that were in memory\n");
    println!("| workload | memory | LRU | ours, 10 % small | 25 % | 50 % | tuned |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, requests) in &workloads {
        let footprint = footprint(requests);
        for percent in [2, 10, 30] {
            let capacity = footprint / 100 * percent;
            let mut ratios = vec![ratio(&mut Lru::new(capacity), requests)];
            for small in [10, 25, 50] {
                ratios.push(ratio(&mut Ours::new(capacity, small, false), requests));
            }
            ratios.push(ratio(&mut Ours::new(capacity, 25, true), requests));
            let ratios: String = ratios.iter().map(|ratio| format!(" {ratio:.1} |")).collect();
            println!("| {name} | {percent} % |{ratios}");
        }
    }
    println!(
        "\nwith memory of 2 % in front of a disk; bytes written in percent of those asked for\n"
    );
    println!(
        "| workload | disk | had, all written | had, second hit | written, all | second hit |"
    );
    println!("|---|---:|---:|---:|---:|---:|");
    for (name, requests) in &workloads {
        let footprint = footprint(requests);
        for percent in [10, 30] {
            let (memory, disk) = (footprint / 100 * 2, footprint / 100 * percent);
            let mut all = Tiers::new(memory, disk, None);
            let mut second = Tiers::new(memory, disk, Some(Lately::new()));
            let had = [ratio(&mut all, requests), ratio(&mut second, requests)];
            let asked: u64 = requests.iter().map(|(_, weight)| weight).sum();
            let written = [all, second].map(|tiers| tiers.written as f64 * 100.0 / asked as f64);
            let figures = [had, written].concat();
            let figures: String = figures.iter().map(|figure| format!(" {figure:.1} |")).collect();
            println!("| {name} | {percent} % |{figures}");
        }
    }
}

/// Bytes of all that is asked for.
fn footprint(requests: &[Request]) -> u64 {
    let distinct: HashSet<_> = requests.iter().collect();
    distinct.iter().map(|(_, weight)| weight).sum()
}

fn ratio(cache: &mut dyn Cache, requests: &[Request]) -> f64 {
    let (mut had, mut all) = (0, 0);
    for &(name, weight) in requests {
        all += weight;
        had += if cache.ask(name, weight) { weight } else { 0 };
    }
    had as f64 * 100.0 / all as f64
}

/// Objects of Zipf popularity that drifts, and every seventh name never again.
fn web(exponent: f64, count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let mut names: Vec<u64> = (0..300_000).collect();
    let popularity = Zipf::new(names.len(), exponent);
    let mut next = names.len() as u64;
    let mut requests = Vec::with_capacity(count);
    for turn in 0..count {
        if turn % 100_000 == 99_999 {
            for _ in 0..names.len() / 10 {
                let rank = random.usize(0..names.len());
                names[rank] = next;
                next += 1;
            }
        }
        let name = if random.u8(0..100) < 15 {
            next += 1;
            next
        } else {
            names[popularity.pick(&mut random)]
        };
        requests.push((name, web_bytes(name)));
    }
    requests
}

/// The same for each name: many are small, few are large.
fn web_bytes(name: u64) -> u64 {
    let mut random = fastrand::Rng::with_seed(name);
    let powers = random.u32(0..5) + random.u32(0..5);
    (1 << (10 + powers)) + random.u64(0..1 << (10 + powers))
}

/// Fifty viewers, each of whom watches a part of a video, most from the start.
fn media(count: usize) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(SEED);
    let videos = 4000;
    let popularity = Zipf::new(videos, 0.8);
    let lengths: Vec<u64> = (0..videos).map(|_| random.u64(50..1000)).collect();
    let view = |random: &mut fastrand::Rng| {
        let video = popularity.pick(random);
        let start = if random.u8(0..5) == 0 { random.u64(0..lengths[video]) } else { 0 };
        // Half of the views end within the first quarter.
        let share = random.f64().powi(2);
        let end = start + 1 + ((lengths[video] - start) as f64 * share) as u64;
        (video as u64, start, end.min(lengths[video]))
    };
    let mut views: Vec<_> = (0..50).map(|_| view(&mut random)).collect();
    let mut requests = Vec::with_capacity(count);
    for _ in 0..count {
        let viewer = random.usize(0..views.len());
        if views[viewer].1 >= views[viewer].2 {
            views[viewer] = view(&mut random);
        }
        let (video, slice, _) = &mut views[viewer];
        requests.push(((1 << 60) + *video * 1000 + *slice, 1 << 20));
        *slice += 1;
    }
    requests
}

fn mixed(one: Vec<Request>, other: Vec<Request>) -> Vec<Request> {
    one.into_iter().zip(other).flat_map(|(one, other)| [one, other]).collect()
}

struct Zipf(Vec<f64>);

impl Zipf {
    fn new(count: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weight = |rank: usize| (rank as f64).powf(-exponent);
        let sums = (1..=count).map(|rank| {
            sum += weight(rank);
            sum
        });
        Self(sums.collect())
    }

    fn pick(&self, random: &mut fastrand::Rng) -> usize {
        let all = self.0.last().copied().unwrap_or_default();
        let point = random.f64() * all;
        self.0.partition_point(|sum| *sum < point).min(self.0.len() - 1)
    }
}

/// What was used longest ago goes first.
struct Lru {
    by_name: HashMap<u64, (u64, u64)>,
    by_turn: BTreeMap<u64, u64>,
    turn: u64,
    used: u64,
    capacity: u64,
}

impl Lru {
    fn new(capacity: u64) -> Self {
        Self { by_name: HashMap::new(), by_turn: BTreeMap::new(), turn: 0, used: 0, capacity }
    }
}

impl Cache for Lru {
    fn ask(&mut self, name: u64, weight: u64) -> bool {
        self.turn += 1;
        let before = self.by_name.insert(name, (self.turn, weight));
        self.by_turn.insert(self.turn, name);
        if let Some((turn, _)) = before {
            self.by_turn.remove(&turn);
            return true;
        }
        self.used += weight;
        while self.used > self.capacity {
            let Some((_, oldest)) = self.by_turn.pop_first() else { break };
            self.used -= self.by_name.remove(&oldest).map_or(0, |(_, weight)| weight);
        }
        false
    }
}

struct Ours {
    queue: Queue<Rc<Item>>,
    items: HashMap<u64, (Place, Rc<Item>)>,
    capacity: u64,
    tuner: Option<Tuner>,
}

struct Item {
    name: u64,
    weight: u64,
    uses: Cell<u8>,
}

impl Ours {
    fn new(capacity: u64, small: u8, tuned: bool) -> Self {
        let queue = Queue::new(capacity, small);
        let tuner = tuned.then(|| Tuner::new(capacity, small));
        Self { queue, items: HashMap::new(), capacity, tuner }
    }
}

impl Cache for Ours {
    fn ask(&mut self, name: u64, weight: u64) -> bool {
        if let Some(tuner) = &mut self.tuner {
            let fingerprint = fingerprint(name);
            if Tuner::is_sampled(tuner.sample(), fingerprint)
                && let Some(small) = tuner.see(fingerprint, weight)
            {
                self.queue.set_small(small);
            }
        }
        if let Some((_, item)) = self.items.get(&name) {
            item.uses.set((item.uses.get() + 1).min(MOST_USES));
            return true;
        }
        while self.queue.weight() + weight > self.capacity {
            let Some(gone) = self.queue.evict() else { break };
            self.items.remove(&gone.name);
        }
        let item = Rc::new(Item { name, weight, uses: Cell::new(0) });
        let place = self.queue.insert(item.clone());
        self.items.insert(name, (place, item));
        false
    }
}

/// Memory in front of a disk, with the same rules for what goes.
struct Tiers {
    memory: Ours,
    disk: Ours,
    /// Without it all is written.
    lately: Option<Lately>,
    /// In memory, and not on the disk until it is used again.
    deferred: HashSet<u64>,
    written: u64,
}

impl Tiers {
    fn new(memory: u64, disk: u64, lately: Option<Lately>) -> Self {
        let (memory, disk) = (Ours::new(memory, 25, true), Ours::new(disk, 25, false));
        Self { memory, disk, lately, deferred: HashSet::new(), written: 0 }
    }

    fn write(&mut self, name: u64, weight: u64) {
        self.disk.ask(name, weight);
        self.written += weight;
    }
}

impl Cache for Tiers {
    fn ask(&mut self, name: u64, weight: u64) -> bool {
        let in_memory = self.memory.ask(name, weight);
        let was_deferred = self.deferred.remove(&name);
        if in_memory {
            if was_deferred {
                self.write(name, weight);
            }
            return true;
        }
        if self.disk.items.contains_key(&name) {
            return self.disk.ask(name, weight);
        }
        let is_admitted = self.lately.as_mut().is_none_or(|lately| lately.see(fingerprint(name)));
        if is_admitted {
            self.write(name, weight);
        } else {
            self.deferred.insert(name);
        }
        false
    }
}

impl Queued for Rc<Item> {
    fn weight(&self) -> u64 {
        self.weight
    }

    fn fingerprint(&self) -> u64 {
        fingerprint(self.name)
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

/// As even as the hash of a key.
fn fingerprint(name: u64) -> u64 {
    fastrand::Rng::with_seed(name).u64(..)
}
