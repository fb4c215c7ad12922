//! The logs that records are written to.

use std::time::Duration;

use rustix::fs::Uid;

use super::Config;
use super::access::AccessLog;
use super::metrics::Metrics;
use super::record::Record;
use super::security::SecurityLog;
use super::writer::Drain;
use crate::fault::Faults;

/// Every log of requests; dropped, they have what waits written.
#[derive(Debug)]
pub(crate) struct Logs {
    access: AccessLog,
    security: SecurityLog,
}

impl Logs {
    /// Says whether lines could go where `config` says, and changes nothing.
    ///
    /// For the test of a configuration, which must not make files.
    pub(crate) fn check(config: &Config) -> Result<(), Faults> {
        let mut faults = Faults::none();
        faults.collect("access", AccessLog::check(&config.access));
        faults.collect("security", SecurityLog::check(&config.security));
        faults.into_result(|| Some(()))
    }

    /// Opens the logs. Each [`Drain`] needs a thread to run on.
    ///
    /// Files are for `owner`, whom root may be about to become.
    pub(crate) fn open(
        config: &Config,
        owner: Uid,
        metrics: &Metrics,
    ) -> Result<(Self, Vec<Drain>), Faults> {
        let lost = metrics.lines_dropped();
        let (access, first) = AccessLog::open(&config.access, owner, lost.access)
            .map_err(|found| found.under("access"))?;
        let skipped = metrics.refusals_skipped();
        let (security, second) = SecurityLog::open(&config.security, owner, lost.security, skipped)
            .map_err(|found| found.under("security"))?;
        Ok((Logs { access, security }, first.into_iter().chain(second).collect()))
    }

    /// Notes a request. Does not wait and makes no system call.
    pub(crate) fn write(&self, record: &Record<'_>) {
        self.access.write(record);
        self.security.write(record);
    }

    /// Goes on in new files after a rotation by rename.
    pub(crate) fn reopen(&self) {
        self.access.reopen();
        self.security.reopen();
    }

    /// Waits until every line is written, no longer than `patience` a log. Blocks.
    pub(crate) fn finish(&self, patience: Duration) {
        self.access.finish(patience);
        self.security.finish(patience);
    }
}
