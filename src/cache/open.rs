//! Opens the store: memory, and disks where there are some.

use anyhow::{Context, Result};
use tidegate_store::disk::{self, Disk};
use tidegate_store::{Options, Store};

use super::config::Config;
use super::storage::{Vault, now};

/// Where purges are kept beside a disk.
const PURGES: &str = "purge.log";

#[cfg(test)]
impl Vault {
    /// One of 1 MiB, for tests; it is never given back.
    pub(crate) fn small() -> &'static Vault {
        let config = Config { memory: crate::units::ByteSize::mib(1), ..Config::default() };
        Box::leak(Box::new(Vault::open(&config).expect("memory alone")))
    }
}

impl Vault {
    /// Opens it with all that is on its disks; blocks, and starts their threads.
    pub(crate) fn open(config: &Config) -> Result<Vault> {
        let options = Options::of_memory(config.memory.0);
        let longest = options.longest;
        let (mut disks, mut purges) = (Vec::new(), Vec::new());
        for (index, disk) in config.disks.iter().enumerate() {
            let at = || format!("cache.disks[{index}]: {}", disk.path.display());
            let options = disk::Options::of_capacity(disk.size.unwrap_or_default().0);
            disks.push(Disk::open(&disk.path, options, now()).with_context(at)?);
            purges.push(disk.path.join(PURGES));
        }
        let store = match disks.is_empty() {
            true => Store::in_memory(options),
            false => Store::open(options, disks, &purges, now()).context("cache.disks")?,
        };
        Ok(Vault::new(store, longest, config.memory.0))
    }
}
