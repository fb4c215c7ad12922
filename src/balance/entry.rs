//! The servers of a pool as configured, before their names are resolved.

use std::collections::HashMap;
use std::sync::Arc;

use super::address::{Address, Place};
use super::config::ServerConfig;
use super::members::MAX_SERVERS;
use crate::fault::{Faults, KeyPath};

/// One of `servers`.
#[derive(Debug)]
pub(super) struct Entry {
    /// The address as written.
    pub name: Arc<str>,
    pub address: Address,
    pub weight: u16,
    pub is_backup: bool,
}

impl Entry {
    /// Reads all of `servers`; faults are relative to the upstream.
    pub(super) fn read_all(servers: &[ServerConfig]) -> Result<Vec<Entry>, Faults> {
        let at = |index: usize| KeyPath::root().child("servers").child(index);
        let mut faults = Faults::none();
        match servers.len() {
            0 => faults.extend(Faults::at("servers", "is empty; name at least one server")),
            1..=MAX_SERVERS => {}
            _ => faults.extend(Faults::at("servers", format!("has more than {MAX_SERVERS}"))),
        }
        if !servers.is_empty() && servers.iter().all(|server| server.backup.0) {
            let what = "has only backups; at least one server must not be a backup";
            faults.extend(Faults::at("servers", what));
        }
        let mut entries = Vec::with_capacity(servers.len());
        let mut seen = HashMap::new();
        for (index, server) in servers.iter().enumerate() {
            let entry = match Entry::read(server) {
                Ok(entry) => entry,
                Err(bad) => {
                    faults.extend(bad.under(index).under("servers"));
                    continue;
                }
            };
            if let Some(first) = seen.insert(entry.destination(), index) {
                let what = format!("`{}` is already servers[{first}]", entry.name);
                faults.add(at(index).child("address"), what);
            }
            entries.push(entry);
        }
        faults.into_result(|| Some(entries))
    }

    /// The host and port whose addresses must be found.
    pub(super) fn to_resolve(&self) -> Option<(&str, u16)> {
        match self.address.place {
            Place::Named(port) => Some((&self.address.host, port)),
            Place::Fixed(_) => None,
        }
    }

    fn read(server: &ServerConfig) -> Result<Entry, Faults> {
        let mut faults = Faults::none();
        let address =
            server.address.parse().map_err(|wrong: crate::units::Unreadable| Faults::one(wrong.0));
        let address = faults.collect("address", address);
        let weight = match u16::try_from(server.weight) {
            Ok(0) => Err("is 0; leave the server out instead".to_owned()),
            Ok(weight) => Ok(weight),
            Err(_) => Err(format!("is more than {}", u16::MAX)),
        };
        let weight = faults.collect("weight", weight.map_err(Faults::one));
        faults.into_result(|| {
            Some(Entry {
                name: server.address.as_str().into(),
                address: address?,
                weight: weight?,
                is_backup: server.backup.0,
            })
        })
    }

    /// Equal for two ways to write the same address.
    pub(super) fn destination(&self) -> String {
        match &self.address.place {
            Place::Fixed(address) => address.to_string(),
            Place::Named(port) => format!("{}:{port}", self.address.host.trim_end_matches('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Switch;

    fn check(servers: &[ServerConfig], expected: &[&str]) {
        let faults = Entry::read_all(servers).err().unwrap_or_default();
        let faults: Vec<String> = faults.iter().map(|f| format!("{}: {}", f.at, f.what)).collect();
        assert_eq!(faults, expected);
    }

    fn weighing(weight: u32) -> ServerConfig {
        ServerConfig { weight, ..ServerConfig::from("10.0.0.9:80") }
    }

    #[test]
    fn reports_every_server_that_cannot_be() {
        check(&[], &["servers: is empty; name at least one server"]);
        check(
            &["10.0.0.1".into(), "10.0.0.2:0".into(), weighing(0), "10.0.0.3:80".into()],
            &[
                "servers[0].address: `10.0.0.1` has no port; write host:port, [v6]:port or unix:/path",
                "servers[1].address: `10.0.0.2:0` has port 0, which no server can have; write host:port, [v6]:port or unix:/path",
                "servers[2].weight: is 0; leave the server out instead",
            ],
        );
        check(&[weighing(65_536)], &["servers[0].weight: is more than 65535"]);
        check(&[weighing(65_535)], &[]);
    }

    #[test]
    fn reports_the_same_server_twice() {
        check(
            &["[::1]:80".into(), "a:80".into(), "[0:0::1]:80".into(), "A.:80".into()],
            &[
                "servers[2].address: `[0:0::1]:80` is already servers[0]",
                "servers[3].address: `A.:80` is already servers[1]",
            ],
        );
    }

    #[test]
    fn reports_backups_of_nothing() {
        let backup = ServerConfig { backup: Switch::ON, ..ServerConfig::from("10.0.0.1:80") };
        let what = "servers: has only backups; at least one server must not be a backup";
        check(std::slice::from_ref(&backup), &[what]);
        check(&[backup, "10.0.0.2:80".into()], &[]);
    }
}
