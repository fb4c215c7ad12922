//! What a request, or a piece of a body, takes of allowances before they have
//! filled up that far, and its wait until they have.

use std::sync::Arc;
use std::time::Duration;

use super::allowance::{Ask, RateLimit, Taken};
use super::table::TooEarly;
use super::waiting::Waiting;
use super::{Exceeded, Ledger};

/// What an answer says of allowances: items of `RateLimit` and of
/// `RateLimit-Policy`.
pub(super) type Said = Vec<(String, String)>;

/// What was taken of allowances. It is given back with this, unless it is kept:
/// who gives up its wait has asked for nothing.
#[derive(Debug)]
#[must_use]
pub(crate) struct Advance<'a> {
    ledger: &'a Ledger,
    limits: &'a [Arc<RateLimit>],
    // Invariant: of the first of `limits`, one each; of all of them once it is made.
    taken: Vec<Taken>,
    wait: Duration,
    waiting: Option<Waiting<'a>>,
}

impl<'a> Advance<'a> {
    /// Takes `amount` from the allowances of all `limits`, or of none; who would
    /// have to wait for longer than `patience` takes nothing.
    pub(super) fn take(
        ledger: &'a Ledger,
        limits: &'a [Arc<RateLimit>],
        ask: &Ask<'_>,
        amount: u64,
        patience: Duration,
    ) -> Result<Self, Exceeded> {
        let (taken, wait) = (Vec::with_capacity(limits.len()), Duration::ZERO);
        let mut advance = Advance { ledger, limits, taken, wait, waiting: None };
        if limits.is_empty() {
            return Ok(advance);
        }
        let now = ledger.allowances.now();
        for limit in limits {
            match limit.take(&ledger.allowances, ask, amount, patience, now) {
                Ok(one) => advance.taken.push(one),
                Err(TooEarly(nanos)) => {
                    ledger.rejected(limit, ask);
                    let retry = Duration::from_nanos(nanos);
                    return Err(Exceeded::Rate { limit: limit.clone(), retry });
                }
            }
        }
        advance.line_up(ask)?;
        Ok(advance)
    }

    /// Takes a place among those who wait, if there is anything to wait for.
    fn line_up(&mut self, ask: &Ask<'_>) -> Result<(), Exceeded> {
        let waits = self.limits.iter().zip(&self.taken);
        let waits = waits.map(|(limit, taken)| (limit.wait_of(taken), limit));
        let Some((wait, limit)) = waits.max_by_key(|(wait, _)| *wait) else { return Ok(()) };
        if wait.is_zero() {
            return Ok(());
        }
        let Some(waiting) = Waiting::begin(self.ledger, ask) else {
            limit.metrics.rejected();
            return Err(Exceeded::Rate { limit: limit.clone(), retry: wait });
        };
        limit.metrics.delayed();
        (self.wait, self.waiting) = (wait, Some(waiting));
        Ok(())
    }

    /// Whether it is to be waited for.
    pub(crate) fn is_to_come(&self) -> bool {
        self.waiting.is_some()
    }

    /// Waits until all that was taken is there.
    pub(crate) async fn come(&mut self) {
        if self.is_to_come() {
            tokio::time::sleep(self.wait).await;
            self.waiting = None;
        }
    }

    /// What is to be said of what was taken.
    pub(super) fn said(&self) -> Said {
        let taken = self.limits.iter().zip(&self.taken);
        taken.filter_map(|(limit, taken)| limit.shown(|| *taken)).collect()
    }

    /// Uses what was taken.
    pub(crate) fn keep(mut self) {
        self.taken.clear();
    }
}

impl Drop for Advance<'_> {
    fn drop(&mut self) {
        for taken in &self.taken {
            self.ledger.allowances.give_back(taken.key, taken.cost);
        }
    }
}
