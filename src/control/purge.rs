//! Purges as operators ask for them: `/api/cache/purge`.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use serde::{Deserialize, Serialize};
use tidegate_store::{Manner, Target as Purged};

use crate::cache::{self, Place, Scheme, Target, label_of_searches, label_of_tag};
use crate::sanitise::{Head, Strict};
use crate::site::{Site, State};

pub(super) const PURGE: &str = "/api/cache/purge";

/// What is to be purged: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    /// All that is kept for one URL.
    Url(String),
    /// All whose URL begins so.
    Prefix(String),
    /// All of a host, whatever its port.
    Host(String),
    /// All that a server has given this tag.
    Tag(String),
    All(bool),
}

/// A purge, as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    #[serde(flatten)]
    pub what: What,
    /// It is only stale from then on: there if its server is not, and validated.
    #[serde(default)]
    pub soft: bool,
}

/// What the store is asked to purge.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    All,
    Subject(Vec<u8>),
    Prefix(Vec<u8>),
    Tag(u64),
}

/// What is wrong with a purge that names more than one thing: one of them would stay.
fn one_too_many(body: &[u8]) -> Option<String> {
    let named: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(body).ok()?;
    let names: Vec<_> = named.keys().filter(|name| *name != "soft").map(String::as_str).collect();
    (names.len() > 1).then(|| format!("write one of {}\n", names.join(", ")))
}

/// Purges; the status, and a line for who asked.
pub(super) async fn purge(
    body: &[u8],
    who: Option<SocketAddr>,
    site: &Site,
    state: &State,
) -> (StatusCode, String) {
    let wish: Wish = match serde_json::from_slice(body) {
        Ok(wish) => wish,
        Err(error) => {
            let what = "one of url, prefix, host, tag and all, and soft";
            let what = format!("write {{\"url\": \"https://example.com/x\"}}, {what}: {error}\n");
            return (StatusCode::UNPROCESSABLE_ENTITY, what);
        }
    };
    if let Some(what) = one_too_many(body) {
        return (StatusCode::UNPROCESSABLE_ENTITY, what);
    }
    let found = match find(&wish.what, site) {
        Ok(found) => found,
        Err(what) => return (StatusCode::UNPROCESSABLE_ENTITY, format!("{what}\n")),
    };
    let manner = if wish.soft { Manner::Soft } else { Manner::Hard };
    let vault = state.vault;
    // With disks it is written down, which waits for them.
    let purged = tokio::task::spawn_blocking(move || {
        let targets: Vec<Purged<'_>> = found.iter().map(Found::target).collect();
        vault.store.purge(&targets, manner, cache::now()).map_err(|error| error.to_string())
    });
    let who = who.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
    match purged.await.map_err(|error| error.to_string()).and_then(|purged| purged) {
        Ok(_) => {
            ::log::info!("admin: {who} purged {:?}", wish.what);
            (StatusCode::OK, "purged\n".to_owned())
        }
        Err(error) => {
            ::log::error!(
                "admin: {who} purged {:?}, and it is not written down: {error}",
                wish.what
            );
            let what = format!("purged, and the next process may not know of it: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, what)
        }
    }
}

impl Found {
    fn target(&self) -> Purged<'_> {
        match self {
            Found::All => Purged::All,
            Found::Subject(subject) => Purged::Subject(subject),
            Found::Prefix(prefix) => Purged::Prefix(prefix),
            Found::Tag(tag) => Purged::Tag(*tag),
        }
    }
}

fn find(what: &What, site: &Site) -> Result<Vec<Found>, String> {
    match what {
        What::All(true) => Ok(vec![Found::All]),
        What::All(false) => Err("all: write true, or something else".to_owned()),
        What::Tag(tag) if tag.is_empty() => Err("tag: is empty".to_owned()),
        What::Tag(tag) => Ok(vec![Found::Tag(label_of_tag(tag))]),
        What::Host(host) => {
            let subject = subject(&format!("http://{host}/"), None)?;
            let host = subject.strip_suffix(b"/").unwrap_or(&subject).to_vec();
            let after = |end: &[u8]| Found::Prefix([&host, end].concat());
            // One that names a port is for that alone.
            let is_bare = !host.ends_with(b"]") && !host.contains(&b':') || host.ends_with(b"]");
            Ok(if is_bare { vec![after(b"/"), after(b":")] } else { vec![after(b"/")] })
        }
        What::Prefix(prefix) => Ok(vec![Found::Prefix(subject(prefix, None)?)]),
        What::Url(url) => {
            let mut found = vec![Found::Subject(subject(url, None)?)];
            // Of the query counts what the profile of its route says.
            for route in site.routes() {
                let Some(profile) = &route.cache else { continue };
                let other = Found::Subject(subject(url, Some(profile))?);
                if !found.contains(&other) {
                    found.push(other);
                }
            }
            // By any query, what is found by some of them.
            let searches = label_of_searches(&subject(url, None)?);
            found.push(Found::Tag(searches));
            Ok(found)
        }
    }
}

/// A URL as responses are labelled by it.
fn subject(url: &str, profile: Option<&cache::Profile>) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{url}` is no URL; write https://example.com/x");
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let scheme = match uri.scheme_str() {
        Some("http") => Scheme::Http,
        Some("https") => Scheme::Https,
        _ => return Err(wrong()),
    };
    let authority = uri.authority().ok_or_else(wrong)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| wrong())?;
    let headers = HeaderMap::from_iter([(header::HOST, host)]);
    let strict = Strict::default();
    let head = Head::read(&Method::GET, &uri, Version::HTTP_11, &headers, &strict);
    let head = head.map_err(|_| wrong())?;
    let target =
        Target { scheme, host: &head.host, port: head.port, path: &head.path, query: head.query };
    let shape = profile.map(|profile| profile.shape.clone()).unwrap_or_default();
    Ok(Place::new(&target, &shape).subject().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::log::Metrics;

    fn check(what: What, expected: &[Found]) {
        let config = "{ upstreams: { a: { servers: ['127.0.0.1:1'] } },
            cache: { profiles: { p: { key: { query: { drop: [utm_*] } } } } },
            routes: [{ upstream: a, cache: p }], defaults: { waf: off } }";
        let config: Config = serde_yaml::from_str(config).expect("well-formed");
        let site = Site::build(&config, &Metrics::new(), None).expect("good");
        assert_eq!(find(&what, &site).expect("found"), expected, "{what:?}");
    }

    fn url(url: &str) -> What {
        What::Url(url.to_owned())
    }

    #[test]
    fn what_is_asked_for_is_what_responses_are_labelled_by() {
        let one = |subject: &str| Found::Subject(subject.into());
        let by_any_query = |path: &str| Found::Tag(label_of_searches(path.as_bytes()));
        check(
            url("https://A.example:443/x/../y?b=1"),
            &[one("a.example/y?b=1"), by_any_query("a.example/y")],
        );
        check(
            url("http://a.example:81/y?utm_a=1&b=2"),
            &[
                one("a.example:81/y?utm_a=1&b=2"),
                one("a.example:81/y?b=2"),
                by_any_query("a.example:81/y?c"),
            ],
        );
        let after = |prefix: &str| Found::Prefix(prefix.into());
        check(What::Prefix("https://a.example/x".to_owned()), &[after("a.example/x")]);
        check(What::Host("A.example".to_owned()), &[after("a.example/"), after("a.example:")]);
        check(What::Host("a.example:81".to_owned()), &[after("a.example:81/")]);
        check(What::Host("[::1]".to_owned()), &[after("[::1]/"), after("[::1]:")]);
        check(What::All(true), &[Found::All]);
        check(What::Tag("a".to_owned()), &[Found::Tag(label_of_tag("a"))]);
    }

    #[test]
    fn what_is_none_is_told() {
        let site = Site::build(&Config::default(), &Metrics::new(), None).expect("good");
        for what in [
            url("/x"),
            url("ftp://a.example/"),
            url("https://a b/"),
            What::Host(String::new()),
            What::Prefix("a.example/".to_owned()),
            What::Tag(String::new()),
            What::All(false),
        ] {
            assert!(find(&what, &site).is_err(), "{what:?}");
        }
    }
}
