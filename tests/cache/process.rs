//! What is kept outlasts reloads, and on disks processes.

use rustix::process::Signal;

use super::*;
use crate::support::poll;

const FRESH: &str = "cache-control: max-age=600";

fn on_disk(profile: &str) -> String {
    site(profile)
        .replace("memory: 16MiB", "memory: 16MiB, disks: [{ path: '{dir}/cache', size: 64MiB }]")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_what_is_stored_and_judges_it_anew() {
    let origin = numbered("last-modified: Sun, 06 Nov 1994 08:49:37 GMT").await;
    let edge = start("", &origin);
    get(&edge, Over::H1, "/x", "").await;
    assert!(said(&get(&edge, Over::H1, "/x", "").await).starts_with("tidegate; hit; ttl=86"));
    edge.write_config(&site("ttl: 1h"));
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    let hit = get(&edge, Over::H1, "/x", "").await;
    assert!(said(&hit).starts_with("tidegate; hit; ttl=3"), "{hit:?}");
    edge.write_config(&site("").replace("16MiB", "8MiB"));
    let refused = edge.admin_post("/api/reload");
    assert!(refused.text().contains("`cache.memory` changed"), "{}", refused.text());
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_a_disk_outlasts_the_process() {
    let origin = numbered(FRESH).await;
    let mut edge = Edge::start_with(&on_disk(""), &[("origin", &origin.addr)]);
    let first = get(&edge, Over::H1, "/x", "").await;
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    let mut next = edge.spawn_beside(&[]);
    poll("the next process", || std::net::TcpStream::connect(edge.addr()).ok());
    // What was in memory is there again before anybody asks.
    edge.await_metric("tidegate_cache_objects{tier=\"memory\"}", 1.0);
    let hit = get(&edge, Over::H2, "/x", "").await;
    assert_eq!(hit.text(), first.text());
    assert!(said(&hit).starts_with("tidegate; hit; ttl="), "{hit:?}");
    poll("its record", || (edge.records().len() == 2).then_some(()));
    let hits = "tidegate_cache_requests_total{result=\"hit\",source=\"memory\"}";
    assert_eq!(edge.metric(hits), 1.0);
    assert_eq!(origin.requests(), 1);
    next.kill().unwrap();
    next.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_goes_on_with_what_is_on_the_disk() {
    let origin = numbered(FRESH).await;
    let mut edge = Edge::start_with(&on_disk(""), &[("origin", &origin.addr)]);
    let first = get(&edge, Over::H1, "/x", "").await;
    // The last that a process has written others see when it has ended.
    get(&edge, Over::H1, "/y", "").await;
    edge.await_metric("tidegate_cache_objects{tier=\"disk\"}", 2.0);
    let mut next = edge.spawn_beside(&["-u"]);
    let socket = edge.dir().join("run/tidegate.sock");
    poll("the new process to wait", || socket.exists().then_some(()));
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    let hit = get(&edge, Over::H1, "/x", "").await;
    assert_eq!(hit.text(), first.text());
    assert!(said(&hit).starts_with("tidegate; hit"), "{hit:?}");
    assert_eq!(origin.requests(), 2);
    next.kill().unwrap();
    next.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded() {
    let body = "x".repeat(20_000);
    let origin = serving(move |_| ok(FRESH, &body)).await;
    let yaml = site("").replace("16MiB", "1MiB");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    for index in 0..200 {
        get(&edge, Over::H1, &format!("/{index}"), "").await;
    }
    poll("the figures", || {
        (edge.metric("tidegate_cache_objects{tier=\"memory\"}") > 10.0).then_some(())
    });
    let held = edge.metric("tidegate_cache_size_bytes{tier=\"memory\"}");
    assert!(held > 500_000.0 && held <= 1_048_576.0, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let yaml = "listeners: [{ address: '127.0.0.1:0' }]
admin: { listen: off }
server: { pid_file: a.pid, upgrade_sock: run/a.sock }
cache: { disks: [{ path: file/cache, size: 1MiB }] }
routes: [{ respond: {} }]
defaults: { waf: off }
";
    std::fs::write(folder.path().join("tidegate.yaml"), yaml).unwrap();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["-c", "tidegate.yaml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(!ran.status.success());
    assert!(told.contains("cache.disks[0]: file/cache"), "{told}");
}
