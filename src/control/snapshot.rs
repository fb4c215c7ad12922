//! What a process tells the one that replaces it, beside its sockets.
//!
//! What is known of servers, who is down and who is out, and of clients: who is
//! banned. What a process does not understand it leaves, and begins without.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tidegate_sockets::Snapshot;

use crate::balance::Known;
use crate::limit::{self, Ledger};
use crate::site::Site;

/// The format of what is told. A new one gets a new number.
const VERSION: u32 = 1;
/// The most that is told: as many bans as there may be and some 40,000 servers.
const MOST: usize = 16 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Told {
    upstreams: BTreeMap<String, Vec<Known>>,
    // None from a process that knew of no bans.
    #[serde(default)]
    bans: Vec<limit::Told>,
}

/// What to tell the next process; `None` if there is nothing to tell.
pub(super) fn take(site: &Site, ledger: &Ledger) -> Option<Snapshot> {
    let known = site.upstreams.iter().map(|(name, upstream)| (name, upstream.pool.known()));
    let known = known.filter(|(_, known)| !known.is_empty());
    let upstreams = known.map(|(name, known)| (name.to_string(), known)).collect();
    let told = Told { upstreams, bans: ledger.bans() };
    if told.upstreams.is_empty() && told.bans.is_empty() {
        return None;
    }
    match serde_json::to_vec(&told) {
        Ok(bytes) if bytes.len() <= MOST => Some(Snapshot { version: VERSION, bytes }),
        Ok(bytes) => {
            ::log::warn!(
                "what is known of servers and clients is not handed over: {} bytes",
                bytes.len()
            );
            None
        }
        Err(error) => {
            ::log::warn!("what is known of servers and clients is not handed over: {error}");
            None
        }
    }
}

/// Has a site that does not serve yet know what the process before knew.
pub(crate) fn learn(site: &Site, ledger: &Ledger, snapshot: Option<&Snapshot>) {
    let Some(snapshot) = snapshot else { return };
    match read(snapshot) {
        Ok(told) => {
            for (name, known) in &told.upstreams {
                if let Some(upstream) = site.upstreams.get(name.as_str()) {
                    upstream.pool.learn(known);
                }
            }
            ledger.learn(&told.bans);
        }
        Err(error) => {
            ::log::warn!("what is known of servers and clients is not taken over: {error:#}")
        }
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
    use std::time::Duration;

    use super::*;
    use crate::config::Written;
    use crate::log::Metrics;
    use crate::networks::Network;

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
        let none = Ledger::default();
        assert_eq!(take(&old, &none), None);
        let bytes = told("{\"Err\":\"refused\"}");
        learn(&old, &none, Some(&Snapshot { version: VERSION, bytes }));
        assert!(is_down(&old));
        learn(&new, &none, take(&old, &none).as_ref());
        assert!(is_down(&new));
    }

    #[test]
    fn tells_the_next_process_who_is_banned() {
        let (old, new, site) = (Ledger::default(), Ledger::default(), site("{ tcp: {} }"));
        for n in 0..10_000_u32 {
            let address = std::net::IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            let period = Duration::from_secs(3600);
            old.ban(Network::new(address, 32), period).expect("room for it");
        }
        learn(&site, &new, take(&site, &old).as_ref());
        assert_eq!(new.bans().len(), 10_000);
        let bytes = told("{\"Ok\":null}");
        let before = Snapshot { version: VERSION, bytes };
        learn(&site, &old, Some(&before));
        assert_eq!(old.bans().len(), 10_000, "one that tells of no bans");
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
            learn(&site, &Ledger::default(), Some(&snapshot));
            assert!(!is_down(&site));
            assert!(read(&snapshot).is_err());
        }
        let site = site("{ tcp: {} }");
        learn(&site, &Ledger::default(), Some(&Snapshot { version: VERSION, bytes: good }));
        assert!(is_down(&site));
    }
}
