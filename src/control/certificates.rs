//! Certificates: read again when their files change, and warned of before they end.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::aside::Aside;
use crate::listen::Listener;

/// How often certificate files are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// How often one that is about to end is warned of.
const REMIND: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates of all listeners.
pub(super) struct Certificates {
    listeners: Vec<Arc<Listener>>,
    look: Interval,
    remind: Interval,
    aside: Aside,
}

/// What is to be done about certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Look,
    Remind,
}

impl Certificates {
    pub(super) fn new(listeners: Vec<Arc<Listener>>) -> Self {
        let after = |period| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        };
        let (look, remind) = (after(LOOK), after(REMIND));
        Certificates { listeners, look, remind, aside: Aside::default() }
    }

    /// Waits until something is due.
    pub(super) async fn due(&mut self) -> Due {
        tokio::select! {
            _ = self.look.tick() => Due::Look,
            _ = self.remind.tick() => Due::Remind,
        }
    }

    pub(super) fn tend(&mut self, due: Due) {
        match due {
            Due::Look => self.refresh(),
            Due::Remind => self.warn(),
        }
    }

    /// Says what is odd about the certificates in use.
    pub(super) fn warn(&self) {
        for warning in warnings(&self.listeners) {
            ::log::warn!("{warning}");
        }
    }

    fn refresh(&mut self) {
        let listeners = self.listeners.clone();
        self.aside.begin(move || {
            for tls in listeners.iter().filter_map(|listener| listener.tls.as_ref()) {
                let refreshed = tls.refresh();
                for name in &refreshed.replaced {
                    ::log::info!("certificate replaced: {name}");
                }
                for reason in &refreshed.failed {
                    ::log::error!("certificate not replaced, the old one stays: {reason}");
                }
                for warning in &refreshed.warnings {
                    ::log::warn!("{warning}");
                }
            }
        });
    }
}

/// What is odd about the certificates of listeners, each thing once.
pub(crate) fn warnings(listeners: &[Arc<Listener>]) -> Vec<String> {
    let now = SystemTime::now();
    let tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let mut warnings = Vec::new();
    for warning in tls.flat_map(|tls| tls.warnings(now)) {
        // Listeners may share files.
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_runs_for_long_is_reminded_every_day() {
        let start = Instant::now();
        let mut certificates = Certificates::new(Vec::new());
        let mut reminded = Vec::new();
        while reminded.len() < 3 {
            if certificates.due().await == Due::Remind {
                reminded.push(start.elapsed());
            }
        }
        assert_eq!(reminded, [REMIND, REMIND * 2, REMIND * 3]);
    }
}
