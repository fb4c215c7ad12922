//! What does it cost to ask for an allowance, by how many keys are known?
//!
//! Keys are asked for in no order, so that beyond some number none of them is in
//! the caches of the processor. The first line of each number is the clock and
//! the hash alone. Shown are the quickest twentieth of rounds and the middle one:
//! how far they are apart is what others do on the machine.
//!
//!     cargo bench --bench allowances

/// The table's tests have that of the proxy.
mod limit {
    pub(crate) const ALLOWANCES: super::table::Shards = super::table::Shards(8192);
}
#[expect(dead_code, reason = "more of it than a bench needs")]
#[cfg_attr(test, expect(unused_imports, reason = "its tests are not those of a bench"))]
#[path = "../src/limit/table.rs"]
mod table;
#[expect(dead_code, unused_imports, reason = "more of it than a bench needs")]
#[path = "../src/units.rs"]
mod units;

use std::hint::black_box;
use std::time::Instant;

use table::{KeyHash, Moment, Table};

const KEYS: [u64; 4] = [1_000, 100_000, 300_000, 1_000_000];
const ROUNDS: usize = 400;
const CHECKS: u32 = 5_000;
const SECOND: u64 = 1_000_000_000;

fn main() {
    for keys in KEYS {
        let table = Table::new(limit::ALLOWANCES);
        measure("clock and hash", keys, &table, |key, now| key == table.hash(0) && now == 0);
        let take = |key, now| table.take(key, SECOND / 100, 1000 * SECOND, now).is_ok();
        for key in 0..keys {
            take(table.hash(("limit", key)), 1);
        }
        measure("take", keys, &table, take);
    }
}

#[expect(clippy::print_stdout, reason = "it is what a bench is for")]
fn measure(what: &str, keys: u64, table: &Table, check: impl Fn(KeyHash, Moment) -> bool) {
    let mut random = fastrand::Rng::with_seed(1);
    let mut nanos: Vec<f64> = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..CHECKS {
            let key = table.hash(("limit", random.u64(..keys)));
            black_box(check(key, table.now()));
        }
        nanos.push(began.elapsed().as_nanos() as f64 / f64::from(CHECKS));
    }
    nanos.sort_by(f64::total_cmp);
    let (least, middle) = (nanos[ROUNDS / 20], nanos[ROUNDS / 2]);
    println!("{keys:>9} keys  {what:<14}  {least:6.1} ns  {middle:6.1} ns");
}
