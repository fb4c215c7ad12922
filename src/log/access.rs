//! The access log: one line a request.

use std::time::Duration;

use prometheus::IntCounter;
use rustix::fs::Uid;

use super::record::Record;
use super::sink::{self, Sink};
use super::writer::{self, Drain, Finished, Writer};
use super::{Access, Format, combined, json};
use crate::fault::Faults;

/// Room for a common line; a longer one grows.
const LINE: usize = 1024;

/// Takes records; dropped, it has what waits written.
#[derive(Debug)]
pub(super) struct AccessLog {
    format: Format,
    /// `None` if there is no access log.
    writer: Option<Writer>,
}

impl AccessLog {
    /// Says whether lines could go where `config` says, and changes nothing.
    ///
    /// For the test of a configuration, which must not make files.
    pub(super) fn check(config: &Access) -> Result<(), Faults> {
        sink::check(&config.to).map_err(|found| found.under("to"))
    }

    /// Opens the log. The [`Drain`], if any, needs a thread to run on.
    ///
    /// A file is for `owner`, whom root may be about to become. Lines that are
    /// lost count as `dropped`.
    pub(super) fn open(
        config: &Access,
        owner: Uid,
        dropped: IntCounter,
    ) -> Result<(Self, Option<Drain>), Faults> {
        let Some(sink) = Sink::open(&config.to, owner).map_err(|found| found.under("to"))? else {
            return Ok((AccessLog { format: config.format, writer: None }, None));
        };
        let (writer, drain) = Writer::new(sink, dropped, writer::ACCESS_LOG);
        Ok((AccessLog { format: config.format, writer: Some(writer) }, Some(drain)))
    }

    /// Notes a request. Does not wait and makes no system call.
    pub(super) fn write(&self, record: &Record<'_>) {
        let Some(writer) = &self.writer else { return };
        // A buffer a line, as the workers would wait for each other if they wrote into theirs.
        let mut line = Vec::with_capacity(LINE);
        match self.format {
            Format::Json => json::write(&mut line, record),
            Format::Combined => combined::write(&mut line, record),
        }
        writer.append(&line);
    }

    /// Goes on in a new file after a rotation by rename.
    pub(super) fn reopen(&self) {
        if let Some(writer) = &self.writer {
            writer.reopen();
        }
    }

    /// Waits until every line is written, no longer than `patience`. Blocks.
    pub(super) fn finish(&self, patience: Duration) -> Finished {
        self.writer.as_ref().map_or(Finished::Whole, |writer| writer.finish(patience))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::process::geteuid;

    use super::*;
    use crate::fault::KeyPath;
    use crate::log::To;
    use crate::log::record::tests::plain;

    fn config(to: To, format: Format) -> Access {
        Access { to, format }
    }

    fn dropped() -> IntCounter {
        IntCounter::new("dropped", "lines").expect("a good name")
    }

    fn check(format: Format, starts_with: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let (log, drain) =
            AccessLog::open(&config(To::Path(path.clone()), format), geteuid(), dropped())
                .expect("a place");
        log.write(&plain());
        log.write(&plain());
        drop(log);
        drain.expect("something to write to").run();
        let lines = fs::read_to_string(&path).expect("a log");
        assert_eq!(lines.lines().count(), 2);
        assert!(lines.lines().all(|line| line.starts_with(starts_with)), "{lines}");
    }

    #[test]
    fn writes_the_format_asked_for() {
        check(Format::Json, "{\"time\":\"2000-10-10T");
        check(Format::Combined, "203.0.113.9 - - [10/Oct/2000:");
    }

    #[test]
    fn off_needs_no_thread() {
        let (log, drain) = AccessLog::open(&config(To::Off, Format::Json), geteuid(), dropped())
            .expect("nothing to fail");
        assert!(drain.is_none());
        log.write(&plain());
        log.reopen();
        assert_eq!(log.finish(Duration::ZERO), Finished::Whole);
    }

    #[test]
    fn streams_open() {
        for to in [To::Stdout, To::Stderr] {
            let (_log, drain) =
                AccessLog::open(&config(to, Format::Json), geteuid(), dropped()).expect("a stream");
            assert!(drain.is_some());
        }
    }

    #[test]
    fn places_that_cannot_be_are_faults() {
        let folder = tempfile::tempdir().expect("a folder");
        let at: KeyPath = ["to"].into_iter().collect();
        for bad in [folder.path().to_owned(), folder.path().join("none/access.log")] {
            let config = config(To::Path(bad), Format::Json);
            for result in [
                AccessLog::check(&config),
                AccessLog::open(&config, geteuid(), dropped()).map(|_| ()),
            ] {
                let faults = result.expect_err("no place for a log");
                assert!(faults.iter().all(|fault| fault.at == at), "{faults:?}");
            }
        }
    }

    #[test]
    fn checking_makes_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        AccessLog::check(&config(To::Path(path.clone()), Format::Json)).expect("a good place");
        AccessLog::check(&config(To::Path("access.log".into()), Format::Json)).expect("here");
        assert!(!path.exists());
    }
}
