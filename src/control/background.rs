//! Work on behalf of the current site: for its upstreams, and for keys of tokens.

use tokio::task::JoinSet;

use crate::site::Site;

/// The tasks of one site; a new site's replace them.
#[derive(Default)]
pub(super) struct Background {
    tasks: JoinSet<()>,
}

impl Background {
    /// Looks after the servers and keys of `site`, and of no site before it.
    pub(super) fn follow(&mut self, site: &Site) {
        self.tasks = JoinSet::new();
        for upstream in site.upstreams.values() {
            if upstream.pool.needs_resolving() {
                self.tasks.spawn(upstream.pool.clone().keep_resolved());
            }
            if upstream.pool.checks_health() {
                self.tasks.spawn(upstream.pool.clone().keep_checked());
            }
        }
        for keys in site.verifiers.key_sets() {
            self.tasks.spawn(keys.clone().keep_fresh());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::config::Written;
    use crate::log::Metrics;

    fn site(app: &str) -> Site {
        let text = format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\n\
             upstreams: {{ app: {app} }}\nroutes: [{{ upstream: app }}]"
        );
        let written = Written::Text { name: "test".to_owned(), text };
        let loaded = written.load().map_err(|faults| faults.to_string()).expect("good");
        let built = loaded.build(|config| Site::build(config, &Metrics::new(), None));
        built.map_err(|faults| faults.to_string()).expect("good").1
    }

    /// Waits until `ready`; on a paused clock, for as long as any period.
    async fn await_that(mut ready: impl FnMut() -> bool) {
        let seen = async {
            while !ready() {
                sleep(Duration::from_secs(1)).await;
            }
        };
        timeout(Duration::from_secs(600), seen).await.expect("it never came");
    }

    #[tokio::test(start_paused = true)]
    async fn names_of_the_site_that_is_followed_are_looked_up() {
        let [old, new] = [9, 10].map(|port| site(&format!("{{ servers: ['localhost:{port}'] }}")));
        let has_addresses =
            |site: &Site| site.upstreams.values().any(|app| !app.pool.status().is_empty());
        let mut background = Background::default();
        background.follow(&old);
        background.follow(&new);
        assert!(!has_addresses(&new), "nobody looked so far");
        await_that(|| has_addresses(&new)).await;
        assert!(!has_addresses(&old), "it is not followed any more");
    }

    #[tokio::test]
    async fn servers_of_the_site_that_is_followed_are_checked() {
        // Port 1 of the loopback refuses, or another program is not what is expected.
        let site = site("{ servers: ['127.0.0.1:1'], health: { http: {}, interval: 1h } }");
        let mut background = Background::default();
        background.follow(&site);
        await_that(|| site.upstreams.values().any(|app| !app.pool.status()[0].healthy)).await;
    }
}
