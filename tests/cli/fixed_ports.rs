//! What listens at ports that are fixed: the demo at 8080, 8443 and 9180, and
//! the admin listener of whatever has no `admin` section at 9180.

use tokio::sync::{Mutex, MutexGuard};

use super::*;

/// Held by the one test that uses the fixed ports.
static FIXED: Mutex<()> = Mutex::const_new(());

const ADMIN: u16 = 9180;

/// The right to use `ports`, once no other program has one.
async fn reserve(ports: &[u16]) -> MutexGuard<'static, ()> {
    let guard = FIXED.lock().await;
    for port in ports {
        let what = format!("port {port}, which is fixed and taken by another program: end that");
        poll(&what, || TcpListener::bind(loopback(*port)).ok());
    }
    guard
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_file_works() {
    let origin = Origin::ok().await;
    let _ports = reserve(&[ADMIN]).await;
    let [port] = ports::free();
    let folder = Folder::with(&format!(
        "listeners: [{{ address: 0.0.0.0:{port} }}]\n\
         upstreams: {{ app: {{ servers: [\"{}\"] }} }}\n\
         routes: [{{ upstream: app }}]\n",
        origin.addr
    ));
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(port), &folder);
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "ok");
    running.signal(Signal::TERM);
    assert!(running.wait_exit().success());
    assert!(folder.read("out").contains("\"status\":200"), "the access log is on stdout");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_works_without_a_file() {
    let origin = Origin::ok().await;
    let _ports = reserve(&[ADMIN]).await;
    let [port] = ports::free();
    let folder = Folder::new();
    let (to, listen) = (origin.addr.to_string(), format!("127.0.0.1:{port}"));
    let mut running = folder.start(&["proxy", "--to", &to, "--listen", &listen]);
    running.await_listening(loopback(port), &folder);
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "ok");
    running.signal(Signal::HUP);
    poll("the reload", || folder.read("out").contains("reloaded").then_some(()));
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "ok");
    running.signal(Signal::INT);
    assert!(running.wait_exit().success());
    let (code, said) = folder.run(&["proxy", "--to", "nonsense", "--listen", &listen]);
    assert_eq!(code, 1);
    assert!(said.starts_with("tidegate proxy:2:31: upstreams.app.servers[0]"), "{said}");
}

/// What each line of the demo leads to: a part of its URL, and of the answer.
const TRIED: [(&str, &[&str]); 9] = [
    (":8080/", &["HTTP/1.1 200", "answers"]),
    (":8443/", &["HTTP/2 200", "answers"]),
    ("/static/", &["HTTP/1.1 200", "A file from a folder"]),
    ("/slow", &["HTTP/1.1 200", "after two seconds"]),
    ("/flaky", &["HTTP/1.1 200", "server two answers"]),
    ("/down", &["HTTP/1.1 503"]),
    ("/old/page", &["HTTP/1.1 308", "location: /page"]),
    ("/static/..%2f", &["HTTP/1.1 400"]),
    ("/metrics", &["tidegate_proxy_requests_total"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_the_demo_does_what_it_says() {
    let _ports = reserve(&[8080, 8443, ADMIN]).await;
    let folder = Folder::new();
    let mut running = folder.start(&["demo"]);
    for port in [8080, 8443, ADMIN] {
        running.await_listening(loopback(port), &folder);
    }
    let out = folder.read("out");
    let lines: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(lines.len(), TRIED.len(), "{out}");
    for (line, (url, parts)) in lines.into_iter().zip(TRIED) {
        let (address, _) =
            line.split_once("127.0.0.1").and_then(|(_, rest)| rest.split_once(' ')).unwrap();
        assert!(address.ends_with(url), "{line}");
        let command = line.split_at(line.find(address).unwrap() + address.len()).0;
        // The environment may name a proxy, which is not for loopback.
        let (code, said) = ran(Command::new("sh").args(["-c", command]).env("no_proxy", "*"));
        assert_eq!(code, 0, "{command}: {said}");
        for part in parts {
            assert!(said.contains(part), "{command}: no `{part}` in {said}");
        }
    }
    running.signal(Signal::INT);
    assert!(running.wait_exit().success());
    let out = folder.read("out");
    let records = out.lines().filter(|line| line.starts_with("{\"time\":")).count();
    assert_eq!(records, TRIED.len() - 1, "one for each but the admin listener: {out}");
    // It writes below `run` alone, and what is secret is for its owner.
    let top: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(top.len(), 2, "{top:?}");
    for file in ["run/demo/key.pem", "run/admin.token"] {
        let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}
