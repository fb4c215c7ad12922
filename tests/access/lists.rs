//! Networks in files, which may be replaced while the proxy runs.

use std::fs;
use std::net::SocketAddr;

use rustix::process::Signal;

use crate::support::tools::run;
use crate::support::{Client, Edge, poll};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
routes:
  - match: { path: /some }
    respond: {}
    access: { allow: [127.0.0.9, { file: '{dir}/list.txt' }] }
  - match: { path: /others }
    respond: {}
    access: { deny: [{ file: '{dir}/list.txt' }] }
";

/// A proxy whose list is what `places` fill in: it is there before the start.
fn start(list: &str) -> (Edge, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("list.txt"), list).unwrap();
    let edge = Edge::start_with(SITE, &[("dir", &dir.path().display())]);
    (edge, dir)
}

async fn statuses(addr: SocketAddr, from: &str) -> [u16; 2] {
    let mut statuses = [0; 2];
    for (status, path) in statuses.iter_mut().zip(["/some", "/others"]) {
        let mut client = Client::connect_from(from, addr).await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        *status = client.response().await.status;
    }
    statuses
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_may_be_a_file_which_is_read_again_when_it_changes() {
    let (edge, dir) = start("# Ours.\n127.0.0.2/31 # two of them\n");
    let list = dir.path().join("list.txt");
    assert_eq!(statuses(edge.addr(), "127.0.0.2").await, [200, 403]);
    assert_eq!(statuses(edge.addr(), "127.0.0.3").await, [200, 403]);
    assert_eq!(statuses(edge.addr(), "127.0.0.4").await, [403, 200]);
    assert_eq!(statuses(edge.addr(), "127.0.0.9").await, [200, 200]);

    fs::write(&list, "127.0.0.4\n").unwrap();
    edge.await_stderr("file replaced: ");
    assert_eq!(statuses(edge.addr(), "127.0.0.4").await, [200, 403]);
    assert_eq!(statuses(edge.addr(), "127.0.0.2").await, [403, 200]);

    // A bad one is said with its place, and the old one stays.
    fs::write(&list, "127.0.0.2\n\n127.0.0.300\n").unwrap();
    let said =
        format!("file not replaced, the old one stays: {}:3: `127.0.0.300` is no", list.display());
    edge.await_stderr(&said);
    assert_eq!(statuses(edge.addr(), "127.0.0.4").await, [200, 403]);
    fs::write(&list, "127.0.0.2\n").unwrap();
    poll("the mended list", || {
        (edge.stderr().matches("file replaced: ").count() >= 2).then_some(())
    });
    assert_eq!(statuses(edge.addr(), "127.0.0.2").await, [200, 403]);

    // A file without networks lets nobody in, and keeps nobody out.
    fs::write(&list, "# nobody\n").unwrap();
    poll("the empty list", || {
        (edge.stderr().matches("file replaced: ").count() >= 3).then_some(())
    });
    assert_eq!(statuses(edge.addr(), "127.0.0.2").await, [403, 200]);
    let said = format!("file replaced: {} (0 networks); there is nothing in it", list.display());
    edge.await_stderr(&said);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_in_the_place_of_a_list_keeps_nobody_waiting() {
    let (edge, dir) = start("127.0.0.2\n");
    let list = dir.path().join("list.txt");
    fs::remove_file(&list).unwrap();
    run("mkfifo", "coreutils", &[list.to_str().unwrap()], "").good();
    edge.await_stderr(&format!("the old one stays: {}: is no regular file", list.display()));
    // Signals are heard, and what they ask for is judged as well.
    edge.signal(Signal::HUP);
    edge.await_stderr("not reloaded, the site stays as it is");
    edge.signal(Signal::USR1);
    edge.await_stderr("opening the logs again");
    assert_eq!(statuses(edge.addr(), "127.0.0.2").await, [200, 403]);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_lists_and_refuses_bad_ones() {
    let (edge, dir) = start("127.0.0.2\n");
    let list = dir.path().join("list.txt");
    fs::write(&list, "127.0.0.3\n").unwrap();
    edge.signal(Signal::HUP);
    edge.await_stderr("reloaded");
    assert_eq!(statuses(edge.addr(), "127.0.0.3").await, [200, 403]);
    fs::write(&list, "nobody\n").unwrap();
    let answer = edge.admin_post("/api/reload");
    assert_eq!(answer.status, 422);
    let said = answer.text();
    for at in ["routes[0].access.allow[1].file", "routes[1].access.deny[0].file"] {
        let fault = format!("{at}: {}:1: `nobody` is no network", list.display());
        assert!(said.contains(&fault), "{said}");
    }
    assert_eq!(statuses(edge.addr(), "127.0.0.3").await, [200, 403]);
    edge.stop();
}
