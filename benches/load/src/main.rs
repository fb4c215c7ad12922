//! Asks one server on this machine, and says what came of it.
//!
//! `tidegate-load PORT PID SECONDS open RATE HIGH LOW` sends so many requests a second at
//! random moments, answered or not, of which these parts are for routes of high and
//! of low priority. `... closed CLIENTS` has so many who ask again as soon as they are
//! answered. PID is the server's; a time is from when a request should have been sent.

mod ask;
mod figures;

use std::error::Error;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};

use ask::{Asked, Priority};
use figures::Figures;

/// What is not answered by then is of no use.
const PATIENCE: Duration = Duration::from_secs(1);
/// What is asked before that does not count.
const WARM: Duration = Duration::from_secs(2);
/// The most connections; who finds none left is not answered.
const MOST: usize = 8000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [port, pid, seconds, load @ ..] = words.as_slice() else {
        return Err("which port, which process, for how long?".into());
    };
    let load = match load {
        ["open", rate, high, low] => {
            Load::Open { rate: rate.parse()?, high: high.parse()?, low: low.parse()? }
        }
        ["closed", clients] => Load::Closed(clients.parse::<usize>()?.min(MOST)),
        _ => return Err("open RATE HIGH LOW, or closed CLIENTS?".into()),
    };
    let (pid, long) = (pid.parse()?, Duration::from_secs(seconds.parse()?));
    if long <= WARM {
        return Err("the first two seconds do not count".into());
    }
    let now = Instant::now();
    let clients = Clients {
        port: port.parse()?,
        idle: Vec::new(),
        asked: JoinSet::new(),
        figures: Figures::new(now + WARM, now + long),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let figures = runtime.block_on(clients.bear(pid, load, now))?;
    Ok(figures.print(&mut std::io::stdout())?)
}

#[derive(Debug, Clone, Copy)]
enum Load {
    Open { rate: f64, high: f64, low: f64 },
    Closed(usize),
}

/// Connections, and the requests under way on some of them.
struct Clients {
    port: u16,
    idle: Vec<TcpStream>,
    asked: JoinSet<Asked>,
    figures: Figures,
}

impl Clients {
    /// Sends a load until the end.
    async fn bear(mut self, pid: u32, load: Load, began: Instant) -> std::io::Result<Figures> {
        let (warm, end) = (self.figures.warm, self.figures.end);
        let (mut before, mut random, mut next) = (None, Random(1), began);
        if let Load::Closed(clients) = load {
            (0..clients).for_each(|_| self.ask(Priority::Normal, began));
            next = end;
        }
        while Instant::now() < end {
            if before.is_none() && Instant::now() >= warm {
                before = Some(figures::threads(pid)?);
            }
            tokio::select! {
                () = sleep_until(next.min(end)) => {}
                Some(told) = self.asked.join_next() => {
                    self.hear(told?);
                    if let Load::Closed(_) = load {
                        self.ask(Priority::Normal, Instant::now());
                    }
                }
            }
            while let Load::Open { rate, high, low } = load
                && next <= Instant::now()
            {
                let priority = match random.part() {
                    part if part < high => Priority::High,
                    part if part < high + low => Priority::Low,
                    _ => Priority::Normal,
                };
                self.ask(priority, next);
                next += random.pause(rate);
            }
        }
        self.figures.worked(&before.unwrap_or_default(), &figures::threads(pid)?);
        // Who still waits after that has waited too long.
        while let Ok(Some(told)) = timeout_at(end + PATIENCE, self.asked.join_next()).await {
            self.hear(told?);
        }
        Ok(self.figures)
    }

    /// Asks on a connection that is idle, or on a new one.
    fn ask(&mut self, priority: Priority, since: Instant) {
        self.figures.count(priority, since);
        if self.asked.len() < MOST {
            self.asked.spawn(ask::ask(self.port, priority, since, self.idle.pop()));
        }
    }

    fn hear(&mut self, asked: Asked) {
        self.figures.hear(&asked);
        self.idle.extend(asked.connection);
    }
}

/// The same numbers in every run (splitmix64).
struct Random(u64);

impl Random {
    /// From 0 to below 1.
    fn part(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Until the next of so many a second at random moments.
    fn pause(&mut self, rate: f64) -> Duration {
        Duration::from_secs_f64(-(1.0 - self.part()).ln() / rate)
    }
}
