//! What the cache's store needs from time to time: it starts no tasks itself.

use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::aside::Aside;
use crate::cache::Vault;

/// How often it is looked whether another process on the same disks has purged.
const OTHERS: Duration = Duration::from_secs(1);
/// How often what purged objects hold is given back.
const TIDY: Duration = Duration::from_secs(300);
/// How often what memory holds is listed for the next start, should the process
/// not get to do so at its end.
const LIST: Duration = Duration::from_secs(300);

/// When the store is looked after.
pub(super) struct Tending {
    others: Interval,
    tidy: Interval,
    list: Interval,
    reading: Aside,
    tidying: Aside,
    listing: Aside,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Others,
    Tidy,
    List,
}

impl Tending {
    /// Begins with what a former process had in memory: for a process that serves.
    pub(super) fn new(vault: &'static Vault) -> Self {
        let every = |period| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let mut tending = Tending {
            others: every(OTHERS),
            tidy: every(TIDY),
            list: every(LIST),
            reading: Aside::default(),
            tidying: Aside::default(),
            listing: Aside::default(),
        };
        if vault.has_disks() {
            tending.listing.begin_waiting(warm(vault));
        }
        tending
    }

    pub(super) async fn due(&mut self) -> Due {
        tokio::select! {
            _ = self.others.tick() => Due::Others,
            _ = self.tidy.tick() => Due::Tidy,
            _ = self.list.tick() => Due::List,
        }
    }

    pub(super) fn tend(&mut self, due: Due, vault: &'static Vault) {
        match due {
            Due::Others if vault.has_disks() => self.reading.begin(move || {
                if let Err(error) = vault.store.refresh(crate::cache::now()) {
                    ::log::error!("purges of other processes cannot be read: {error}");
                }
            }),
            Due::List if vault.has_disks() => self.listing.begin_waiting(list(vault)),
            Due::Others | Due::List => {}
            Due::Tidy => self.tidying.begin(move || vault.store.tidy(crate::cache::now())),
        }
    }
}

/// Moves what a former process had in memory back into it.
async fn warm(vault: &'static Vault) {
    let warmed = vault.store.warm(u64::MAX, crate::cache::now()).await;
    for (disk, fault) in &warmed.faults {
        ::log::warn!("cache.disks[{disk}]: what was in memory before is not known: {fault}");
    }
    if warmed.objects > 0 {
        ::log::info!("{} answers of {} bytes are in memory again", warmed.objects, warmed.bytes);
    }
}

/// Lists what is in memory, for the next start.
pub(super) async fn list(vault: &'static Vault) {
    if let Err(error) = vault.store.save_hot(crate::cache::now()).await {
        ::log::warn!("what is in memory is not listed for the next start: {error}");
    }
}
