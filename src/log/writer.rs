//! The one bounded way from the workers to a log.
//!
//! Workers append whole lines to a buffer in memory; a thread of its own takes
//! the buffer to the file a few times a second. A request thus costs no system
//! call and never waits for a disk: when the buffer is full, lines are dropped
//! and counted. The access log and the error log have one each.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::IntCounter;

use super::sink::{Reopened, Sink};

/// What a log's lines wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// For warnings.
    name: &'static str,
    /// Bytes that may wait; further lines are dropped. As much again may be
    /// on its way.
    limit: usize,
    /// With so many bytes waiting, the thread does not sleep on.
    wake_at: usize,
}

pub(super) const ACCESS_LOG: Kind = Kind { name: "access log", limit: 8 << 20, wake_at: 256 << 10 };
/// Its lines per second are bounded, and so is what waits.
pub(super) const SECURITY_LOG: Kind =
    Kind { name: "security log", limit: 1 << 20, wake_at: 64 << 10 };
/// Rare lines, and the last ones before a crash matter most: they do not wait.
pub(super) const ERROR_LOG: Kind = Kind { name: "error log", limit: 1 << 20, wake_at: 1 };

/// A buffer is not kept larger than this.
const KEPT: usize = 512 << 10;
/// How long a line waits at most.
const PERIOD: Duration = Duration::from_millis(100);
/// After a failed write, the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// The shortest time between two warnings.
const QUIET: Duration = Duration::from_secs(60);

/// The workers' end. Dropping it has the [`Drain`] write what waits, and end.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

/// The thread's end: whoever made it gives it a thread to [`Drain::run`] on.
#[derive(Debug)]
pub(crate) struct Drain {
    shared: Arc<Shared>,
    sink: Sink,
    /// Lines on their way; those before `written` have arrived.
    pending: Vec<u8>,
    written: usize,
    /// From when on the path is to be opened again, if it is.
    reopen_at: Option<Instant>,
    /// That it could not be opened was said.
    told: bool,
    /// Set while writing fails.
    retry_at: Option<Instant>,
    warned_at: Option<Instant>,
    /// How many dropped lines the last warning knew of.
    warned_of: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    ended: Condvar,
    dropped: IntCounter,
    kind: Kind,
}

#[derive(Debug, Default)]
struct State {
    /// Invariant: whole lines.
    lines: Vec<u8>,
    /// Set until the other end knows: how many of the bytes came before.
    reopen: Option<usize>,
    stop: bool,
    /// The last lines have been taken: nothing that is appended would be written.
    closed: bool,
    ended: bool,
    /// Where the other end, which is gone, would go on.
    left: Option<Sink>,
}

impl Writer {
    /// Both ends of the way to `sink`; lines that are lost count as `dropped`.
    pub(super) fn new(sink: Sink, dropped: IntCounter, kind: Kind) -> (Self, Drain) {
        let warned_of = dropped.get();
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            dropped,
            kind,
        });
        let drain = Drain {
            shared: Arc::clone(&shared),
            sink,
            pending: Vec::new(),
            written: 0,
            reopen_at: None,
            told: false,
            retry_at: None,
            warned_at: None,
            warned_of,
        };
        (Writer { shared }, drain)
    }

    /// Appends a whole line, unless there is no room for it.
    pub(super) fn append(&self, line: &[u8]) {
        let mut state = self.shared.lock();
        let Kind { limit, wake_at, .. } = self.shared.kind;
        let start = state.lines.len();
        let end = start + line.len();
        if state.closed || end > limit {
            self.shared.dropped.inc();
            return;
        }
        state.lines.extend_from_slice(line);
        if start < wake_at && end >= wake_at {
            self.shared.wake.notify_one();
        }
    }

    /// Has the path opened again: what is appended from now on goes to the new file.
    pub(super) fn reopen(&self) {
        let mut state = self.shared.lock();
        let before = state.lines.len();
        state.reopen.get_or_insert(before);
        drop(state);
        self.shared.wake.notify_one();
    }

    /// Has what waits written, and the [`Drain`] end. Waits for that, though no
    /// longer than `patience`: whoever reads a pipe may have stopped. Blocks.
    pub(super) fn finish(&self, patience: Duration) -> Finished {
        self.stop();
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .ended
            .wait_timeout_while(state, patience, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        if state.ended { Finished::Whole } else { Finished::Late }
    }

    /// Where the [`Drain`] was when it ended: another file after a rotation.
    pub(super) fn left(&self) -> Option<Sink> {
        self.shared.lock().left.take()
    }

    fn stop(&self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Whether a log's last lines were handled in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Finished {
    Whole,
    Late,
}

impl Drain {
    /// The name of its log, as in warnings.
    pub(crate) fn name(&self) -> &'static str {
        self.shared.kind.name
    }

    /// Takes lines to their place until the other end is dropped or finished.
    ///
    /// Blocks: belongs on a thread of its own.
    pub(crate) fn run(mut self) {
        loop {
            self.wait();
            if let Course::End = self.turn(Instant::now()) {
                return;
            }
        }
    }

    fn wait(&self) {
        let stalled = !self.pending.is_empty();
        let wake_at = self.shared.kind.wake_at;
        let idle = |state: &mut State| {
            !state.stop && state.reopen.is_none() && (stalled || state.lines.len() < wake_at)
        };
        // Whatever ended the wait, a turn is due; a poisoned lock is no reason to stop.
        drop(self.shared.wake.wait_timeout_while(self.shared.lock(), PERIOD, idle));
    }

    fn turn(&mut self, now: Instant) -> Course {
        let course = self.take(now);
        let due = self.retry_at.is_none_or(|at| at <= now);
        let mut failure = None;
        if due || course == Course::End {
            failure = self.flush(now).err();
            self.retry_at = failure.as_ref().map(|_| now + RETRY);
        }
        if course == Course::End {
            let lost = memchr::memchr_iter(b'\n', self.rest()).count();
            self.shared.dropped.inc_by(lost as u64);
        }
        if let Some(warning) = self.warning(failure.as_ref(), now) {
            ::log::warn!("{}: {warning}", self.shared.kind.name);
        }
        course
    }

    /// Takes over the lines that wait, unless earlier ones are still to be written.
    fn take(&mut self, now: Instant) -> Course {
        let mut state = self.shared.lock();
        let reopen = state.reopen.take();
        if reopen.is_some() {
            (self.reopen_at, self.retry_at, self.told) = (Some(now), None, false);
        }
        if self.pending.is_empty() {
            // What came after the word to reopen waits for the new file.
            let later = reopen.filter(|_| !state.stop).map(|at| state.lines.split_off(at));
            std::mem::swap(&mut self.pending, &mut state.lines);
            if let Some(later) = later {
                state.lines = later;
            }
        } else if state.stop {
            self.pending.append(&mut state.lines);
        }
        if !state.stop {
            return Course::GoOn;
        }
        state.closed = true;
        Course::End
    }

    /// Writes what is pending; opens the path again if told to, or if that helps.
    fn flush(&mut self, now: Instant) -> io::Result<()> {
        let written = self.write_pending();
        if written.is_ok() && self.reopen_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        match self.sink.reopen() {
            Ok(Reopened::OtherFile) => self.skip_torn_line(),
            Ok(Reopened::SameFile) => {}
            Err(error) => {
                self.reopen_at = self.reopen_at.map(|_| now + RETRY);
                return written.map(|()| self.stay(&error)).map_err(|_| error);
            }
        }
        self.reopen_at = None;
        self.write_pending()
    }

    /// Lines go on to the old file, which takes them; says so once a rotation.
    fn stay(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        let name = self.shared.kind.name;
        let place = self.sink.place().unwrap_or_else(|| Path::new("")).display();
        ::log::warn!("the {name} goes on in its old file: cannot open {place}: {error}");
    }

    fn write_pending(&mut self) -> io::Result<()> {
        while let Some(rest) = self.pending.get(self.written..).filter(|rest| !rest.is_empty()) {
            match self.sink.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        self.pending.shrink_to(KEPT);
        self.written = 0;
        Ok(())
    }

    /// A line whose start is in another file is lost: no file begins within a line.
    fn skip_torn_line(&mut self) {
        let is_torn =
            self.written > 0 && self.pending.get(self.written - 1).is_some_and(|b| *b != b'\n');
        if is_torn && let Some(end) = memchr::memchr(b'\n', self.rest()) {
            self.written += end + 1;
            self.shared.dropped.inc();
        }
    }

    fn rest(&self) -> &[u8] {
        self.pending.get(self.written..).unwrap_or_default()
    }

    /// What the operator should know, at most once in [`QUIET`].
    fn warning(&mut self, failure: Option<&io::Error>, now: Instant) -> Option<String> {
        let dropped = self.shared.dropped.get();
        if failure.is_none() && dropped == self.warned_of {
            return None;
        }
        if self.warned_at.is_some_and(|at| now.duration_since(at) < QUIET) {
            return None;
        }
        let lost = dropped.saturating_sub(self.warned_of);
        self.warned_at = Some(now);
        self.warned_of = dropped;
        Some(match failure {
            Some(error) => format!("{error}; {lost} lines dropped since the last warning"),
            None => format!("{lost} lines dropped since the last warning"),
        })
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        let left = self.sink.try_clone().ok();
        let mut state = self.shared.lock();
        state.left = left;
        state.closed = true;
        state.ended = true;
        self.shared.ended.notify_all();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    GoOn,
    End,
}

impl Shared {
    /// The state, also after a panic elsewhere: a log goes on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::thread;

    use rustix::process::geteuid;

    use super::*;

    fn log(path: &Path, limit: usize) -> (Writer, Drain, IntCounter) {
        let dropped = IntCounter::new("dropped", "lines").expect("a good name");
        let sink = Sink::path(path, geteuid()).expect("a place");
        let (writer, drain) = Writer::new(sink, dropped.clone(), Kind { limit, ..ACCESS_LOG });
        (writer, drain, dropped)
    }

    fn say(writer: &Writer, text: &str) {
        writer.append(format!("{text}\n").as_bytes());
    }

    fn check(path: &Path, expected: &str) {
        assert_eq!(fs::read_to_string(path).expect("a log"), expected);
    }

    #[test]
    fn lines_arrive_after_a_turn() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        fs::write(&path, "before\n").expect("a file");
        let (writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
        say(&writer, "one");
        say(&writer, "two");
        check(&path, "before\n");
        assert_eq!(drain.turn(Instant::now()), Course::GoOn);
        check(&path, "before\none\ntwo\n");
        say(&writer, "three");
        drain.turn(Instant::now());
        check(&path, "before\none\ntwo\nthree\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn a_new_file_is_its_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let _log = log(&path, ACCESS_LOG.limit);
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn beyond_the_limit_whole_lines_are_dropped_and_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let (writer, mut drain, dropped) = log(&path, 10);
        for text in ["1234", "5678", "9", "", "a"] {
            say(&writer, text);
        }
        assert_eq!(dropped.get(), 3);
        drain.turn(Instant::now());
        check(&path, "1234\n5678\n");
        say(&writer, "again");
        drain.turn(Instant::now());
        check(&path, "1234\n5678\nagain\n");
    }

    #[test]
    fn rotation_by_rename_loses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, rotated) = (folder.path().join("access.log"), folder.path().join("1"));
        let (writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
        say(&writer, "one");
        drain.turn(Instant::now());
        fs::rename(&path, &rotated).expect("a rotation");
        say(&writer, "two");
        writer.reopen();
        say(&writer, "three");
        writer.reopen();
        drain.turn(Instant::now());
        say(&writer, "four");
        drain.turn(Instant::now());
        check(&rotated, "one\ntwo\n");
        check(&path, "three\nfour\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn a_rotation_that_fails_stays_with_the_old_file_and_is_tried_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (logs, moved) = (folder.path().join("logs"), folder.path().join("moved"));
        fs::create_dir(&logs).expect("a folder");
        let path = logs.join("access.log");
        let (writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
        fs::rename(&logs, &moved).expect("a move");
        let start = Instant::now();
        writer.reopen();
        say(&writer, "one");
        drain.turn(start);
        say(&writer, "two");
        drain.turn(start + RETRY / 2);
        check(&moved.join("access.log"), "one\ntwo\n");
        drain.turn(start + RETRY);
        fs::create_dir(&logs).expect("a folder");
        drain.turn(start + RETRY + RETRY / 2);
        assert!(!path.exists(), "not tried before it is time");
        drain.turn(start + 2 * RETRY);
        say(&writer, "three");
        drain.turn(start + 2 * RETRY);
        check(&path, "three\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn a_full_disk_drops_and_counts_and_recovers() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, good) = (folder.path().join("access.log"), folder.path().join("good"));
        symlink("/dev/full", &path).expect("a link");
        let (writer, mut drain, dropped) = log(&path, 10);
        let start = Instant::now();
        say(&writer, "1234");
        drain.turn(start);
        assert!(drain.retry_at.is_some(), "the write failed");
        for text in ["5678", "9abc", "lost", "lost"] {
            say(&writer, text);
        }
        drain.turn(start);
        assert_eq!(dropped.get(), 2);
        fs::remove_file(&path).expect("the link");
        symlink(&good, &path).expect("a link");
        drain.turn(start + RETRY / 2);
        assert!(!good.exists(), "not tried before it is time");
        drain.turn(start + RETRY);
        drain.turn(start + RETRY);
        check(&good, "1234\n5678\n9abc\n");
        say(&writer, "later");
        drain.turn(start + RETRY);
        check(&good, "1234\n5678\n9abc\nlater\n");
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn a_reopen_does_not_wait_for_the_retry() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, good) = (folder.path().join("access.log"), folder.path().join("good"));
        symlink("/dev/full", &path).expect("a link");
        let (writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
        let start = Instant::now();
        say(&writer, "one");
        drain.turn(start);
        fs::remove_file(&path).expect("the link");
        symlink(&good, &path).expect("a link");
        writer.reopen();
        drain.turn(start);
        check(&good, "one\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn a_torn_line_is_completed_in_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        fs::write(&path, "one\nt").expect("a file");
        let (_writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
        drain.pending = b"one\ntwo\nthree\n".to_vec();
        drain.written = 5;
        let now = Instant::now();
        drain.reopen_at = Some(now);
        drain.turn(now);
        check(&path, "one\ntwo\nthree\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn no_file_begins_within_a_line() {
        let folder = tempfile::tempdir().expect("a folder");
        for (written, expected, lost) in
            [(0, "one\ntwo\nthree\n", 0), (4, "two\nthree\n", 0), (5, "three\n", 1)]
        {
            let (path, good) = (folder.path().join("access.log"), folder.path().join("good"));
            symlink("/dev/full", &path).expect("a link");
            let (_writer, mut drain, dropped) = log(&path, ACCESS_LOG.limit);
            drain.pending = b"one\ntwo\nthree\n".to_vec();
            drain.written = written;
            fs::remove_file(&path).expect("the link");
            symlink(&good, &path).expect("a link");
            drain.turn(Instant::now());
            check(&good, expected);
            assert_eq!(dropped.get(), lost);
            fs::remove_file(&path).expect("the link");
            fs::remove_file(&good).expect("the log");
        }
    }

    #[test]
    fn the_last_lines_are_written_when_the_writer_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let (writer, drain, dropped) = log(&path, ACCESS_LOG.limit);
        thread::scope(|scope| {
            let end = scope.spawn(|| drain.run());
            say(&writer, "one");
            drop(writer);
            end.join().expect("no panic");
        });
        check(&path, "one\n");
        assert_eq!(dropped.get(), 0);
    }

    #[test]
    fn what_comes_after_the_end_is_counted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let (writer, drain, dropped) = log(&path, ACCESS_LOG.limit);
        thread::scope(|scope| {
            scope.spawn(|| drain.run());
            say(&writer, "one");
            assert_eq!(writer.finish(Duration::from_secs(60)), Finished::Whole);
        });
        say(&writer, "two");
        check(&path, "one\n");
        assert_eq!(dropped.get(), 1);
    }

    #[test]
    fn what_a_full_disk_keeps_at_the_end_is_counted() {
        let (writer, drain, dropped) = log(Path::new("/dev/full"), ACCESS_LOG.limit);
        say(&writer, "one");
        say(&writer, "two");
        drop(writer);
        drain.run();
        assert_eq!(dropped.get(), 2);
    }

    #[test]
    fn finish_does_not_wait_for_a_stuck_reader() {
        let folder = tempfile::tempdir().expect("a folder");
        let (writer, _drain, _) = log(&folder.path().join("access.log"), ACCESS_LOG.limit);
        assert_eq!(writer.finish(Duration::ZERO), Finished::Late);
    }

    #[test]
    fn warns_once_a_minute() {
        let (writer, mut drain, dropped) = log(Path::new("/dev/full"), ACCESS_LOG.limit);
        let start = Instant::now();
        let error = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(drain.warning(None, start), None);
        dropped.inc_by(3);
        let warning = drain.warning(Some(&error), start).expect("news");
        assert_eq!(warning, "no storage space; 3 lines dropped since the last warning");
        dropped.inc();
        assert_eq!(drain.warning(Some(&error), start + QUIET / 2), None);
        assert!(drain.warning(None, start + QUIET).is_some());
        assert_eq!(drain.warning(None, start + 2 * QUIET), None);
        drop(writer);
    }

    #[test]
    fn lines_of_many_threads_are_all_there_and_whole() {
        const THREADS: usize = 8;
        const LINES: usize = 10_000;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("access.log");
        let (writer, drain, dropped) = log(&path, ACCESS_LOG.limit);
        thread::scope(|scope| {
            scope.spawn(|| drain.run());
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let writer = &writer;
                    scope.spawn(move || {
                        for line in 0..LINES {
                            say(writer, &format!("{thread} {line}"));
                        }
                    })
                })
                .collect();
            for worker in workers {
                worker.join().expect("no panic");
            }
            assert_eq!(writer.finish(Duration::from_secs(60)), Finished::Whole);
        });
        let mut next = [0; THREADS];
        for line in fs::read_to_string(&path).expect("a log").lines() {
            let (thread, number) = line.split_once(' ').expect("a whole line");
            let thread: usize = thread.parse().expect("a thread");
            assert_eq!(number, next[thread].to_string(), "in order");
            next[thread] += 1;
        }
        assert_eq!(next, [LINES; THREADS]);
        assert_eq!(dropped.get(), 0);
    }
}
