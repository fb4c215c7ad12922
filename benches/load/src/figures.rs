//! What is told of a load.

use std::collections::HashMap;
use std::io::{self, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::PATIENCE;
use super::ask::{Asked, Priority};

/// Of a second, in /proc.
const TICKS: f64 = 100.0;

/// What came of all that was asked from `warm` on.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) warm: Instant,
    pub(crate) end: Instant,
    /// Requests, and those of high priority.
    asked: [usize; 2],
    told: usize,
    in_time: usize,
    refused: usize,
    /// How long answers to requests of high priority took.
    high: Vec<Duration>,
    /// Of the busiest thread of the server.
    ticks: u64,
}

impl Figures {
    pub(crate) fn new(warm: Instant, end: Instant) -> Figures {
        let high = Vec::new();
        Figures { warm, end, asked: [0; 2], told: 0, in_time: 0, refused: 0, high, ticks: 0 }
    }

    /// Counts a request.
    pub(crate) fn count(&mut self, priority: Priority, since: Instant) {
        if since >= self.warm {
            self.asked[0] += 1;
            self.asked[1] += usize::from(priority == Priority::High);
        }
    }

    /// Hears what came of one.
    pub(crate) fn hear(&mut self, asked: &Asked) {
        if asked.since < self.warm {
            return;
        }
        self.told += 1;
        self.refused += usize::from(asked.status == Some(503));
        if asked.status == Some(200) {
            let took = asked.until - asked.since;
            self.in_time += usize::from(took <= PATIENCE);
            self.high.extend((asked.priority == Priority::High).then_some(took));
        }
    }

    /// Compares what the threads of the server have run: its worker is the busiest.
    pub(crate) fn worked(&mut self, before: &HashMap<u32, u64>, after: &HashMap<u32, u64>) {
        let ran = after.iter().map(|(thread, ticks)| ticks - before.get(thread).unwrap_or(&0));
        self.ticks = ran.max().unwrap_or(0);
    }

    /// Answers in time and refusals a second; of what has high priority the percentage
    /// answered in time, and p50 and p99 of all answers in ms; how many were told
    /// nothing; the percentage of its time that the server's worker ran.
    pub(crate) fn print(mut self, to: &mut impl Write) -> io::Result<()> {
        self.high.sort();
        let quantile = |hundredths: usize| {
            let took = self.high.get(self.high.len() * hundredths / 100);
            took.map_or(0.0, |took: &Duration| took.as_secs_f64() * 1000.0)
        };
        let high = self.high.partition_point(|took| *took <= PATIENCE);
        let seconds = (self.end - self.warm).as_secs_f64();
        writeln!(
            to,
            "{:.1} {:.1} {:.1} {:.1} {:.1} {} {:.1}",
            self.in_time as f64 / seconds,
            self.refused as f64 / seconds,
            100.0 * high as f64 / self.asked[1].max(1) as f64,
            quantile(50),
            quantile(99),
            self.asked[0] - self.told,
            100.0 * self.ticks as f64 / TICKS / seconds,
        )
    }
}

/// How long each thread of a process has run, in ticks.
pub(crate) fn threads(pid: u32) -> io::Result<HashMap<u32, u64>> {
    let mut threads = HashMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let entry = entry?;
        let thread = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // It may have ended in the meantime.
        let stat = std::fs::read_to_string(entry.path().join("stat"));
        let (Some(thread), Ok(stat)) = (thread, stat) else { continue };
        // A name may hold anything; what follows its bracket are the fields from the third on.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
        let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        threads.insert(thread, ticks.sum());
    }
    Ok(threads)
}
