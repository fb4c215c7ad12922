//! Paths and queries.

use super::{CASE, Case, HOST, head, once, refused};

fn of(target: &str) -> String {
    head(&[&format!("GET {target} HTTP/1.1"), HOST, CASE])
}

/// Targets that every server reads alike, and those that none shall see.
pub(in super::super) fn targets() -> Vec<Case> {
    let mut cases: Vec<Case> =
        SAME.iter().map(|(written, seen)| once(of(written), ["GET", seen, ""])).collect();
    cases.extend(REFUSED.iter().map(|target| refused(of(target))));
    // Every byte that is no escape, in a path and in a query.
    for byte in (0..=0xff_u8).map(char::from).filter(|byte| !"\r\n% ?#".contains(*byte)) {
        let [path, query] = [format!("/x{byte}y"), format!("/q?x{byte}y")];
        let is_good = |more: &str| byte.is_ascii_alphanumeric() || more.contains(byte);
        let seen = match byte {
            '[' | ']' | '^' | '|' => format!("/x%{:X}y", u32::from(byte)),
            _ => path.clone(),
        };
        cases.push(match is_good("-._~!$&'()*+,;=:@/[]^|") {
            true => once(of(&path), ["GET", &seen, ""]),
            false => refused(of(&path)),
        });
        cases.push(match is_good("-._~!$&'()*+,;=:@/[]^|`{}") {
            true => once(of(&query), ["GET", &query, ""]),
            false => refused(of(&query)),
        });
    }
    cases
}

/// The same, where escapes of slashes and of escapes may pass.
pub(in super::super) fn passed_targets() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("/group%2fname", "/group%2Fname"),
        ("/./a%2Fb/c", "/a%2Fb/c"),
        ("/x/a:%2Fb", "/x/a:%2Fb"),
        ("/a%252Fb", "/a%252Fb"),
        ("/%25%32%66", "/%252f"),
        ("/%252e%252e/a", "/%252e%252e/a"),
    ]
    .iter()
    .map(|(written, seen)| once(of(written), ["GET", seen, ""]))
    .collect();
    for target in [
        "/a%2F..%2Fb",
        "/a%2f%2e%2e%2fb",
        "/..%2Fa",
        "/a/..%2F",
        "/a%2F.",
        "/a/../b%2Fc",
        "/a%5Cb",
        "/a%2F..;/b",
        "/a%2F%00",
        "/%25%",
    ] {
        cases.push(refused(of(target)));
    }
    let fields = head(&["GET /u HTTP/1.1", HOST, CASE, "x_y: z", "auth_token: mine"]);
    cases.push(once(fields, ["GET", "/u", ""]));
    cases
}

const SAME: &[(&str, &str)] = &[
    ("/", "/"),
    ("/a", "/a"),
    ("/a/", "/a/"),
    ("/a/./b", "/a/b"),
    ("/a/../b", "/b"),
    ("/a/b/../../c", "/c"),
    ("/a/b/..", "/a/"),
    ("/a/.", "/a/"),
    ("//a", "/a"),
    ("/a//b///c", "/a/b/c"),
    ("/...", "/..."),
    ("/.a/b..", "/.a/b.."),
    ("/%61%7e%2D%2e%5f", "/a~-._"),
    ("/caf%c3%a9", "/caf%C3%A9"),
    ("/%E2%82%AC/%F0%9F%98%80", "/%E2%82%AC/%F0%9F%98%80"),
    ("/a%20b+c%2Bd", "/a%20b+c%2Bd"),
    ("/a;b=c/d,e", "/a;b=c/d,e"),
    ("/%3f%23%3b", "/%3F%23%3B"),
    ("/%40%3a%26%3d%22%3C%3E%60%7b%7d", "/%40%3A%26%3D%22%3C%3E%60%7B%7D"),
    ("/100%25", "/100%25"),
    ("/[slug]/a|b^c", "/%5Bslug%5D/a%7Cb%5Ec"),
    ("/a?b=c&d[]=e", "/a?b=c&d[]=e"),
    ("/a?b=/../c//d", "/a?b=/../c//d"),
    ("/a?b=%2F%252F%00%0d%0a", "/a?b=%2F%252F%00%0d%0a"),
    ("/a?b?c", "/a?b?c"),
    ("/a/../b?/../c", "/b?/../c"),
    ("/a?b=%c0%af", "/a?b=%c0%af"),
    ("/a?b=%zz%", "/a?b=%zz%"),
];

const REFUSED: &[&str] = &[
    "/..",
    "/../a",
    "/a/../..",
    "/./../a",
    "/a//../b",
    "/a/..//b",
    "/%2e%2e/a",
    "/a/%2e%2e/b",
    "/a/.%2e/b",
    "/a/%2E./b",
    "/a/%2e/b",
    "/..;/a",
    "/a/..;x=y/b",
    "/a/.;/b",
    "/a%2fb",
    "/a%2Fb",
    "/..%2fa",
    "/a%2f..%2fb",
    "/a\\b",
    "/a%5cb",
    "/a\\..\\b",
    "/..%5ca",
    "/a%00b",
    "/a%0ab",
    "/a%0d%0ab",
    "/a%09b",
    "/a%7fb",
    "/%252e%252e/a",
    "/a%252fb",
    "/%25%32%66",
    "/%25252f",
    "/a%",
    "/a%2",
    "/a%zz",
    "/a%u002f",
    "/a%-1",
    "/%c0%ae%c0%ae/a",
    "/a%c0%afb",
    "/a%e0%80%afb",
    "/a%f0%80%80%afb",
    "/a%ed%a0%80",
    "/a%ff",
    "/a%c3",
    "/a%c3/%a9",
    "/a#b",
    "/a?b#c",
    "/a b",
    "/a?b c",
    "/\u{e9}",
    "/\u{c0}\u{af}",
    "/a?\u{e9}",
    "a",
    "?a",
    "./a",
    "*",
    "**",
    "/ HTTP/1.1\r\nhost: b.example\r\nx: ",
];
