//! The error log: what the process has to say about itself.
//!
//! Goes to standard error, or to the file of `server.error_log`. Pingora and
//! the libraries below it report what any client can cause (a broken head, a
//! connection that ends early) as errors; the access log and the metrics have
//! those already. Their messages count as debug here, except those of
//! pingora's server itself (start, upgrade, shutdown).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::log::{LevelFilter, Log, Metadata};
use anyhow::Context as _;
use env_logger::fmt::Formatter;
use env_logger::{Builder, Logger, Target, WriteStyle};
use prometheus::IntCounter;
use rustix::fs::Uid;

use super::Level;
use super::sink::Sink;
use super::writer::{self, Drain, Finished, Writer};

/// Crates that speak of single connections and requests.
const CHATTY: [&str; 5] = ["pingora", "h2", "hyper", "rustls", "tokio_rustls"];
/// What of those an operator needs to hear.
const HEARD: &str = "pingora_core::server";

/// Starts the error log; call once, before anything else speaks.
///
/// The file is for `owner`, whom root may be about to become. Lines that are
/// lost count as `dropped`. Panics are said here from now on, too.
pub(crate) fn init(
    level: Level,
    path: Option<&Path>,
    owner: Uid,
    dropped: IntCounter,
) -> anyhow::Result<ErrorLog> {
    let error_log = ErrorLog::open(path, owner, dropped)?;
    let style = style(path);
    let logger = logger(error_log.clone(), style);
    ::log::set_boxed_logger(Box::new(Voice(logger))).context("logging has started")?;
    error_log.set_level(level);
    std::panic::set_hook(Box::new(say_panic));
    Ok(error_log)
}

/// Standard error is where the log was at the start, or nowhere at all.
fn say_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("unnamed");
    // Has one line end, which separates the place from the message.
    let what = panic.to_string();
    let what = what.replacen(":\n", ": ", 1);
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        ::log::error!("the thread `{name}` {what}\n{trace}");
    } else {
        ::log::error!("the thread `{name}` {what}");
    }
}

/// The running error log.
///
/// Whoever speaks waits until the line is written, as long as nothing else
/// runs: what a process says before it forks, or fails, arrives. From
/// [`ErrorLog::detach`] to [`ErrorLog::finish`] nobody waits: a place that
/// takes no more costs lines, which are counted, and no request.
#[derive(Debug, Clone)]
pub(crate) struct ErrorLog(Arc<Outlet>);

#[derive(Debug)]
struct Outlet {
    dropped: IntCounter,
    way: Mutex<Way>,
}

#[derive(Debug)]
struct Way {
    sink: Sink,
    /// Set while lines go to the sink on a thread of their own.
    writer: Option<Arc<Writer>>,
}

impl ErrorLog {
    fn open(path: Option<&Path>, owner: Uid, dropped: IntCounter) -> anyhow::Result<Self> {
        let sink = match path {
            None => Sink::stderr().context("no standard error")?,
            Some(path) => Sink::path(path, owner)
                .with_context(|| format!("cannot open the error log {}", path.display()))?,
        };
        let way = Mutex::new(Way { sink, writer: None });
        Ok(ErrorLog(Arc::new(Outlet { dropped, way })))
    }

    /// Shows more or less from now on.
    pub(crate) fn set_level(&self, level: Level) {
        ::log::set_max_level(level.into());
    }

    /// From here on nobody who speaks waits. The [`Drain`] needs a thread to
    /// run on; without one, [`ErrorLog::finish`] has lines written at once again.
    pub(crate) fn detach(&self) -> io::Result<Drain> {
        let mut way = self.way();
        // The file is shared, not opened again: it may be out of reach by now.
        let (dropped, sink) = (self.0.dropped.clone(), way.sink.try_clone()?);
        let (writer, drain) = Writer::new(sink, dropped, writer::ERROR_LOG);
        way.writer = Some(Arc::new(writer));
        Ok(drain)
    }

    /// Goes on in a new file after a rotation; the old one stays if that fails,
    /// which the [`Drain`], if there is one, tries again and speaks of.
    pub(crate) fn reopen(&self) -> io::Result<()> {
        let way = self.way();
        if let Some(writer) = &way.writer {
            writer.reopen();
            return Ok(());
        }
        let mut sink = way.sink.try_clone()?;
        // Opening may take its time; whoever speaks meanwhile must not wait for it.
        drop(way);
        sink.reopen()?;
        self.way().sink = sink;
        Ok(())
    }

    /// The file, for what speaks past the log.
    pub(crate) fn file(&self) -> io::Result<File> {
        self.way().sink.file()
    }

    /// Waits until every line is written, no longer than `patience`. Blocks.
    ///
    /// Lines are written at once again after that; if it was too long, they
    /// are dropped: nobody is to wait for a place that takes no more.
    pub(crate) fn finish(&self, patience: Duration) -> Finished {
        // The lock is not held meanwhile: the other thread may have something to say.
        let Some(writer) = self.way().writer.clone() else { return Finished::Whole };
        let finished = writer.finish(patience);
        if finished == Finished::Whole {
            let mut way = self.way();
            // After a rotation it is another one.
            if let Some(sink) = writer.left() {
                way.sink = sink;
            }
            way.writer = None;
        }
        finished
    }

    fn take(&self, line: &[u8]) {
        let mut way = self.way();
        if let Some(writer) = &way.writer {
            writer.append(line);
        } else if way.sink.write_all(line).is_err() {
            self.0.dropped.inc();
        }
    }

    fn way(&self) -> MutexGuard<'_, Way> {
        self.0.way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What env_logger writes to: one line each time.
impl Write for ErrorLog {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.take(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // What is not written yet is none of the speaker's business.
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

fn logger(error_log: ErrorLog, style: WriteStyle) -> Logger {
    // Every level passes here: `::log::max_level` decides, as it can be changed later.
    let builder = &mut Builder::new();
    let target = Target::Pipe(Box::new(error_log));
    builder.filter_level(LevelFilter::Trace).target(target).write_style(style).format(line).build()
}

/// Colours, for who reads along; not where they are unwanted (no-color.org).
fn style(path: Option<&Path>) -> WriteStyle {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if path.is_none() && io::stderr().is_terminal() && !is_unwanted {
        WriteStyle::Always
    } else {
        WriteStyle::Never
    }
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

#[cfg(test)]
mod tests {
    use rustix::process::geteuid;

    use super::*;

    /// Reached only by a test that fails.
    const LONG: Duration = Duration::from_secs(60);

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

    fn dropped() -> IntCounter {
        IntCounter::new("dropped", "lines").expect("a good name")
    }

    fn open(path: &Path) -> (ErrorLog, Logger) {
        let error_log = ErrorLog::open(Some(path), geteuid(), dropped()).expect("a file");
        let logger = logger(error_log.clone(), WriteStyle::Never);
        (error_log, logger)
    }

    /// What was said, in its order.
    fn check_file(path: &Path, expected: &[&str]) {
        let text = std::fs::read_to_string(path).expect("a log");
        let lines: Vec<&str> =
            text.lines().filter_map(|line| Some(line.split_once("tidegate: ")?.1)).collect();
        assert_eq!(lines, expected, "{text}");
    }

    #[test]
    fn a_file_is_reopened_after_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, rotated) = (folder.path().join("error.log"), folder.path().join("1"));
        let (error_log, logger) = open(&path);
        speak(&logger, "one");
        std::fs::rename(&path, &rotated).expect("a rotation");
        speak(&logger, "two\nthree");
        error_log.reopen().expect("a file");
        speak(&logger, "four");
        check_file(&rotated, &["one", "two\\nthree"]);
        check_file(&path, &["four"]);
        let text = std::fs::read_to_string(path).expect("a log");
        assert!(text.ends_with("Z WARN  tidegate: four\n"), "{text}");
    }

    #[test]
    fn lines_before_beside_and_after_the_thread_arrive_in_order() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, rotated) = (folder.path().join("error.log"), folder.path().join("1"));
        let (error_log, logger) = open(&path);
        speak(&logger, "one");
        let drain = error_log.detach().expect("a file");
        speak(&logger, "two");
        check_file(&path, &["one"]);
        std::thread::scope(|scope| {
            scope.spawn(|| drain.run());
            assert_eq!(error_log.finish(LONG), Finished::Whole);
        });
        speak(&logger, "three");
        check_file(&path, &["one", "two", "three"]);
        std::fs::rename(&path, &rotated).expect("a rotation");
        let drain = error_log.detach().expect("a file");
        error_log.reopen().expect("a file");
        std::thread::scope(|scope| {
            scope.spawn(|| drain.run());
            error_log.finish(LONG);
        });
        speak(&logger, "four");
        check_file(&path, &["four"]);
    }

    #[test]
    fn nobody_waits_for_a_rotation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("error.log");
        let (error_log, logger) = open(&path);
        let drain = error_log.detach().expect("a file");
        std::fs::remove_file(&path).expect("it is there");
        // Opening a pipe waits for a reader.
        let (fifo, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, mode, 0).expect("a pipe");
        let (spoke, has_spoken) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            scope.spawn(|| drain.run());
            scope.spawn(|| {
                error_log.reopen().expect("the thread's business");
                speak(&logger, "one");
                spoke.send(()).expect("who waits");
            });
            let in_time = has_spoken.recv_timeout(LONG);
            let mut text = String::new();
            let mut reader = io::BufReader::new(File::open(&path).expect("a pipe"));
            io::BufRead::read_line(&mut reader, &mut text).expect("a line");
            // The threads must end before a failure is told.
            assert_eq!(error_log.finish(LONG), Finished::Whole);
            in_time.expect("nobody waits for a reader");
            assert!(text.ends_with("tidegate: one\n"), "{text}");
        });
    }

    #[test]
    fn a_panic_is_a_line_with_its_place() {
        const LOG: &str = "TIDEGATE_TEST_PANIC_LOG";
        if let Some(path) = std::env::var_os(LOG) {
            // In a process of its own: there is one logger, and one hook.
            init(Level::Error, Some(Path::new(&path)), geteuid(), dropped()).expect("a file");
            let panic = || panic!("one\ntwo");
            let named = std::thread::Builder::new().name("worker".to_owned());
            std::thread::scope(|scope| {
                let thread = named.spawn_scoped(scope, panic).expect("a thread");
                thread.join().expect_err("a panic");
            });
            return;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("error.log");
        let mut again = std::process::Command::new(std::env::current_exe().expect("a test"));
        let name = "log::error_log::tests::a_panic_is_a_line_with_its_place";
        again.args([name, "--exact", "--quiet"]).env(LOG, &path).env_remove("RUST_BACKTRACE");
        let done = again.output().expect("it runs");
        let text = std::fs::read_to_string(&path).expect("a log");
        assert!(done.status.success(), "{done:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
        let place = "the thread `worker` panicked at src/log/error_log.rs:";
        assert!(text.contains(place) && text.ends_with(": one\\ntwo\n"), "{text}");
    }

    #[test]
    fn without_its_thread_a_line_is_written_at_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("error.log");
        let (error_log, logger) = open(&path);
        drop(error_log.detach().expect("a file"));
        assert_eq!(error_log.finish(Duration::ZERO), Finished::Whole);
        speak(&logger, "no thread");
        check_file(&path, &["no thread"]);
    }

    #[test]
    fn a_place_that_takes_nothing_costs_lines_that_are_counted() {
        let (error_log, logger) = open(Path::new("/dev/full"));
        speak(&logger, "at once");
        assert_eq!(error_log.0.dropped.get(), 1);
        let _nobody_runs_it = error_log.detach().expect("a file");
        speak(&logger, "in vain");
        assert_eq!(error_log.finish(Duration::ZERO), Finished::Late);
    }

    #[test]
    fn a_file_that_cannot_be_is_named() {
        let path = Some(Path::new("/nowhere/error.log"));
        let error = ErrorLog::open(path, geteuid(), dropped()).expect_err("no file");
        assert!(error.to_string().contains("/nowhere/error.log"));
    }
}
