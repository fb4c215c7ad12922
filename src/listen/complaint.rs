//! Says the same thing once in a while: an attack is no reason to fill a disk.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two lines of the log about the same thing.
const QUIET: Duration = Duration::from_secs(60);

/// What has been said of one thing.
#[derive(Debug, Default)]
pub(super) struct Complaint(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    /// It happened once more; how often since it was last said, if it is time
    /// to say so.
    pub(super) fn say(&self) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        said.unsaid += 1;
        if said.last.is_some_and(|last| last.elapsed() < QUIET) {
            return None;
        }
        said.last = Some(Instant::now());
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_said_once_a_while_and_counted() {
        let complaint = Complaint::default();
        for (later, expected) in
            [(0, Some(1)), (1, None), (58, None), (1, Some(3)), (1, None), (500, Some(2))]
        {
            advance(Duration::from_secs(later)).await;
            assert_eq!(complaint.say(), expected, "{later} s later");
        }
    }
}
