//! Disks that a process leaves to the next one without a word, and that two have at once.

use rustix::process::Signal;

use super::purge::purge;
use super::*;
use crate::support::poll;

fn on(disks: &str) -> String {
    let yaml = site("").replace("memory: 16MiB", &format!("memory: 16MiB, disks: [{disks}]"));
    yaml.replace("memory: 16MiB", "memory: 16MiB, purge_from: [127.0.0.0/8]")
}

async fn serve() -> Origin {
    let count = AtomicUsize::new(0);
    serving(move |request| match request.line().starts_with("GET ") {
        true => {
            let body = count.fetch_add(1, Ordering::SeqCst).to_string();
            ok("cache-control: max-age=600\nsurrogate-key: a", &body)
        }
        false => answer("200 OK", "", "", 0),
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_leaves_what_it_kept_and_what_it_purged() {
    let origin = serve().await;
    let disks = "{ path: '{dir}/one', size: 64MiB }, { path: '{dir}/two', size: 64MiB }";
    let mut edge = Edge::start_with(&on(disks), &[("origin", &origin.addr)]);
    let paths: Vec<String> = (0..12).map(|n| format!("/{n}")).collect();
    for path in &paths {
        get(&edge, Over::H1, path, "").await;
    }
    edge.await_metric("tidegate_cache_objects{tier=\"disk\"}", 12.0);
    // Each of them is told when it is done.
    assert_eq!(purge(&edge, "{\"url\": \"http://a.example/0\"}").status, 200);
    assert_eq!(send(&edge, Over::H1, "PURGE", "/1", "").await.status, 200);
    assert_eq!(send(&edge, Over::H2, "POST", "/2", "").await.status, 200);
    edge.signal(Signal::KILL);
    edge.wait_exit();
    let mut next = edge.spawn_beside(&[]);
    poll("the next process", || std::net::TcpStream::connect(edge.addr()).ok());
    for (index, path) in paths.iter().enumerate() {
        let answer = get(&edge, BOTH[index % 2], path, "").await;
        let is_hit = said(&answer).starts_with("tidegate; hit");
        assert_eq!(is_hit, index > 2, "{path}: {answer:?}");
        assert!(!is_hit || answer.text() == index.to_string(), "{path}: {answer:?}");
    }
    next.kill().unwrap();
    next.wait().unwrap();
}

/// What one of two processes makes worthless is in the memory of the other, and perhaps not yet on
/// the disk.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_makes_worthless_another_one_does_not_send() {
    let origin = serve().await;
    let home = tempfile::tempdir().unwrap();
    let yaml = on("{ path: '{shared}', size: 64MiB }");
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("shared", &home.path().display())];
    let both = [Edge::start_with(&yaml, &places), Edge::start_with(&yaml, &places)];
    for (here, there) in [(&both[0], &both[1]), (&both[1], &both[0])] {
        for over in BOTH {
            for way in ["POST", "PURGE", "url", "tag"] {
                get(there, over, "/x", "").await;
                let hit = get(there, over, "/x", "").await;
                assert!(said(&hit).starts_with("tidegate; hit"), "{way}: {hit:?}");
                let done = match way {
                    "url" => purge(here, "{\"url\": \"http://a.example/x\"}"),
                    "tag" => purge(here, "{\"tag\": \"a\"}"),
                    method => send(here, over, method, "/x", "").await,
                };
                assert_eq!(done.status, 200, "{way}");
                let answer = get(there, over, "/x", "").await;
                assert!(said(&answer).contains("fwd="), "{way}: {answer:?}");
            }
        }
    }
}
