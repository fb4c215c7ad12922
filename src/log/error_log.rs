//! The error log: what the process has to say about itself.
//!
//! Goes to standard error, or to the file of `server.error_log`. Pingora and
//! the libraries below it report what any client can cause (a broken head, a
//! connection that ends early) as errors; the access log and the metrics have
//! those already. Their messages count as debug here, except those of
//! pingora's server itself (start, upgrade, shutdown).

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::log::{LevelFilter, Log, Metadata};
use anyhow::Context as _;
use env_logger::fmt::Formatter;
use env_logger::{Builder, Logger, Target};

use super::Level;
use super::sink::append_to;

/// Crates that speak of single connections and requests.
const CHATTY: [&str; 5] = ["pingora", "h2", "hyper", "rustls", "tokio_rustls"];
/// What of those an operator needs to hear.
const HEARD: &str = "pingora_core::server";

/// Starts the error log; call once, before anything else speaks.
pub(crate) fn init(level: Level, path: Option<&Path>) -> anyhow::Result<ErrorLog> {
    let (error_log, target) = ErrorLog::open(path)?;
    ::log::set_boxed_logger(Box::new(Voice(logger(target)))).context("logging has started")?;
    error_log.set_level(level);
    Ok(error_log)
}

/// The running error log.
#[derive(Debug)]
pub(crate) struct ErrorLog {
    /// `None` for standard error.
    place: Option<(PathBuf, Arc<Mutex<File>>)>,
}

impl ErrorLog {
    /// Shows more or less from now on.
    pub(crate) fn set_level(&self, level: Level) {
        ::log::set_max_level(level.into());
    }

    fn open(path: Option<&Path>) -> anyhow::Result<(Self, Target)> {
        let Some(path) = path else { return Ok((ErrorLog { place: None }, Target::Stderr)) };
        let file = append_to(path)
            .with_context(|| format!("cannot open the error log {}", path.display()))?;
        let file = Arc::new(Mutex::new(file));
        let target = Target::Pipe(Box::new(Rotated(Arc::clone(&file))));
        Ok((ErrorLog { place: Some((path.to_owned(), file)) }, target))
    }

    /// Goes on in a new file after a rotation; the old one stays if that fails.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let Some((path, file)) = &self.place else { return Ok(()) };
        let new = append_to(path)?;
        *file.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

/// The logger behind `::log`: env_logger's, less what is not for operators.
struct Voice(Logger);

impl Log for Voice {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        weight(metadata) <= ::log::max_level()
    }

    fn log(&self, record: &::log::Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.log(record);
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// The level from which on a message is shown.
fn weight(metadata: &Metadata<'_>) -> LevelFilter {
    let (target, level) = (metadata.target(), metadata.level().to_level_filter());
    let is_chatty = CHATTY.iter().any(|chatty| {
        target
            .strip_prefix(chatty)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '_']))
    });
    if !is_chatty || target.starts_with(HEARD) {
        return level;
    }
    if level <= LevelFilter::Warn { LevelFilter::Debug } else { LevelFilter::Trace }
}

fn logger(target: Target) -> Logger {
    // Every level passes here: `::log::max_level` decides, as it can be changed later.
    Builder::new().filter_level(LevelFilter::Trace).target(target).format(line).build()
}

/// One message, one line, whatever is in it.
fn line(out: &mut Formatter, record: &::log::Record<'_>) -> io::Result<()> {
    let (time, level) = (out.timestamp_millis(), record.level());
    let style = out.default_level_style(level);
    let message = OneLine(record.args());
    writeln!(out, "{time} {style}{level:<5}{style:#} {}: {message}", record.target())
}

/// Text with its control characters escaped: messages quote what clients sent.
struct OneLine<'a>(&'a fmt::Arguments<'a>);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaping(f), "{}", self.0)
    }
}

struct Escaping<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            match piece.chars().next_back() {
                Some(last) if last.is_control() => {
                    self.0.write_str(piece.strip_suffix(last).unwrap_or_default())?;
                    write!(self.0, "{}", last.escape_default())?;
                }
                _ => self.0.write_str(piece)?,
            }
        }
        Ok(())
    }
}

/// A file that [`ErrorLog::reopen`] replaces under the logger.
struct Rotated(Arc<Mutex<File>>);

impl Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // The file has no buffer.
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, level: ::log::Level, expected: LevelFilter) {
        let metadata = Metadata::builder().target(target).level(level).build();
        assert_eq!(weight(&metadata), expected, "{target} {level}");
    }

    #[test]
    fn what_a_client_can_cause_is_for_debugging() {
        use ::log::Level::{Error, Info, Trace, Warn};
        check("tidegate::listen", Error, LevelFilter::Error);
        check("tidegate::control", Info, LevelFilter::Info);
        check("pingora_core::server", Error, LevelFilter::Error);
        check("pingora_core::server::transfer_fd", Warn, LevelFilter::Warn);
        check("pingora_core::apps::http_app", Error, LevelFilter::Debug);
        check("pingora_proxy", Error, LevelFilter::Debug);
        check("pingora_proxy::proxy_h1", Warn, LevelFilter::Debug);
        check("pingora_core::connectors", Info, LevelFilter::Trace);
        check("h2::codec", Warn, LevelFilter::Debug);
        check("h2o", Warn, LevelFilter::Warn);
        check("rustls", Trace, LevelFilter::Trace);
    }

    #[test]
    fn a_message_is_one_line() {
        let text = OneLine(&format_args!("a\n{} \u{9b}é\t", "\x1b[2J")).to_string();
        assert_eq!(text, "a\\n\\u{1b}[2J \\u{9b}é\\t");
    }

    fn speak(logger: &Logger, text: &str) {
        let arguments = format_args!("{text}");
        let mut record = ::log::Record::builder();
        record.target("tidegate").level(::log::Level::Warn);
        logger.log(&record.args(arguments).build());
    }

    #[test]
    fn a_file_is_reopened_after_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, rotated) = (folder.path().join("error.log"), folder.path().join("1"));
        let (error_log, target) = ErrorLog::open(Some(&path)).expect("a file");
        let logger = logger(target);
        speak(&logger, "one");
        std::fs::rename(&path, &rotated).expect("a rotation");
        speak(&logger, "two\nthree");
        error_log.reopen().expect("a file");
        speak(&logger, "four");
        let check = |path, expected: &[&str]| {
            let text = std::fs::read_to_string(path).expect("a log");
            let lines: Vec<&str> =
                text.lines().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
            assert_eq!(lines, expected, "{text}");
        };
        check(rotated, &["WARN  tidegate: one", "WARN  tidegate: two\\nthree"]);
        check(path, &["WARN  tidegate: four"]);
    }

    #[test]
    fn a_file_that_cannot_be_is_named() {
        let error = ErrorLog::open(Some(Path::new("/nowhere/error.log"))).expect_err("no file");
        assert!(error.to_string().contains("/nowhere/error.log"));
    }
}
