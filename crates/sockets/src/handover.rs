//! Hands listening sockets from a running process to the one that replaces it.
//!
//! The new process binds a Unix socket and waits ([`Receiver`]). The old one
//! connects, sends every socket under its name ([`offer`]), and goes on serving
//! until the new one says that it is ready. A process that dies, hangs or
//! refuses at any point leaves the other with an error, never with a gap: the
//! sockets stay open in whichever process is alive.

mod breaker;
mod door;
mod wire;

use std::collections::HashSet;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};
use rustix::process::{Uid, geteuid};

pub use breaker::Breaker;
use wire::{Deadline, Frame, Greeting, Wire};

/// Sockets that one hand-over may carry.
const MAX_SOCKETS: usize = 1024;
/// How long somebody who connected may take to say who they are.
const GREETING_PATIENCE: Duration = Duration::from_secs(5);
/// How long the old process looks for a new one that has not bound its socket yet.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long the word of the new process may take to leave.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);

/// Why a hand-over did not happen. The old process goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    #[error("{}: {what}", path.display())]
    Socket { path: PathBuf, what: String },
    #[error("{}: no new process is waiting for the sockets; start one with -u", .0.display())]
    NobodyWaits(PathBuf),
    #[error("the process at the other end runs as user {theirs}, this one as user {ours}")]
    OtherUser { ours: u32, theirs: u32 },
    #[error("the other process did not answer in time")]
    TimedOut,
    #[error("the other process ended in the middle")]
    CutOff,
    #[error("the offer was broken off")]
    BrokenOff,
    #[error("the other process sent what is no hand-over: {0}")]
    Malformed(&'static str),
    #[error("`{0}` is no listening TCP socket")]
    NotListening(String),
    #[error("a name of a socket is empty, longer than 255 bytes or given twice: `{0}`")]
    Name(String),
    #[error("there are more than {MAX_SOCKETS} sockets")]
    TooMany,
    #[error("the snapshot is larger than {} bytes", wire::MAX_SNAPSHOT)]
    SnapshotTooLarge,
    #[error("the new process could not start: {0}")]
    Failed(String),
    #[error("the hand-over broke: {0}")]
    Io(#[from] io::Error),
}

/// State of the old process, in a format of the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The format of `bytes`; a reader that does not know it ignores them.
    pub version: u32,
    /// At most 64 MiB.
    pub bytes: Vec<u8>,
}

/// The new process's end: bound, and waiting for the old one.
///
/// Dropping it removes the socket file.
#[derive(Debug)]
pub struct Receiver {
    listener: UnixListener,
    path: PathBuf,
}

impl Receiver {
    /// Binds the Unix socket at `path`, mode 0600.
    ///
    /// Its directory is created with mode 0700, or must be private and ours. For
    /// root it may be another user's: the process there may then take part.
    /// A socket file that nobody listens on is replaced.
    pub fn bind(path: &Path) -> Result<Self, HandoverError> {
        let listener = door::bind(path)
            .map_err(|what| HandoverError::Socket { path: path.to_owned(), what })?;
        Ok(Receiver { listener, path: path.to_owned() })
    }

    /// Waits for the old process and takes its sockets.
    ///
    /// Whoever else connects (another user, garbage, another version) is sent
    /// away and does not end the wait. An old process that breaks off does.
    pub fn accept(self, timeout: Duration) -> Result<Handover, HandoverError> {
        let deadline = Deadline::after(timeout);
        loop {
            let stream = door::next_connection(&self.listener, deadline)?;
            if check_user(&stream).is_err() {
                continue;
            }
            let mut wire = Wire::new(stream, deadline.within(GREETING_PATIENCE));
            match wire.read_greeting() {
                Ok(Greeting::Ours) => {}
                Ok(Greeting::OtherVersion) => {
                    // The other process learns why if it listens; it is sent away in any case.
                    drop(wire.send_failed(wire::OTHER_VERSION));
                    continue;
                }
                Err(_) => continue,
            }
            wire.set_deadline(deadline);
            return receive(wire);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // A file that is left behind is replaced by the next process that binds.
        drop(std::fs::remove_file(&self.path));
    }
}

/// What the old process handed over.
#[derive(Debug)]
pub struct Handover {
    /// Non-blocking listening sockets under their names; each name once.
    pub sockets: Vec<(String, TcpListener)>,
    pub snapshot: Option<Snapshot>,
    /// The word that the old process waits for.
    pub answer: Answer,
}

/// The word of the new process. Dropped unsaid, it means `failed`.
#[derive(Debug)]
#[must_use = "the old process waits for `ready` or `failed`"]
pub struct Answer(Wire);

impl Answer {
    /// Says that this process serves: the old one drains and ends.
    ///
    /// An error means that the old process is gone or stopped waiting. This
    /// one should serve on in either case: two processes that serve lose
    /// nothing, none loses everything.
    pub fn ready(self) -> Result<(), HandoverError> {
        self.wire_with_patience().send_ready()
    }

    /// Says why this process cannot serve: the old one goes on.
    pub fn failed(self, reason: &str) -> Result<(), HandoverError> {
        self.wire_with_patience().send_failed(reason)
    }

    fn wire_with_patience(mut self) -> Wire {
        self.0.set_deadline(Deadline::after(ANSWER_PATIENCE));
        self.0
    }
}

/// Offers sockets to the new process that waits at `path`.
///
/// `Ok` only after the new process said that it serves. Up to 1024 sockets,
/// names of 1 to 255 bytes, each once. `timeout` covers everything, the start
/// of the new process after it has the sockets included; `breaker` ends it
/// before.
pub fn offer(
    path: &Path,
    sockets: &[(&str, BorrowedFd<'_>)],
    snapshot: Option<&Snapshot>,
    timeout: Duration,
    breaker: &Breaker,
) -> Result<(), HandoverError> {
    let mut names = Names::default();
    for (name, _) in sockets {
        names.add(name)?;
    }
    if snapshot.is_some_and(|snapshot| snapshot.bytes.len() > wire::MAX_SNAPSHOT) {
        return Err(HandoverError::SnapshotTooLarge);
    }
    let deadline = Deadline::after(timeout);
    let stream = door::connect(path, deadline, CONNECT_PATIENCE, breaker)?;
    check_user(&stream)?;
    breaker.watch(&stream)?;
    let told = send_and_hear(Wire::new(stream, deadline), sockets, snapshot);
    breaker.release();
    match told {
        Err(_) if breaker.is_broken() => Err(HandoverError::BrokenOff),
        told => told,
    }
}

fn send_and_hear(
    mut wire: Wire,
    sockets: &[(&str, BorrowedFd<'_>)],
    snapshot: Option<&Snapshot>,
) -> Result<(), HandoverError> {
    let sent = send(&wire, sockets, snapshot);
    // A new process that refuses early stops reading: its reason says more than our broken pipe.
    match wire.read_frame() {
        Ok(Frame::Ready) => sent,
        Ok(Frame::Failed(reason)) => Err(HandoverError::Failed(reason)),
        Ok(_) => Err(HandoverError::Malformed("an answer that is neither ready nor failed")),
        Err(error) => sent.and(Err(error)),
    }
}

fn send(
    wire: &Wire,
    sockets: &[(&str, BorrowedFd<'_>)],
    snapshot: Option<&Snapshot>,
) -> Result<(), HandoverError> {
    wire.send_greeting()?;
    for batch in sockets.chunks(wire::BATCH) {
        wire.send_sockets(batch)?;
    }
    if let Some(snapshot) = snapshot {
        wire.send_snapshot(snapshot)?;
    }
    wire.send_end()
}

fn receive(mut wire: Wire) -> Result<Handover, HandoverError> {
    match receive_all(&mut wire) {
        Ok((sockets, snapshot)) => Ok(Handover { sockets, snapshot, answer: Answer(wire) }),
        Err(error) => {
            // The old process may be gone; the error is ours to report either way.
            drop(wire.send_failed(&error.to_string()));
            Err(error)
        }
    }
}

type Received = (Vec<(String, TcpListener)>, Option<Snapshot>);

fn receive_all(wire: &mut Wire) -> Result<Received, HandoverError> {
    let mut names = Names::default();
    let mut sockets = Vec::new();
    let mut snapshot = None;
    loop {
        match wire.read_frame()? {
            Frame::Sockets(batch) => {
                for (name, fd) in batch {
                    names.add(&name)?;
                    sockets.push((name.clone(), listener(name, fd)?));
                }
            }
            Frame::Snapshot(_) if snapshot.is_some() => {
                return Err(HandoverError::Malformed("a second snapshot"));
            }
            Frame::Snapshot(taken) => snapshot = Some(taken),
            Frame::End => return Ok((sockets, snapshot)),
            Frame::Ready | Frame::Failed(_) => {
                return Err(HandoverError::Malformed("an answer where sockets were due"));
            }
        }
    }
}

/// The names of one hand-over: bounded in length and number, each once.
#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn add(&mut self, name: &str) -> Result<(), HandoverError> {
        if self.0.len() == MAX_SOCKETS {
            return Err(HandoverError::TooMany);
        }
        let fits = (1..=usize::from(u8::MAX)).contains(&name.len());
        if !fits || !self.0.insert(name.to_owned()) {
            return Err(HandoverError::Name(name.to_owned()));
        }
        Ok(())
    }
}

fn listener(name: String, fd: OwnedFd) -> Result<TcpListener, HandoverError> {
    if !is_listening_tcp(fd.as_fd()).unwrap_or(false) {
        return Err(HandoverError::NotListening(name));
    }
    let listener = TcpListener::from(fd);
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn is_listening_tcp(fd: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let domain = sockopt::socket_domain(fd)?;
    Ok(matches!(domain, AddressFamily::INET | AddressFamily::INET6)
        && sockopt::socket_type(fd)? == SocketType::STREAM
        && sockopt::socket_protocol(fd)? == Some(ipproto::TCP)
        && sockopt::socket_acceptconn(fd)?)
}

/// Refuses a process at the other end that has no business here.
fn check_user(stream: &UnixStream) -> Result<(), HandoverError> {
    let ours = geteuid();
    let theirs = sockopt::socket_peercred(stream).map_err(io::Error::from)?.uid;
    if may_meet(ours, theirs) {
        return Ok(());
    }
    Err(HandoverError::OtherUser { ours: ours.as_raw(), theirs: theirs.as_raw() })
}

/// Root may do whatever the other could, so it is trusted; and a process of
/// root is replaced by one of the user that it becomes, and the other way round.
fn may_meet(ours: Uid, theirs: Uid) -> bool {
    ours == theirs || ours.is_root() || theirs.is_root()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream};
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;
    use crate::listening::open;

    /// Long enough for any machine; reached only by a test that fails.
    const LONG: Duration = Duration::from_secs(30);
    /// For tests in which the time-out is what must happen.
    const SHORT: Duration = Duration::from_millis(50);

    /// A private directory that goes away with the test.
    struct Place(PathBuf);

    impl Place {
        fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let name = format!("tidegate-sockets-{}-{number}", std::process::id());
            Place(std::env::temp_dir().join(name))
        }

        fn socket(&self) -> PathBuf {
            self.0.join("upgrade.sock")
        }

        /// A receiver, and a raw connection to it.
        fn receiver_and_stranger(&self) -> (Receiver, UnixStream) {
            let receiver = Receiver::bind(&self.socket()).expect("binds");
            let stranger = UnixStream::connect(self.socket()).expect("connects");
            (receiver, stranger)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn listening() -> TcpListener {
        open((Ipv4Addr::LOCALHOST, 0).into()).expect("opens")
    }

    fn named<'a>(
        names: &'a [String],
        sockets: &'a [TcpListener],
    ) -> Vec<(&'a str, BorrowedFd<'a>)> {
        names.iter().map(String::as_str).zip(sockets.iter().map(AsFd::as_fd)).collect()
    }

    /// Runs a whole hand-over; what the old process is told, and what the new one got.
    fn hand_over(
        sockets: &[(&str, BorrowedFd<'_>)],
        snapshot: Option<&Snapshot>,
        new: impl FnOnce(Result<Handover, HandoverError>) + Send,
    ) -> Result<(), HandoverError> {
        let place = Place::new();
        let receiver = Receiver::bind(&place.socket()).expect("binds");
        thread::scope(|scope| {
            scope.spawn(|| new(receiver.accept(LONG)));
            offer(&place.socket(), sockets, snapshot, LONG, &Breaker::default())
        })
    }

    /// What an old process with one socket and a snapshot says, and where its socket goes along.
    fn script() -> (Vec<u8>, usize) {
        let mut bytes = b"tidegate handover 1\n".to_vec();
        let sockets_at = bytes.len();
        bytes.extend(b"S\0\0\0\x02\x01a");
        bytes.extend(b"B\0\0\0\x06\0\0\0\x01ok");
        bytes.extend(b"E\0\0\0\0");
        (bytes, sockets_at)
    }

    /// Plays the first `length` bytes of the script of an old process.
    fn play(stream: UnixStream, length: usize) -> Wire {
        let (bytes, sockets_at) = script();
        let wire = Wire::new(stream, Deadline::after(LONG));
        let (greeting, frames) = bytes.split_at(sockets_at);
        let socket = listening();
        wire.write(&greeting[..length.min(sockets_at)], &[]).expect("writes");
        let frames = &frames[..length.saturating_sub(sockets_at)];
        wire.write(frames, &[socket.as_fd()]).expect("writes");
        wire
    }

    #[test]
    fn hands_over_more_sockets_than_one_message_takes() {
        let sockets: Vec<TcpListener> = (0..130).map(|_| listening()).collect();
        let names: Vec<String> = (0..130).map(|n| format!("listener {n}")).collect();
        let told = hand_over(&named(&names, &sockets), None, |handover| {
            let Handover { sockets: received, snapshot, answer } = handover.expect("received");
            assert_eq!(snapshot, None);
            assert_eq!(received.len(), 130);
            for (number, (name, socket)) in received.iter().enumerate() {
                assert_eq!(name, &names[number]);
                let expected = sockets[number].local_addr().expect("bound");
                assert_eq!(socket.local_addr().expect("bound"), expected);
            }
            answer.ready().expect("said");
        });
        told.expect("the new process serves");
    }

    #[test]
    fn a_connection_that_waits_to_be_accepted_survives() {
        let old = listening();
        let mut client = TcpStream::connect(old.local_addr().expect("bound")).expect("connects");
        client.write_all(b"hello").expect("writes");
        let mut received = Vec::new();
        let told = hand_over(&[("web", old.as_fd())], None, |handover| {
            let handover = handover.expect("received");
            received = handover.sockets;
            handover.answer.ready().expect("said");
        });
        told.expect("the new process serves");
        drop(old);
        let (mut accepted, _) = received[0].1.accept().expect("waits in the backlog");
        let mut text = [0; 5];
        accepted.read_exact(&mut text).expect("reads");
        assert_eq!(&text, b"hello");
    }

    #[test]
    fn a_snapshot_arrives_whole() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| n as u8).collect();
        let snapshot = Snapshot { version: 7, bytes };
        let told = hand_over(&[], Some(&snapshot), |handover| {
            let handover = handover.expect("received");
            assert!(handover.snapshot.as_ref() == Some(&snapshot));
            handover.answer.ready().expect("said");
        });
        told.expect("the new process serves");
    }

    #[test]
    fn the_old_process_learns_why_the_new_one_failed() {
        let told = hand_over(&[], None, |handover| {
            handover.expect("received").answer.failed("no certificate").expect("said");
        });
        assert!(matches!(told, Err(HandoverError::Failed(why)) if why == "no certificate"));
    }

    #[test]
    fn a_new_process_that_dies_unsaid_has_failed() {
        let told = hand_over(&[], None, |handover| drop(handover.expect("received")));
        assert!(matches!(told, Err(HandoverError::CutOff)), "{told:?}");
    }

    #[test]
    fn only_listening_tcp_sockets_are_taken() {
        let listener = listening();
        let connected =
            TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        let (unix, _other_end) = UnixStream::pair().expect("a pair");
        let place = Place::new();
        let unix_listener = Receiver::bind(&place.socket()).expect("binds");
        let file = fs::File::open("/dev/null").expect("opens");
        let wrong = [connected.as_fd(), unix.as_fd(), unix_listener.listener.as_fd(), file.as_fd()];
        for fd in wrong {
            let told = hand_over(&[("good", listener.as_fd()), ("bad", fd)], None, |handover| {
                assert!(
                    matches!(handover, Err(HandoverError::NotListening(name)) if name == "bad")
                );
            });
            let Err(HandoverError::Failed(why)) = told else { panic!("{told:?}") };
            assert_eq!(why, "`bad` is no listening TCP socket");
        }
    }

    #[test]
    fn names_and_numbers_are_bounded() {
        let socket = listening();
        let fd = socket.as_fd();
        let check = |sockets: &[(&str, BorrowedFd<'_>)]| {
            offer(Path::new("/nowhere"), sockets, None, SHORT, &Breaker::default())
                .expect_err("refused")
        };
        assert!(matches!(check(&[("", fd)]), HandoverError::Name(_)));
        assert!(matches!(check(&[(&"n".repeat(256), fd)]), HandoverError::Name(_)));
        assert!(matches!(check(&[("a", fd), ("a", fd)]), HandoverError::Name(_)));
        let names: Vec<String> = (0..=MAX_SOCKETS).map(|n| n.to_string()).collect();
        let many: Vec<_> = names.iter().map(|name| (name.as_str(), fd)).collect();
        assert!(matches!(check(&many), HandoverError::TooMany));
    }

    #[test]
    fn an_old_process_that_dies_at_any_byte_leaves_an_error() {
        let (bytes, sockets_at) = script();
        for cut in sockets_at..bytes.len() {
            let place = Place::new();
            let (receiver, stranger) = place.receiver_and_stranger();
            drop(play(stranger, cut));
            let result = receiver.accept(LONG);
            assert!(matches!(result, Err(HandoverError::CutOff)), "{cut}: {result:?}");
        }
        let place = Place::new();
        let (receiver, stranger) = place.receiver_and_stranger();
        let _alive = play(stranger, bytes.len());
        receiver.accept(LONG).expect("the whole script is good");
    }

    #[test]
    fn a_new_process_that_dies_at_any_byte_leaves_an_error() {
        let socket = listening();
        let snapshot = Snapshot { version: 1, bytes: b"ok".to_vec() };
        let (bytes, _) = script();
        let word = b"F\0\0\0\x02no";
        for cut in 0..bytes.len() + word.len() {
            let place = Place::new();
            let receiver = Receiver::bind(&place.socket()).expect("binds");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let stream = door::next_connection(&receiver.listener, Deadline::after(LONG));
                    let mut stream = stream.expect("connects");
                    let mut heard = vec![0; cut.min(bytes.len())];
                    stream.read_exact(&mut heard).expect("reads");
                    assert!(bytes.starts_with(&heard));
                    stream.write_all(&word[..cut.saturating_sub(bytes.len())]).expect("writes");
                });
                let told = offer(
                    &place.socket(),
                    &[("a", socket.as_fd())],
                    Some(&snapshot),
                    LONG,
                    &Breaker::default(),
                );
                assert!(matches!(told, Err(HandoverError::CutOff)), "{cut}: {told:?}");
            });
        }
    }

    #[test]
    fn strangers_do_not_end_the_wait() {
        let place = Place::new();
        let receiver = Receiver::bind(&place.socket()).expect("binds");
        let (bytes, sockets_at) = script();
        let connect = || UnixStream::connect(place.socket()).expect("connects");
        for cut in 0..sockets_at {
            drop(play(connect(), cut));
        }
        connect().write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("writes");
        let mut newer = connect();
        newer.write_all(b"tidegate handover 2\n").expect("writes");
        let _good = play(connect(), bytes.len());
        assert_eq!(receiver.accept(LONG).expect("received").sockets.len(), 1);
        let mut told = Vec::new();
        newer.read_to_end(&mut told).expect("reads");
        assert!(told.ends_with(wire::OTHER_VERSION.as_bytes()));
    }

    #[test]
    fn silence_is_bounded_on_both_sides() {
        let place = Place::new();
        let receiver = Receiver::bind(&place.socket()).expect("binds");
        assert!(matches!(receiver.accept(SHORT), Err(HandoverError::TimedOut)));
        let (bytes, sockets_at) = script();
        for said in [0, sockets_at, bytes.len() - 1] {
            let (receiver, stranger) = place.receiver_and_stranger();
            let _silent = play(stranger, said);
            let result = receiver.accept(SHORT);
            assert!(matches!(result, Err(HandoverError::TimedOut)), "{said}: {result:?}");
        }
        let _silent = Receiver::bind(&place.socket()).expect("binds");
        let snapshot = Snapshot { version: 1, bytes: vec![0; 8 << 20] };
        for snapshot in [None, Some(&snapshot)] {
            let told = offer(&place.socket(), &[], snapshot, SHORT, &Breaker::default());
            assert!(matches!(told, Err(HandoverError::TimedOut)), "{told:?}");
        }
    }

    #[test]
    fn malformed_frames_are_refused() {
        let check = |frames: &[u8], fds: &[BorrowedFd<'_>], expected: &str| {
            let place = Place::new();
            let (receiver, stranger) = place.receiver_and_stranger();
            let wire = Wire::new(stranger, Deadline::after(LONG));
            wire.send_greeting().expect("writes");
            wire.write(frames, fds).expect("writes");
            let error = receiver.accept(LONG).expect_err("malformed").to_string();
            assert!(error.contains(expected), "{frames:?}: {error}");
        };
        let socket = listening();
        let fd = socket.as_fd();
        check(b"X\0\0\0\0", &[], "unknown kind");
        check(b"E\0\0\0\x01", &[], "too long");
        check(b"B\x05\0\0\0", &[], "too long");
        check(b"B\0\0\0\x03", &[], "without a version");
        check(b"B\0\0\0\x04\0\0\0\0B\0\0\0\x04\0\0\0\0", &[], "second snapshot");
        check(b"S\0\0\0\0", &[], "cut short");
        check(b"S\0\0\0\x02\x01a", &[], "cut short");
        check(b"S\0\0\0\x02\x02a", &[fd], "cut short");
        check(b"S\0\0\0\x02\x01\xff", &[fd], "UTF-8");
        check(b"S\0\0\0\x01\0", &[fd], "empty");
        check(b"S\0\0\0\x04\x01a\x01a", &[fd, fd], "given twice");
        check(b"S\0\0\0\x02\x01a", &[fd, fd], "without a name");
        check(b"E\0\0\0\0", &[fd], "without a name");
        check(b"S\0\0\0\x02\x01a", &[fd; 65], "descriptors");
        check(b"R\0\0\0\0", &[], "an answer");
    }

    #[test]
    fn the_meeting_place_must_be_private() {
        let place = Place::new();
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        let receiver = Receiver::bind(&place.socket()).expect("binds");
        assert_eq!(mode(&place.0), 0o700);
        assert_eq!(mode(&place.socket()), 0o600);
        drop(receiver);
        assert!(!place.socket().exists());
        for open_mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(&place.0, Permissions::from_mode(open_mode)).expect("set");
            let error = Receiver::bind(&place.socket()).expect_err("refused").to_string();
            assert!(error.contains("must be private"), "{error}");
        }
    }

    #[test]
    fn only_a_dead_socket_is_replaced() {
        let place = Place::new();
        let first = Receiver::bind(&place.socket()).expect("binds");
        let error = Receiver::bind(&place.socket()).expect_err("alive").to_string();
        assert!(error.contains("another new process is waiting"), "{error}");
        drop(first);
        drop(UnixListener::bind(place.socket()).expect("binds"));
        assert!(place.socket().exists());
        drop(Receiver::bind(&place.socket()).expect("replaces the dead one"));
        fs::write(place.socket(), "a file").expect("writes");
        let error = Receiver::bind(&place.socket()).expect_err("in the way").to_string();
        assert!(error.contains("no socket"), "{error}");
        assert!(place.socket().exists());
    }

    #[test]
    fn an_offer_waits_a_little_for_the_new_process() {
        let place = Place::new();
        let told = offer(&place.socket(), &[], None, SHORT, &Breaker::default());
        assert!(matches!(told, Err(HandoverError::TimedOut | HandoverError::NobodyWaits(_))));
        thread::scope(|scope| {
            let old = scope.spawn(|| offer(&place.socket(), &[], None, LONG, &Breaker::default()));
            let receiver = Receiver::bind(&place.socket()).expect("binds");
            receiver.accept(LONG).expect("received").answer.ready().expect("said");
            old.join().expect("ends").expect("the new process serves");
        });
    }

    #[test]
    fn an_offer_to_a_process_that_hangs_can_be_broken_off() {
        let place = Place::new();
        let receiver = Receiver::bind(&place.socket()).expect("binds");
        let breaker = Breaker::default();
        let told = thread::scope(|scope| {
            let old = scope.spawn(|| offer(&place.socket(), &[], None, LONG, &breaker));
            let handover = receiver.accept(LONG).expect("received");
            breaker.break_off();
            let told = old.join().expect("ends");
            drop(handover);
            told
        });
        assert!(matches!(told, Err(HandoverError::BrokenOff)), "{told:?}");
        let again = offer(&place.socket(), &[], None, LONG, &breaker);
        assert!(matches!(again, Err(HandoverError::BrokenOff)), "{again:?}");
    }

    #[test]
    fn root_and_the_own_user_may_meet() {
        let (one, _other) = UnixStream::pair().expect("a pair");
        check_user(&one).expect("ours");
        let [root, web, other] = [0, 33, 34].map(Uid::from_raw);
        for (ours, theirs, expected) in [
            (web, web, true),
            (web, other, false),
            (web, root, true),
            (root, web, true),
            (root, root, true),
        ] {
            assert_eq!(may_meet(ours, theirs), expected, "{ours:?} {theirs:?}");
        }
    }
}
