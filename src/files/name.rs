//! From a path of a URL to a name below the folder.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::Missing;

/// Where software looks for facts about a site (RFC 8615): the one dot name for clients.
const WELL_KNOWN: &[u8] = b".well-known";

/// A relative name of which no segment leads up, out, or to a hidden file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    /// Empty for the folder itself.
    pub path: PathBuf,
    /// Whether it was written as a folder's, with a `/` at its end.
    pub is_folder: bool,
}

impl Name {
    /// Reads a percent-encoded path, with or without its first `/`.
    pub(super) fn parse(path: &str) -> Result<Name, Missing> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut name = PathBuf::new();
        if path.is_empty() {
            return Ok(Name { path: name, is_folder: true });
        }
        let (path, is_folder) = match path.strip_suffix('/') {
            Some(path) => (path, true),
            None => (path, false),
        };
        for segment in path.split('/') {
            // One file, one name: `a//b` is not `a/b`.
            if segment.is_empty() {
                return Err(Missing::NotFound);
            }
            // Decoded one by one, an encoded separator cannot become one.
            let segment: Vec<u8> = percent_decode_str(segment).collect();
            if !is_servable(&segment) {
                return Err(Missing::Forbidden);
            }
            name.push(OsStr::from_bytes(&segment));
        }
        Ok(Name { path: name, is_folder })
    }

    /// Reads a relative file name as an operator writes it.
    pub(super) fn from_config(text: &str) -> Option<PathBuf> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let is_good = text.split('/').all(|s| !s.is_empty() && is_servable(s.as_bytes()));
        is_good.then(|| PathBuf::from(text))
    }
}

fn is_servable(segment: &[u8]) -> bool {
    let is_hidden = segment.starts_with(b".") && segment != WELL_KNOWN;
    !is_hidden && !segment.iter().any(|byte| matches!(byte, b'/' | b'\\' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<(&str, bool)>) {
        let name = Name::parse(path).ok();
        let found = name.as_ref().and_then(|n| Some((n.path.to_str()?, n.is_folder)));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn reads_names_and_folders() {
        check("/a.txt", Some(("a.txt", false)));
        check("a.txt", Some(("a.txt", false)));
        check("/a/b/", Some(("a/b", true)));
        check("/", Some(("", true)));
        check("", Some(("", true)));
        check("/a%20b/%C3%A9", Some(("a b/é", false)));
        check("/.well-known/security.txt", Some((".well-known/security.txt", false)));
    }

    #[test]
    fn refuses_what_leads_elsewhere() {
        for path in [
            "/..",
            "/../etc/passwd",
            "/a/../../b",
            "/./a",
            "/%2e%2e/a",
            "/%2E%2E%2Fa",
            "/a%2fb",
            "/a%5cb",
            "/..%5c..%5ca",
            "/a%00.html",
            "/a/%2e",
        ] {
            assert!(matches!(Name::parse(path), Err(Missing::Forbidden)), "{path}");
        }
    }

    #[test]
    fn refuses_hidden_files() {
        for path in ["/.env", "/a/.git/config", "/%2eenv", "/.well-known2", "/.well-known/.x"] {
            assert!(matches!(Name::parse(path), Err(Missing::Forbidden)), "{path}");
        }
    }

    #[test]
    fn a_file_has_one_name() {
        for path in ["//", "//a", "/a//b", "/a//"] {
            assert!(matches!(Name::parse(path), Err(Missing::NotFound)), "{path}");
        }
    }

    #[test]
    fn names_of_the_configuration_stay_inside_too() {
        assert_eq!(Name::from_config("/app/index.html"), Some(PathBuf::from("app/index.html")));
        for bad in ["", "/", "../a", "a/..", ".htaccess", "a//b", "a/"] {
            assert_eq!(Name::from_config(bad), None, "{bad}");
        }
    }
}
