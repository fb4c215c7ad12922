//! No path leads out of the folder, or to what is hidden in it.

use std::os::unix::fs::symlink;

use http::{Request, Uri};

use super::{Folder, get, told};
use crate::support::{Client, Edge, H2Client};

const SECRET: &str = "nobody may read this";

/// A site with a secret beside it, and links in and out.
fn folder() -> Folder {
    let folder = Folder::with(&[
        ("index.html", b"home"),
        ("page.txt", b"page"),
        ("docs/page.txt", b"docs page"),
        (".env", SECRET.as_bytes()),
        (".git/config", SECRET.as_bytes()),
        ("docs/.htpasswd", SECRET.as_bytes()),
        ("..hidden/page.txt", SECRET.as_bytes()),
        (".well-known/security.txt", b"contact"),
        (".well-known/.hidden", SECRET.as_bytes()),
    ]);
    let root = folder.root();
    std::fs::write(folder.around().join("secret"), SECRET).unwrap();
    std::fs::create_dir(folder.around().join("site-backup")).unwrap();
    std::fs::write(folder.around().join("site-backup/secret"), SECRET).unwrap();
    for (target, link) in [
        ("docs/page.txt", "link"),
        ("docs", "folder-link"),
        ("../secret", "out"),
        ("..", "up"),
        ("/", "top"),
        ("/proc/self/environ", "environ"),
        (".env", "env"),
        ("nowhere", "dangling"),
        ("loop", "loop"),
    ] {
        symlink(target, root.join(link)).unwrap();
    }
    let absolute = folder.around().join("secret");
    symlink(absolute, root.join("absolute")).unwrap();
    folder
}

/// Asks for each path as it is, in origin and absolute form and over h2.
async fn check_unreachable(edge: &Edge, paths: &[&str]) {
    for path in paths {
        for target in [(*path).to_owned(), format!("http://a.example{path}")] {
            let answer = get(edge, &target, "").await;
            assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
            assert!(!answer.text().contains(SECRET), "{target}");
        }
        let Ok(uri) = format!("http://a.example{path}").parse::<Uri>() else { continue };
        let request = Request::get(uri).body(()).unwrap();
        let answer = H2Client::connect(edge.addr()).await.ask(request, "").await;
        let answer = answer.unwrap().response;
        assert!(matches!(answer.status, 400 | 404), "h2 {path}: {answer:?}");
        assert!(!answer.text().contains(SECRET), "h2 {path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_climbs_out() {
    let folder = folder();
    let edge = folder.serve("");
    let paths = [
        "/../secret",
        "/docs/../../secret",
        "/./../secret",
        "/..",
        "/../site-backup/secret",
        "/%2e%2e/secret",
        "/%2E./secret",
        "/.%2e/secret",
        "/docs/%2e%2e/%2e%2e/secret",
        "/..%2fsecret",
        "/..%2Fsecret",
        "/docs/..%2f..%2fsecret",
        "/%2e%2e%2fsecret",
        "/..\\secret",
        "/..%5csecret",
        "/%252e%252e/secret",
        "/..%252fsecret",
        "/%c0%ae%c0%ae/secret",
        "/..%c0%afsecret",
        "/..;/secret",
        "/..;x=y/secret",
        "//../secret",
        "/.//../secret",
        "/page.txt/../../secret",
        "/etc/passwd",
        "//etc/passwd",
        "/file:///etc/passwd",
    ];
    check_unreachable(&edge, &paths).await;
    // To the root and no farther, a path may climb.
    assert_eq!(told(&edge, "/docs/../page.txt", "").await.1, "page");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_control_byte_cuts_a_name_short() {
    let folder = folder();
    let edge = folder.serve("");
    let paths = ["/page.txt%00", "/%00page.txt", "/page.txt%00.png", "/docs%00/page.txt", "/a%0a"];
    check_unreachable(&edge, &paths).await;
    let raw = b"GET /page.txt\0 HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), raw).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_leads_out() {
    let folder = folder();
    let edge = folder.serve("");
    let paths = [
        "/out",
        "/absolute",
        "/up/secret",
        "/up/site/page.txt",
        "/top/etc/passwd",
        "/environ",
        "/dangling",
        "/loop",
        "/folder-link/../secret",
    ];
    check_unreachable(&edge, &paths).await;
    assert_eq!(told(&edge, "/link", "").await, (200, "docs page".to_owned()));
    assert_eq!(told(&edge, "/folder-link/page.txt", "").await.1, "docs page");
    // One that the operator has made to a hidden file is meant.
    assert_eq!(told(&edge, "/env", "").await.1, SECRET);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_not_served() {
    let folder = folder();
    let edge = folder.serve("");
    let paths = [
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/.git/",
        "/.git",
        "/docs/.htpasswd",
        "/docs/%2Ehtpasswd",
        "/..hidden/page.txt",
        "/.well-known/.hidden",
        "/.well-known",
        "/./.env",
        "/docs/../.env",
        "/folder-link/.htpasswd",
    ];
    check_unreachable(&edge, &paths).await;
    assert_eq!(told(&edge, "/.well-known/security.txt", "").await, (200, "contact".to_owned()));
}

/// nginx's `location /assets { alias /srv/site/; }` serves `/assets../secret`.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_is_no_way_beside_the_folder() {
    let folder = folder();
    let edge = Edge::start_with(
        "listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
routes:
  - { match: { path_prefix: /assets }, files: { root: '{root}' } }
  - { match: { path_prefix: /slash/ }, files: { root: '{root}' } }",
        &[("root", &folder.root().display())],
    );
    assert_eq!(told(&edge, "/assets/page.txt", "").await.1, "page");
    assert_eq!(told(&edge, "/slash/page.txt", "").await.1, "page");
    assert_eq!(told(&edge, "/assets//page.txt", "").await.1, "page");
    let paths = [
        "/assets../secret",
        "/assets..%2fsecret",
        "/assets/../secret",
        "/assets/%2e%2e/secret",
        "/slash../secret",
        "/slash/../secret",
        "/slash/..%2fsecret",
        "/assets-backup/secret",
        "/slash//etc/passwd",
        "/assets/.env",
    ];
    check_unreachable(&edge, &paths).await;
}
