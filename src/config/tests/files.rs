//! Files that include others.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::units::Period;

/// A folder of files that goes when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn with(test: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("tidegate-{}-{test}", std::process::id()));
        for (name, text) in files {
            let path = root.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Folder(root)
    }

    fn load(&self) -> Result<Fixture, Vec<String>> {
        let loaded = LOADER.load::<Fixture>(&self.0.join("main.yaml"));
        let folder = format!("{}/", self.0.display());
        loaded
            .and_then(whole)
            .map_err(|report| report.lines().iter().map(|line| line.replace(&folder, "")).collect())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("removed");
    }
}

#[test]
fn included_files_are_merged() {
    let folder = Folder::with(
        "merge",
        &[
            (
                "main.yaml",
                "include: [conf.d/*.yaml, 'none/*.yaml', '${UNSET:-last}.yml']\n\
                 server: { daemon: on }\n\
                 upstreams: { a: {} }\n\
                 routes: [{ upstream: a }]\n",
            ),
            ("conf.d/2.yaml", "routes: [{ upstream: c }]\ncache: { disks: [y] }\n"),
            (
                "conf.d/1.yaml",
                "include: [sub/x.yaml]\n\
                 server: { drain: 5s }\n\
                 upstreams: { b: {} }\n\
                 routes: [{ upstream: b }]\n\
                 cache: { disks: [x] }\n",
            ),
            ("conf.d/.hidden.yaml", "nonsense: 1\n"),
            ("conf.d/other.txt", "nonsense: 1\n"),
            ("conf.d/sub/x.yaml", "cache: { profiles: { p: {} } }\n"),
            ("last.yml", ""),
        ],
    );
    let config = folder.load().expect("good");
    assert!(config.server.daemon);
    assert_eq!(config.server.drain, Period::from_secs(5));
    assert_eq!(config.upstreams.keys().collect::<Vec<_>>(), ["a", "b"]);
    let routes: Vec<_> = config.routes.iter().map(|route| route.upstream.as_str()).collect();
    assert_eq!(routes, ["a", "b", "c"]);
    assert_eq!(config.cache.disks, ["x", "y"]);
    assert!(config.cache.profiles.contains_key("p"));
}

#[test]
fn what_two_files_give_is_a_fault_with_both_places() {
    let folder = Folder::with(
        "twice",
        &[
            (
                "main.yaml",
                "include: [a.yaml]\n\
                 server: { drain: 5s }\n\
                 upstreams: { app: { servers: [x] } }\n\
                 cache: { profiles: { p: {} } }\n",
            ),
            (
                "a.yaml",
                "server: { drain: 6s, daemon: perhaps }\n\
                 upstreams:\n  app: { servers: [y] }\n\
                 cache: { profiles: { p: {} } }\n\
                 routes: [{ upstream: [] }]\n",
            ),
        ],
    );
    assert_eq!(
        folder.load().expect_err("faults"),
        [
            "a.yaml:1:11: server.drain: is given twice; first at main.yaml:2:11",
            "a.yaml:1:30: server.daemon: expected on or off, found `perhaps`",
            "a.yaml:3:3: upstreams.app: is given twice; first at main.yaml:3:14",
            "a.yaml:4:22: cache.profiles.p: is given twice; first at main.yaml:4:22",
            "a.yaml:5:12: routes[0].upstream: expected a string, found a list",
        ]
    );
}

#[test]
fn refuses_includes_that_cannot_be_followed() {
    let folder = Folder::with(
        "follow",
        &[
            ("main.yaml", "include: [a.yaml, none.yaml, '*/x.yaml', [], list.yaml, latin.yaml]\n"),
            ("a.yaml", "include:\n  - b.yaml\n"),
            ("b.yaml", "include: [main.yaml, a.yaml]\n"),
            ("list.yaml", "- a\n"),
        ],
    );
    fs::write(folder.0.join("latin.yaml"), b"server:\n  token: caf\xe9\n").expect("written");
    assert_eq!(
        folder.load().expect_err("faults"),
        [
            "b.yaml:1:11: include[0]: `main.yaml` is read already; first named at main.yaml:1:1",
            "b.yaml:1:22: include[1]: `a.yaml` is read already; first named at main.yaml:1:11",
            "latin.yaml:2:13: a character here is unprintable or not UTF-8",
            "list.yaml:1:1: an included file must be a mapping",
            "main.yaml:1:19: include[1]: `none.yaml` cannot be read: No such file or directory (os error 2)",
            "main.yaml:1:30: include[2]: `*` may stand only in the last part of a path",
            "main.yaml:1:42: include[3]: expected the name of a file",
        ]
    );
    let missing = LOADER.load::<Fixture>(Path::new("/nonexistent/t.yaml"));
    let missing = missing.map(drop).expect_err("missing");
    assert_eq!(
        missing.to_string(),
        "/nonexistent/t.yaml:1:1: cannot be read: No such file or directory (os error 2)"
    );
    check("include: x.yaml", &["1:10: include: expected a list of files"]);
}
