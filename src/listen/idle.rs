//! How long a worker's thread had nothing to do.
//!
//! That it was ready and had to wait for a processor is no idleness, and only
//! the system knows. Where it does not say, the runtime does: it takes all for
//! idle in which it waits for events.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeMetrics};

/// What the system counts of the thread that reads it: the nanoseconds that it
/// ran, those that it was ready and did not, and how often it ran (proc(5)).
const COUNTED: &str = "/proc/thread-self/schedstat";
/// Three numbers of 64 bits.
const LONGEST: usize = 64;

pub(super) struct Idle {
    began: Instant,
    file: Option<File>,
    metrics: RuntimeMetrics,
    busy_before: Duration,
    told: Duration,
}

impl Idle {
    /// Of the thread of the caller, whose runtime has no other.
    pub(super) fn of_this_thread() -> Idle {
        let file = File::open(COUNTED).ok().filter(|file| read(file).is_some());
        let (metrics, began) = (Handle::current().metrics(), Instant::now());
        let mut idle =
            Idle { began, file, metrics, busy_before: Duration::ZERO, told: Duration::ZERO };
        idle.busy_before = idle.busy();
        idle
    }

    /// How long it had nothing to do since this was asked before.
    pub(super) fn since(&mut self) -> Duration {
        let busy = self.busy().saturating_sub(self.busy_before);
        let idle = self.began.elapsed().saturating_sub(busy);
        // The system counts by ticks: what was told too early is not told twice.
        let since = idle.saturating_sub(self.told);
        self.told += since;
        since
    }

    fn busy(&self) -> Duration {
        let counted = self.file.as_ref().and_then(read);
        counted.unwrap_or_else(|| self.metrics.worker_total_busy_duration(0))
    }
}

/// How long the thread ran or was ready to.
fn read(file: &File) -> Option<Duration> {
    let mut buffer = [0; LONGEST];
    let length = file.read_at(&mut buffer, 0).ok()?;
    let mut numbers = std::str::from_utf8(buffer.get(..length)?).ok()?.split_ascii_whitespace();
    let mut next = || Some(Duration::from_nanos(numbers.next()?.parse().ok()?));
    Some(next()? + next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_slept_is_idle_and_what_is_worked_is_not() {
        let mut idle = Idle::of_this_thread();
        let start = Instant::now();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let slept = idle.since();
        assert!(slept >= Duration::from_millis(40) && slept <= start.elapsed(), "{slept:?}");
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(50) {}
        let worked = idle.since();
        assert!(worked <= Duration::from_millis(10), "{worked:?}");
    }
}
