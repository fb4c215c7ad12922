//! Networks that may ask and those that may not, some of them in files.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::networks::{Network, Networks};
use crate::units::Unreadable;
use crate::watch::{Holdings, Watched, WatchedFiles, read_file};

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

/// Every file of networks that a site's routes name.
pub(super) type ListFiles = WatchedFiles<Listed>;

/// Opens the files among `items`.
pub(super) fn open<'a>(items: impl Iterator<Item = &'a Item>) -> ListFiles {
    let paths = items.filter_map(|item| match item {
        Item::Network(_) => None,
        Item::File(ListFile { file }) => Some(file.as_path()),
    });
    ListFiles::open(paths, read_list)
}

/// What a file of networks says.
#[derive(Debug, PartialEq)]
pub(super) struct Listed {
    networks: Networks,
    // Of lines; the set joins networks that touch.
    count: usize,
}

impl Holdings for Listed {
    fn told(&self) -> String {
        format!("{} networks", self.count)
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// One of `allow` and `deny`.
#[derive(Debug)]
pub(super) struct List {
    written: Networks,
    files: Vec<Arc<Watched<Listed>>>,
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
                    Err(whats) => faults.extend(Faults::each(whats).under("file").under(index)),
                },
            }
        }
        let list = List { written: Networks::new(&written), files: found };
        faults.into_result(|| Some((!items.is_empty()).then_some(list)))
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        self.written.contains(address)
            || self.files.iter().any(|file| file.load().networks.contains(address))
    }
}

/// Reads a file of networks; the error names the lines.
fn read_list(path: &Path) -> Result<Listed, Vec<String>> {
    let bytes = read_file(path, LARGEST_FILE);
    let bytes = bytes.map_err(|what| vec![format!("{}: {what}", path.display())])?;
    read_lines(&path.display().to_string(), &bytes)
}

/// The networks of the bytes of a file of this name.
#[cfg(any(test, fuzzing))]
pub(crate) fn parse_list(name: &str, bytes: &[u8]) -> Result<Networks, String> {
    read_lines(name, bytes).map(|listed| listed.networks).map_err(|wrong| wrong.join("; "))
}

fn read_lines(name: &str, bytes: &[u8]) -> Result<Listed, Vec<String>> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (mut networks, mut wrong, mut untold) = (Vec::new(), Vec::new(), 0);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if networks.len() == MOST_NETWORKS {
            let what = format!("{name}:{number}: a file has at most {MOST_NETWORKS} networks");
            return Err(vec![what]);
        }
        match line.parse::<Network>() {
            Ok(network) => networks.push(network),
            Err(Unreadable(what)) if wrong.len() < MOST_TOLD => {
                // A long line is of another kind of file, whose secrets are not ours to tell.
                let what = if line.len() > LONGEST { "the line is no network" } else { &what };
                wrong.push(format!("{name}:{number}: {what}"));
            }
            Err(_) => untold += 1,
        }
    }
    if untold > 0 {
        wrong.push(format!("and {untold} more lines"));
    }
    if !wrong.is_empty() {
        return Err(vec![wrong.join("; ")]);
    }
    Ok(Listed { networks: Networks::new(&networks), count: networks.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&[&str], &str>) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("bad.txt");
        std::fs::write(&path, text).expect("writable");
        let said = read_list(&path)
            .map_err(|what| what.concat().replace(&format!("{}:", path.display()), ""));
        match (said, expected) {
            (Ok(read), Ok(networks)) => {
                let parse = |text: &&str| text.parse().expect("a network");
                let networks: Vec<Network> = networks.iter().map(parse).collect();
                assert_eq!(read.networks, Networks::new(&networks), "{text:?}");
                assert_eq!(read.is_empty(), networks.is_empty(), "{text:?}");
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
        let files = open(items.iter());
        assert_eq!(files.files().count(), 1);
        assert!(List::new(&[], &files).expect("good").is_none());
        let list = List::new(&items, &files).expect("good").expect("a list");
        assert!(!list.contains("10.0.0.1".parse().expect("an address")));
    }
}
