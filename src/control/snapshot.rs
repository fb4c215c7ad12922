//! What a process tells the one that replaces it, beside its sockets.
//!
//! For now what is known of servers: who is down, and who is out. What a
//! process does not understand it leaves, and begins without.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tidegate_sockets::Snapshot;

use crate::balance::Known;
use crate::site::Site;

/// The format of what is told. A new one gets a new number.
const VERSION: u32 = 1;
/// The most that is told, some 40,000 servers; the rest is found out anew.
const MOST: usize = 8 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    upstreams: BTreeMap<String, Vec<Known>>,
}

/// What to tell the next process; `None` if there is nothing to tell.
pub(super) fn take(site: &Site) -> Option<Snapshot> {
    let known = site.upstreams.iter().map(|(name, upstream)| (name, upstream.pool.known()));
    let known = known.filter(|(_, known)| !known.is_empty());
    let told = Told { upstreams: known.map(|(name, known)| (name.to_string(), known)).collect() };
    if told.upstreams.is_empty() {
        return None;
    }
    match serde_json::to_vec(&told) {
        Ok(bytes) if bytes.len() <= MOST => Some(Snapshot { version: VERSION, bytes }),
        Ok(bytes) => {
            ::log::warn!("what is known of servers is not handed over: {} bytes", bytes.len());
            None
        }
        Err(error) => {
            ::log::warn!("what is known of servers is not handed over: {error}");
            None
        }
    }
}

/// Has a site that does not serve yet know what the process before knew.
pub(crate) fn learn(site: &Site, snapshot: Option<&Snapshot>) {
    let Some(snapshot) = snapshot else { return };
    match read(snapshot) {
        Ok(told) => {
            for (name, known) in &told.upstreams {
                if let Some(upstream) = site.upstreams.get(name.as_str()) {
                    upstream.pool.learn(known);
                }
            }
        }
        Err(error) => ::log::warn!("what is known of servers is not taken over: {error:#}"),
    }
}

fn read(snapshot: &Snapshot) -> Result<Told> {
    let Snapshot { version, bytes } = snapshot;
    ensure!(*version == VERSION, "it is of version {version}, and we read {VERSION}");
    ensure!(bytes.len() <= MOST, "it has {} bytes", bytes.len());
    serde_json::from_slice(bytes).context("it cannot be read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Written;
    use crate::log::Metrics;

    const SERVER: &str = "127.0.0.1:9";

    fn site(health: &str) -> Site {
        let text = format!(
            "listeners: [{{ address: '127.0.0.1:0' }}]\n\
             upstreams: {{ app: {{ servers: ['{SERVER}'], health: {health} }} }}\n\
             routes: [{{ upstream: app }}]"
        );
        let written = Written::Text { name: "test".to_owned(), text };
        let loaded = written.load().map_err(|faults| faults.to_string()).expect("good");
        let built = loaded.build(|config| Site::build(config, &Metrics::new(), None));
        built.map_err(|faults| faults.to_string()).expect("good").1
    }

    fn is_down(site: &Site) -> bool {
        site.upstreams.values().any(|upstream| !upstream.pool.status()[0].healthy)
    }

    fn told(checks: &str) -> Vec<u8> {
        format!(
            "{{\"upstreams\":{{\"app\":[{{\"name\":\"{SERVER}\",\"address\":\"{SERVER}\",\
             \"checks\":{checks}}}],\"gone\":[]}}}}"
        )
        .into_bytes()
    }

    #[test]
    fn tells_the_next_process() {
        let (old, new) = (site("{ tcp: {} }"), site("{ tcp: {} }"));
        assert_eq!(take(&old), None);
        let bytes = told("{\"Err\":\"refused\"}");
        learn(&old, Some(&Snapshot { version: VERSION, bytes }));
        assert!(is_down(&old));
        learn(&new, take(&old).as_ref());
        assert!(is_down(&new));
    }

    #[test]
    fn what_cannot_be_read_is_left() {
        let good = told("{\"Err\":\"refused\"}");
        let cut = good[..good.len() - 1].to_vec();
        let large = vec![b' '; MOST].into_iter().chain(good.clone()).collect();
        let bad = [
            (VERSION + 1, good.clone()),
            (VERSION, cut),
            (VERSION, large),
            (VERSION, told("7")),
            (VERSION, b"\xff\0".to_vec()),
        ];
        for (version, bytes) in bad {
            let (site, snapshot) = (site("{ tcp: {} }"), Snapshot { version, bytes });
            learn(&site, Some(&snapshot));
            assert!(!is_down(&site));
            assert!(read(&snapshot).is_err());
        }
        let site = site("{ tcp: {} }");
        learn(&site, Some(&Snapshot { version: VERSION, bytes: good }));
        assert!(is_down(&site));
    }
}
