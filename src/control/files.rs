//! Files that the site's rules are made of: read again when they change.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::site::Site;
use crate::watch::Refreshed;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// When the files of the current site are looked at.
pub(super) struct Files {
    look: Interval,
}

impl Files {
    pub(super) fn new() -> Self {
        let mut look = interval_at(Instant::now() + LOOK, LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Files { look }
    }

    /// Waits until they are to be looked at.
    pub(super) async fn due(&mut self) {
        self.look.tick().await;
    }

    /// Reads those again that changed, and says what became of them.
    pub(super) async fn refresh(&self, site: Arc<Site>) {
        if site.files.is_empty() {
            return;
        }
        let look = move || site.files.iter().filter_map(|file| file.refresh()).collect::<Vec<_>>();
        let refreshed = tokio::task::spawn_blocking(look).await.unwrap_or_else(|error| {
            ::log::error!("the files of rules were not looked at: {error}");
            Vec::new()
        });
        for refreshed in refreshed {
            match refreshed {
                Refreshed::Replaced(name) => ::log::info!("file replaced: {name}"),
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
    }
}
