//! Files that the site's rules are made of: read again when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::aside::Aside;
use crate::site::Site;
use crate::watch::Refreshed;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// When the files of the current site are looked at.
pub(super) struct Files {
    look: Interval,
    aside: Aside,
}

impl Files {
    pub(super) fn new() -> Self {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Files { look, aside: Aside::default() }
    }

    /// Waits until they are to be looked at.
    pub(super) async fn due(&mut self) {
        self.look.tick().await;
    }

    /// Reads those again that changed, and says what became of them.
    pub(super) fn refresh(&mut self, site: Arc<Site>) {
        if !site.files.is_empty() {
            self.aside
                .begin(move || site.files.iter().filter_map(|file| file.refresh()).for_each(tell));
        }
    }
}

fn tell(refreshed: Refreshed) {
    match refreshed {
        Refreshed::Replaced(file) => ::log::info!("file replaced: {file}"),
        Refreshed::Emptied(file) => {
            ::log::warn!("file replaced: {file}; there is nothing in it any more");
        }
        Refreshed::Kept(reasons) => {
            for reason in reasons {
                ::log::error!("file not replaced, the old one stays: {reason}");
            }
        }
    }
}
