//! Networks that may ask and those that may not, some of them in files.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, KeyPath};
use crate::networks::{Network, Networks};
use crate::units::Unreadable;
use crate::watch::{Refresh, Watched, read_file};

/// The most networks of one file.
const MOST_NETWORKS: usize = 1_000_000;
/// The largest file: as many of the longest networks, with room for comments.
const LARGEST_FILE: u64 = 128 << 20;
/// Letters of the longest network: an IPv4 address within IPv6, and its prefix.
const LONGEST: usize = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128".len();
/// So many faults of a file are told; the rest is a number.
const MOST_TOLD: usize = 3;

/// An item of `allow` and `deny`: a network, or a file of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a network or { file: PATH }")]
pub(crate) enum Item {
    Network(Network),
    File(ListFile),
}

/// A file with one network a line; what follows a `#` is a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListFile {
    /// Its path. It is read again when it changes.
    pub file: PathBuf,
}

/// Every file of networks that a site's routes name; each is read once.
#[derive(Debug, Default)]
pub(crate) struct ListFiles {
    by_path: HashMap<PathBuf, Result<Arc<Watched<Networks>>, String>>,
}

impl ListFiles {
    pub(super) fn open<'a>(items: impl Iterator<Item = &'a Item>) -> Self {
        let mut by_path = HashMap::new();
        for item in items {
            if let Item::File(ListFile { file }) = item
                && !by_path.contains_key(file)
            {
                let opened = Watched::open(file, read_list).map(Arc::new);
                by_path.insert(file.clone(), opened);
            }
        }
        ListFiles { by_path }
    }

    /// The files, to be read again when they change.
    pub(crate) fn files(&self) -> impl Iterator<Item = Arc<dyn Refresh>> {
        let opened = self.by_path.values().flatten().cloned();
        opened.map(|file| -> Arc<dyn Refresh> { file })
    }

    fn find(&self, path: &Path) -> Result<Arc<Watched<Networks>>, String> {
        let unopened = || Err(format!("{} was not opened", path.display()));
        self.by_path.get(path).cloned().unwrap_or_else(unopened)
    }
}

/// One of `allow` and `deny`.
#[derive(Debug)]
pub(super) struct List {
    written: Networks,
    files: Vec<Arc<Watched<Networks>>>,
}

impl List {
    /// Reads the items; none if there are none. A file without networks is a
    /// list all the same: `allow` lets nobody in then.
    pub(super) fn new(items: &[Item], files: &ListFiles) -> Result<Option<Self>, Faults> {
        let mut faults = Faults::none();
        let (mut written, mut found) = (Vec::new(), Vec::new());
        for (index, item) in items.iter().enumerate() {
            match item {
                Item::Network(network) => written.push(*network),
                Item::File(ListFile { file }) => match files.find(file) {
                    Ok(list) => found.push(list),
                    Err(what) => faults.add(KeyPath::root().child(index).child("file"), what),
                },
            }
        }
        let list = List { written: Networks::new(&written), files: found };
        faults.into_result(|| Some((!items.is_empty()).then_some(list)))
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.written.contains(address)
            || self.files.iter().any(|file| file.load().contains(address))
    }
}

/// Reads a file of networks; the error names the lines.
fn read_list(path: &Path) -> Result<Networks, String> {
    let bytes = read_file(path, LARGEST_FILE)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut networks, mut wrong, mut untold) = (Vec::new(), Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if networks.len() == MOST_NETWORKS {
            let name = path.display();
            return Err(format!("{name}:{number}: a file has at most {MOST_NETWORKS} networks"));
        }
        match line.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(Unreadable(what)) if wrong.len() < MOST_TOLD => {
                // A long line is of another kind of file, whose secrets are not ours to tell.
                let what = if line.len() > LONGEST { "the line is no network" } else { &what };
                wrong.push(format!("{}:{number}: {what}", path.display()));
            }
            Err(_) => untold += 1,
        }
    }
    if untold > 0 {
        wrong.push(format!("and {untold} more lines"));
    }
    if wrong.is_empty() { Ok(Networks::new(&networks)) } else { Err(wrong.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("bad.txt");
        std::fs::write(&path, text).expect("writable");
        let said =
            read_list(&path).map_err(|what| what.replace(&format!("{}:", path.display()), ""));
        match (said, expected) {
            (Ok(read), Ok(networks)) => {
                let parse = |text: &&str| text.parse().expect("a network");
                let networks: Vec<Network> = networks.iter().map(parse).collect();
                assert_eq!(read, Networks::new(&networks), "{text:?}");
            }
            (Err(said), Err(expected)) => assert_eq!(said, expected, "{text:?}"),
            (said, expected) => panic!("{text:?}: {said:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn reads_a_network_a_line() {
        check("", Ok(&[]));
        check("# nothing\n\n  \n", Ok(&[]));
        check("\u{feff}10.0.0.0/8\r\n", Ok(&["10.0.0.0/8"]));
        check("10.0.0.0/8 # ours\n\t::1\n192.0.2.1", Ok(&["10.0.0.0/8", "::1", "192.0.2.1"]));
        check(
            "::1\nexample.com\n",
            Err("2: `example.com` is no network; write 10.0.0.0/8, 2001:db8::/32 or ::1"),
        );
        check("10.0.0.1/8\n", Err("1: `10.0.0.1/8` has bits set beyond its /8; write 10.0.0.0/8"));
        let said = |number: u32| {
            format!("{number}: `x` is no network; write 10.0.0.0/8, 2001:db8::/32 or ::1")
        };
        let all = [said(1), said(3), said(4), "and 2 more lines".to_owned()].join("; ");
        check("x\n::1\nx\nx\nx\nx\n", Err(&all));
        check(&"x".repeat(80), Err("1: the line is no network"));
        check("\u{fffd}", Err(&said(1).replace('x', "\u{fffd}")));
    }

    #[test]
    fn a_file_has_a_bounded_number_of_networks() {
        let line = "10.0.0.1\n";
        check(&line.repeat(MOST_NETWORKS), Ok(&["10.0.0.1"]));
        let said = format!("{}: a file has at most 1000000 networks", MOST_NETWORKS + 1);
        check(&line.repeat(MOST_NETWORKS + 1), Err(&said));
    }

    #[test]
    fn a_list_of_no_items_is_none_and_one_of_an_empty_file_is_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("empty.txt");
        std::fs::write(&file, "").expect("writable");
        let items = [Item::File(ListFile { file })];
        let files = ListFiles::open(items.iter());
        assert_eq!(files.files().count(), 1);
        assert!(List::new(&[], &files).expect("good").is_none());
        let list = List::new(&items, &files).expect("good").expect("a list");
        assert!(!list.contains("10.0.0.1".parse().expect("an address")));
    }
}
