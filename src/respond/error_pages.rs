//! The operator's own pages for errors, read when the configuration is loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::StatusCode;

use crate::fault::Faults;
use crate::watch::read_file;

/// Pages are held in memory and sent to clients in trouble: small ones serve best.
const LARGEST: u64 = 256 * 1024;

/// The file of the page for each status: `503: errors/503.html`.
pub(crate) type Config = BTreeMap<String, PathBuf>;

/// Pages by status.
#[derive(Debug, Clone, Default)]
pub(crate) struct ErrorPages(BTreeMap<u16, Bytes>);

impl ErrorPages {
    /// Reads every page; blocks on the disk.
    pub(crate) fn new(config: &Config) -> Result<ErrorPages, Faults> {
        let mut faults = Faults::none();
        let mut pages = BTreeMap::new();
        for (status, path) in config {
            let page = read_page(status, path).map_err(Faults::one);
            pages.extend(faults.collect(status.as_str(), page));
        }
        faults.into_result(|| Some(ErrorPages(pages)))
    }

    pub(super) fn find(&self, status: StatusCode) -> Option<Bytes> {
        self.0.get(&status.as_u16()).cloned()
    }
}

fn read_page(status: &str, path: &Path) -> Result<(u16, Bytes), String> {
    let status = status.parse().ok().filter(|status| (400..=599).contains(status));
    let status = status.ok_or("only errors, 400 to 599, have pages")?;
    let page = read_file(path, LARGEST).map_err(|what| format!("`{}`: {what}", path.display()))?;
    Ok((status, page.into()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn holds_what_the_files_say() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("page");
        fs::write(&path, "sorry").expect("a file");
        let pages =
            ErrorPages::new(&[("404".to_owned(), path.clone()), ("599".to_owned(), path)].into())
                .expect("pages");
        assert_eq!(pages.find(StatusCode::NOT_FOUND), Some(Bytes::from("sorry")));
        assert_eq!(pages.find(StatusCode::BAD_GATEWAY), None);
    }

    #[test]
    fn every_fault_names_its_status() {
        let folder = tempfile::tempdir().expect("a folder");
        let small = folder.path().join("small");
        let large = folder.path().join("large");
        fs::write(&small, "sorry").expect("a file");
        fs::write(&large, vec![b' '; LARGEST as usize + 1]).expect("a file");
        let config = [
            ("200", small.clone()),
            ("399", small.clone()),
            ("404", folder.path().join("none")),
            ("500", large),
            ("502", small.clone()),
            ("503", folder.path().to_owned()),
            ("600", small.clone()),
            ("5xx", small),
        ];
        let config = config.map(|(status, path)| (status.to_owned(), path));
        let faults = ErrorPages::new(&config.into()).expect_err("faults");
        let keys: Vec<_> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(keys, ["200", "399", "404", "500", "503", "5xx", "600"]);
    }
}
