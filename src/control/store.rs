//! What the cache's store needs from time to time: it starts no tasks itself.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::aside::Aside;
use crate::cache::Vault;

/// How often it is looked whether another process on the same disks has purged.
const OTHERS: Duration = Duration::from_secs(1);
/// How often what purged objects hold is given back.
const TIDY: Duration = Duration::from_secs(300);

/// When the store is looked after.
pub(super) struct Tending {
    others: Interval,
    tidy: Interval,
    reading: Aside,
    tidying: Aside,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Others,
    Tidy,
}

impl Tending {
    pub(super) fn new() -> Self {
        let every = |period| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        Tending {
            others: every(OTHERS),
            tidy: every(TIDY),
            reading: Aside::default(),
            tidying: Aside::default(),
        }
    }

    pub(super) async fn due(&mut self) -> Due {
        tokio::select! {
            _ = self.others.tick() => Due::Others,
            _ = self.tidy.tick() => Due::Tidy,
        }
    }

    pub(super) fn tend(&mut self, due: Due, vault: &'static Vault) {
        match due {
            Due::Others if vault.has_disks() => self.reading.begin(move || {
                if let Err(error) = vault.store.refresh(crate::cache::now()) {
                    ::log::error!("purges of other processes cannot be read: {error}");
                }
            }),
            Due::Others => {}
            Due::Tidy => self.tidying.begin(move || vault.store.tidy(crate::cache::now())),
        }
    }
}
