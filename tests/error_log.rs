//! An error log that takes no more costs lines, which are counted, and no request;
//! one that is rotated costs none.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{ErrorKind, PipeWriter, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;

use rustix::process::Signal;
use tokio::net::TcpSocket;

use crate::support::app::GET;
use crate::support::{Client, Edge, Origin, poll};

/// One server fails whenever it is asked, and is soon asked again.
const SITE: &str = "
server: {server}
log: { level: trace }
listeners: [{ address: '127.0.0.1:{port}', limits: { requests_per_connection: 1000000 } }]
upstreams:
  app:
    servers: ['{bad}', '{good}']
    outlier: { errors: 1, eject: 1ms }
    retries: { attempts: 2, budget: 100% }
routes: [{ upstream: app }]
";

const LOST: &str = "tidegate_log_lines_dropped_total{log=\"error\"}";

/// Asks until lines are lost; every request must be answered.
async fn ask_until_lines_are_lost(edge: &Edge) {
    let before = edge.metric(LOST);
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..200 {
        for _ in 0..50 {
            client.send(GET).await;
            assert_eq!(client.response().await.status, 200);
        }
        if edge.metric(LOST) > before {
            return;
        }
    }
    panic!("no line was lost");
}

/// Fills the pipe to its last byte; whoever else writes to it has to wait.
fn fill(pipe: &PipeWriter) {
    // Opened anew, for others must not get `WouldBlock` where they would wait.
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut again = File::options().write(true).custom_flags(nonblocking).open(path).unwrap();
    for piece in [&[b'x'; 4096][..], b"x"] {
        while again.write(piece).is_ok() {}
    }
    assert_eq!(again.write(b"x").unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[tokio::test(flavor = "multi_thread")]
async fn standard_error_that_nobody_reads_stops_no_request() {
    let (good, bad) = (Origin::ok().await, TcpSocket::new_v4().unwrap());
    bad.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    let bad = bad.local_addr().unwrap();
    let places: [(&str, &dyn Display); 3] =
        [("server", &"{}"), ("good", &good.addr), ("bad", &bad)];
    let mut edge = Edge::start_saying_to(writer.try_clone().unwrap(), SITE, &places);
    fill(&writer);
    ask_until_lines_are_lost(&edge).await;
    // Nor is the end of the process waited for without end.
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    drop(reader);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_log_on_a_full_disk_stops_no_request() {
    let (good, bad) = (Origin::ok().await, TcpSocket::new_v4().unwrap());
    bad.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let bad = bad.local_addr().unwrap();
    let places: [(&str, &dyn Display); 3] =
        [("server", &"{ error_log: /dev/full }"), ("good", &good.addr), ("bad", &bad)];
    let mut edge = Edge::start_with(SITE, &places);
    ask_until_lines_are_lost(&edge).await;
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_words_of_a_process_arrive() {
    let site = "
server: { error_log: '{dir}/error.log' }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200 } }]
";
    let mut edge = Edge::start(site);
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    let log = fs::read_to_string(edge.dir().join("error.log")).unwrap();
    assert!(log.contains("draining 0 connections"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_goes_on_in_a_new_file() {
    let site = "
server: { error_log: '{dir}/error.log' }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200 } }]
";
    let mut edge = Edge::start(site);
    let dir = edge.dir().to_owned();
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
    fs::rename(edge.dir().join("error.log"), edge.dir().join("error.log.1")).unwrap();
    edge.signal(Signal::USR1);
    poll("the new file", || edge.dir().join("error.log").exists().then_some(()));
    let reloads = |name: &str| read(name).matches(" reloaded").count();
    edge.signal(Signal::HUP);
    poll("its next line", || (reloads("error.log") == 1).then_some(()));
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    assert!(read("error.log").contains("draining 0 connections"), "{}", read("error.log"));
    let old = read("error.log.1");
    assert!(!old.contains("draining") && !old.contains("reloaded"), "{old}");
}
