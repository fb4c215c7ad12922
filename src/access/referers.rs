//! Which sites may lead to a route, by what browsers say in Referer.
//!
//! It keeps other sites from showing a site's pictures as their own. It is no
//! lock: any other program may say what it likes.

use http::{HeaderMap, header};

use crate::fault::{Faults, KeyPath};
use crate::route::read_host;
use crate::sanitise::host_and_port;

/// The item that lets requests without a Referer in.
const NONE: &str = "none";
/// Words of `valid_referers`, which would be hosts of that name here.
const OF_NGINX: [&str; 2] = ["blocked", "server_names"];

/// The sites of `access.referers`; every one if it is empty.
#[derive(Debug, Default)]
pub(super) struct Referers {
    hosts: Vec<String>,
    /// Names that every name below them may stand for.
    parents: Vec<String>,
    takes_none: bool,
    takes_all: bool,
}

impl Referers {
    pub(super) fn new(written: &[String]) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let mut read = Referers { takes_all: written.is_empty(), ..Referers::default() };
        for (index, item) in written.iter().enumerate() {
            if item == NONE {
                read.takes_none = true;
                continue;
            }
            if item.eq_ignore_ascii_case(NONE) {
                // Else it would be a host of that name.
                let what = format!("write `{NONE}` in lower case for requests without a Referer");
                faults.add(KeyPath::root().child(index), what);
                continue;
            }
            if OF_NGINX.contains(&item.as_str()) {
                let what =
                    format!("`{item}` is nginx's; write the hosts, and `{NONE}` for no Referer");
                faults.add(KeyPath::root().child(index), what);
                continue;
            }
            let (host, hosts) = match item.strip_prefix("*.") {
                Some(parent) => (parent, &mut read.parents),
                None => (item.as_str(), &mut read.hosts),
            };
            match read_host(host) {
                Ok(host) => hosts.push(host),
                Err(what) => faults.add(KeyPath::root().child(index), what),
            }
        }
        faults.into_result(|| Some(read))
    }

    /// Whether every Referer is of a site that may lead here.
    pub(super) fn take(&self, headers: &HeaderMap) -> bool {
        if self.takes_all {
            return true;
        }
        let mut values = headers.get_all(header::REFERER).iter().peekable();
        match values.peek() {
            None => self.takes_none,
            Some(_) => values.all(|value| self.take_url(value.as_bytes())),
        }
    }

    fn take_url(&self, url: &[u8]) -> bool {
        let Some((host, _)) = authority(url).and_then(host_and_port) else {
            return false;
        };
        let is_below = |parent: &String| {
            host.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
        };
        self.hosts.iter().any(|other| *other == host) || self.parents.iter().any(is_below)
    }
}

/// The authority of a URL. One with a user is that of no host, and no browser
/// says one (RFC 9110 §10.1.3).
fn authority(url: &[u8]) -> Option<&[u8]> {
    let scheme = |name: &[u8]| {
        let (start, rest) = url.split_at_checked(name.len())?;
        start.eq_ignore_ascii_case(name).then_some(rest)
    };
    let rest = scheme(b"https://").or_else(|| scheme(b"http://"))?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn referers(items: &[&str]) -> Result<Referers, Faults> {
        Referers::new(&items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn check(items: &[&str], said: &[&str], expected: bool) {
        let headers = said
            .iter()
            .map(|value| (header::REFERER, HeaderValue::from_str(value).expect("a value")));
        let taken = referers(items).expect("good").take(&headers.collect());
        assert_eq!(taken, expected, "{items:?} {said:?}");
    }

    #[test]
    fn takes_the_sites_that_are_named() {
        check(&[], &[], true);
        check(&[], &["https://evil.example/"], true);
        let own = &["example.com", "*.example.com"];
        check(own, &["https://example.com/page?x"], true);
        check(own, &["http://EXAMPLE.com:8080"], true);
        check(own, &["https://www.shop.example.com/"], true);
        check(&["example.com"], &["https://www.example.com/"], false);
        check(&["*.example.com"], &["https://example.com/"], false);
        check(&["[::1]"], &["http://[::1]:8080/"], true);
        for other in [
            "https://evil.example/",
            "https://badexample.com/",
            "https://example.com.evil.example/",
            "https://evil.example/https://example.com/",
            "https://evil.example?example.com",
            "https://evil.example#@example.com",
            "https://evil.example\\@example.com/",
            "https://example.com@evil.example/",
            "https://a@example.com/",
            "https://example.com\\@evil.example/",
            "ftp://example.com/",
            "//example.com/",
            "example.com",
            "https://",
            "",
        ] {
            check(own, &[other], false);
        }
        check(own, &["https://example.com/", "https://evil.example/"], false);
    }

    #[test]
    fn none_takes_requests_that_say_nothing() {
        check(&["example.com"], &[], false);
        check(&["example.com", "none"], &[], true);
        check(&["none"], &["https://example.com/"], false);
        check(&["none"], &[""], false);
    }

    #[test]
    fn hosts_alone_are_items() {
        for (item, hint) in [
            ("https://example.com/", "without scheme"),
            ("*", "first labels"),
            ("a.*.example.com", "first labels"),
            ("", "no host name"),
            ("None", "write `none` in lower case"),
            ("blocked", "is nginx's"),
            ("server_names", "is nginx's"),
        ] {
            let faults = referers(&["example.com", item]).expect_err(item);
            let said: Vec<_> = faults.iter().map(|f| format!("{}: {}", f.at, f.what)).collect();
            assert!(said.len() == 1 && said[0].starts_with("[1]: "), "{said:?}");
            assert!(said[0].contains(hint), "{said:?}");
        }
    }
}
