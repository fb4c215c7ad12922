//! The files in `conf/`: each is good as it is, and every key that
//! `conf/tidegate.yaml` shows unused is good when it is used.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use crate::support::Authority;
use crate::support::mmdb::{self, Entry};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Keys that act only in a daemon that root has started.
const OF_ROOT: [&str; 2] = ["user", "group"];

/// A hash for a file of users.
pub(crate) const HASH: &str = "$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le";
/// A set of keys (RFC 8037, appendix A.2).
pub(crate) const KEYS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519",
    "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
/// Keys that are a fault without another one.
const NEEDS: [(&str, &str); 3] = [("countries", "geo"), ("asns", "geo"), ("setup", "crs")];

/// The faults of a configuration, as `tidegate -t` run in `folder` tells them.
fn faults(file: &Path, folder: &Path) -> Vec<String> {
    let ran = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("-c")
        .arg(file)
        .arg("-t")
        .current_dir(folder)
        .env_remove("TIDEGATE_TOKEN")
        .output()
        .unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    match ran.status.code() {
        Some(0) => Vec::new(),
        Some(1) => said.lines().map(str::to_owned).collect(),
        _ => panic!("{}: {said}", ran.status),
    }
}

/// Makes every file that the files in `conf/` name, and the folders.
fn fixtures() -> Authority {
    let made = Authority::new();
    for folder in ["tls", "errors", "assets", "pictures", "site", "site/assets"] {
        fs::create_dir(made.dir().join(folder)).unwrap();
    }
    for folder in ["run", "conf.d", "lists", "geo"] {
        fs::create_dir(made.dir().join(folder)).unwrap();
    }
    fs::create_dir_all(made.dir().join("crs/rules")).unwrap();
    for file in ["crs/crs-setup.conf", "crs/rules/REQUEST-901-INITIALIZATION.conf", "rules.conf"] {
        fs::write(made.dir().join(file), "SecComponentSignature \"an example\"\n").unwrap();
    }
    for file in ["errors/503.html", "assets/index.html", "site/index.html"] {
        fs::write(made.dir().join(file), "<p>a page\n").unwrap();
    }
    let country = mmdb::database("Country", &[("192.0.2.0/24", Entry::Country("DE"))]);
    fs::write(made.dir().join("geo/country.mmdb"), country).unwrap();
    let asn = mmdb::database("ASN", &[("192.0.2.0/24", Entry::Asn(64_500))]);
    fs::write(made.dir().join("geo/asn.mmdb"), asn).unwrap();
    for list in ["lists/offices.txt", "lists/bad.txt"] {
        fs::write(made.dir().join(list), "192.0.2.0/24 # an example\n").unwrap();
    }
    for pair in ["tls/example", "tls/client", "tls/shop"] {
        made.write(pair, &["example.com"]);
    }
    for authority in ["tls/ca.pem", "tls/clients.pem"] {
        fs::copy(made.ca(), made.dir().join(authority)).unwrap();
    }
    fs::write(made.dir().join("users"), format!("ann:{HASH}\n")).unwrap();
    fs::write(made.dir().join("keys.json"), KEYS).unwrap();
    let more = "upstreams: { more: { servers: [\"127.0.0.1:9999\"] } }\n";
    fs::write(made.dir().join("conf.d/more.yaml"), more).unwrap();
    made
}

/// A key that is not used: its lines, and those of the keys below it.
struct Unused<'a> {
    key: &'a str,
    lines: Range<usize>,
}

/// What follows the `#` of an unused key, and how far it is indented.
fn unused_key(line: &str) -> Option<(&str, usize)> {
    let text = line.trim_start();
    let key = text.strip_prefix('#').filter(|key| !key.is_empty() && !key.starts_with(' '))?;
    Some((key.split(':').next().unwrap_or(key), line.len() - text.len()))
}

fn find_unused(text: &str) -> Vec<Unused<'_>> {
    let mut found: Vec<Unused<'_>> = Vec::new();
    // The indent of the last one, while its lines go on.
    let mut open = None;
    for (number, line) in text.lines().enumerate() {
        match unused_key(line) {
            Some((_, indent)) if open.is_some_and(|above| indent > above) => {
                found.last_mut().unwrap().lines.end = number + 1;
            }
            Some((key, indent)) => {
                found.push(Unused { key, lines: number..number + 1 });
                open = Some(indent);
            }
            None if line.trim_start().starts_with("# ") => {}
            None => open = None,
        }
    }
    found
}

/// The text with the keys in these lines in use.
pub(crate) fn in_use(text: &str, is_used: impl Fn(usize) -> bool) -> String {
    let line = |(number, line): (usize, &str)| match unused_key(line) {
        Some(_) if is_used(number) => line.replacen('#', "", 1) + "\n",
        _ => format!("{line}\n"),
    };
    text.lines().enumerate().map(line).collect()
}

fn shipped() -> String {
    fs::read_to_string(Path::new(ROOT).join("conf/tidegate.yaml")).unwrap()
}

#[test]
fn the_shipped_file_is_good_as_it_is() {
    let found = faults(Path::new("conf/tidegate.yaml"), Path::new(ROOT));
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_unused_key_may_be_used_alone() {
    let made = fixtures();
    let text = shipped();
    let all = find_unused(&text);
    assert!(all.len() >= 20, "{} unused keys", all.len());
    for unused in all {
        let file = made.dir().join("edge.yaml");
        let keys: Vec<_> = text.lines().map(|line| unused_key(line).map(|(key, _)| key)).collect();
        let has = |key: &str| unused.lines.clone().any(|line| keys[line] == Some(key));
        let needed: Vec<_> =
            NEEDS.iter().filter(|(key, _)| has(key)).map(|(_, needed)| *needed).collect();
        let is_needed = |line: usize| keys[line].is_some_and(|key| needed.contains(&key));
        let is_used = |line: usize| unused.lines.contains(&line) || is_needed(line);
        fs::write(&file, in_use(&text, is_used)).unwrap();
        let found = faults(&file, made.dir());
        if OF_ROOT.contains(&unused.key) {
            let is_expected = found.len() == 1 && found[0].contains("server.");
            assert!(is_expected, "{}: {found:#?}", unused.key);
        } else {
            assert!(found.is_empty(), "`{}` in use: {found:#?}", unused.key);
        }
    }
}

#[test]
fn all_unused_keys_may_be_used_together() {
    let made = fixtures();
    let text = shipped();
    let of_root: Vec<Range<usize>> = find_unused(&text)
        .into_iter()
        .filter(|unused| OF_ROOT.contains(&unused.key))
        .map(|unused| unused.lines)
        .collect();
    let file = made.dir().join("edge.yaml");
    let is_used = |line: usize| !of_root.iter().any(|lines| lines.contains(&line));
    fs::write(&file, in_use(&text, is_used)).unwrap();
    let found = faults(&file, made.dir());
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_example_is_good() {
    let made = fixtures();
    let mut examples = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("conf/examples")).unwrap() {
        let file = entry.unwrap().path();
        let found = faults(&file, made.dir());
        assert!(found.is_empty(), "{found:#?}");
        examples += 1;
    }
    assert!(examples >= 3, "{examples} examples");
}

#[test]
fn a_fixture_that_is_missing_is_a_fault() {
    let made = fixtures();
    fs::remove_file(made.dir().join("tls/shop.key")).unwrap();
    let found = faults(&Path::new(ROOT).join("conf/examples/shop.yaml"), made.dir());
    assert!(found.len() == 1 && found[0].contains("tls/shop.key"), "{found:#?}");
}
