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

/// A body of which four bytes tell where they are.
fn body() -> Arc<[u8]> {
    (0..1 << 18).flat_map(u32::to_be_bytes).collect()
}

/// Changes a byte of that body, where it is first in each file below the folder.
fn damage(folder: &std::path::Path, at: usize) -> usize {
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found += damage(&path, at);
            continue;
        }
        let mut bytes = std::fs::read(&path).unwrap();
        let wanted = &body()[at..at + 64];
        if let Some(place) = bytes.windows(64).position(|window| window == wanted) {
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            found += 1;
        }
    }
    found
}

/// A server of that body, in parts too.
async fn serving_parts(etag: &'static str) -> Origin {
    Origin::scripted(move |mut conn| async move {
        while let Some(request) = conn.request().await {
            let body = body();
            let range = request.header("range").and_then(|range| range.strip_prefix("bytes="));
            let (status, said, span) = match range.and_then(|range| range.split_once('-')) {
                None => ("200 OK", String::new(), 0..body.len()),
                Some((first, last)) => {
                    let first: usize = first.parse().unwrap();
                    let last = last.parse::<usize>().unwrap().min(body.len() - 1);
                    let said = format!("\ncontent-range: bytes {first}-{last}/{}", body.len());
                    ("206 Partial Content", said, first..last + 1)
                }
            };
            let fields = format!("{FRESH}\netag: {etag}{said}");
            conn.send(answer(status, &fields, "", span.len())).await;
            conn.send(&body[span]).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_on_a_disk_is_fetched_while_it_is_sent() {
    const SLICES: [&str; 4] =
        ["bytes=0-262143", "bytes=262144-524287", "bytes=524288-786431", "bytes=786432-1048575"];
    let all_and_one = [SLICES[0], SLICES[1], SLICES[2], SLICES[2], SLICES[3]];
    for (etag, range, asked) in [
        ("\"a\"", "", Some(&SLICES[2..])),
        ("\"a\"", "range: bytes=0-", Some(&all_and_one[..])),
        // Nobody could tell whether the rest is of the same version.
        ("W/\"a\"", "", None),
    ] {
        let origin = serving_parts(etag).await;
        let yaml = on_disk("slice: 256KiB");
        let mut edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
        get(&edge, Over::H1, "/x", range).await;
        // What was written last is looked at when it is found again.
        get(&edge, Over::H1, "/y", "").await;
        edge.signal(Signal::TERM);
        assert!(edge.wait_exit().success());
        let disk = edge.dir().join("cache");
        assert_eq!(damage(&disk, 700_000), 1);
        // Nothing of it is to be moved into memory before.
        std::fs::remove_file(disk.join("hot.lst")).unwrap();
        let mut next = edge.spawn_beside(&[]);
        poll("the next process", || std::net::TcpStream::connect(edge.addr()).ok());
        let mut client = Client::connect(edge.addr()).await;
        let fields = format!("host: a.example\r\nconnection: close\r\n{range}\r\n");
        let end = if range.is_empty() { "" } else { "\r\n" };
        client.send(format!("GET /x HTTP/1.1\r\n{fields}{end}")).await;
        let head = client.response_head().await;
        assert!(said(&head).starts_with("tidegate; hit"), "{head:?}");
        let sent = client.read_to_end().await;
        let all = origin.received_text();
        let mut ranges: Vec<_> = all.lines().filter_map(|it| it.strip_prefix("range: ")).collect();
        ranges.sort_unstable();
        assert_eq!(ranges, asked.unwrap_or_default());
        match asked {
            Some(_) => assert!(sent[..] == body()[..], "{} bytes", sent.len()),
            None => assert!(sent.len() < 700_000 && sent[..] == body()[..sent.len()]),
        }
        next.kill().unwrap();
        next.wait().unwrap();
    }
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
