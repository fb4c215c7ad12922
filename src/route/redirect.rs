//! Where a redirect sends the client.
//!
//! The Location leads only where the operator's template says: the path is in
//! normal form and never starts like a host, and nothing but `{host}` may stand
//! in the host part.

use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::sanitise::Head;

use super::path::Matched;
use super::template::{Part, Piece, Placeholders, Template, is_path_template, pieces};
use super::{Match, host, normal};

const STATUSES: [u16; 5] = [301, 302, 303, 307, 308];

/// A redirect to another path or another site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// A path or a URL with `{path}`, `{rest}` (after the matched prefix, without
    /// its leading slash), `{host}`, `{query}`, `{1}` (a group of path_regex).
    ///
    /// The query is kept: appended, with `&` after one that is written here, unless
    /// `{query}` places it or a last `?` drops it.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Default for Config {
    fn default() -> Self {
        Config { to: String::new(), status: 308 }
    }
}

/// Writes the Location of a redirect.
#[derive(Debug, Clone)]
pub(crate) struct Redirect {
    origin: Option<Origin>,
    target: Template,
    /// With its `#`, or empty.
    fragment: String,
    status: StatusCode,
}

#[derive(Debug, Clone)]
struct Origin {
    scheme: &'static str,
    host: Vec<Piece>,
}

impl Redirect {
    /// `on` is the match of the same route, whose groups a template may use.
    pub(crate) fn new(config: &Config, on: &Match) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let to = faults.collect("to", read_target(&config.to, Placeholders::of(on)));
        let status = StatusCode::from_u16(config.status)
            .ok()
            .filter(|_| STATUSES.contains(&config.status))
            .ok_or_else(|| Faults::one("a redirect is 301, 302, 303, 307 or 308"));
        let status = faults.collect("status", status);
        faults.into_result(|| {
            let (origin, target, fragment) = to?;
            Some(Redirect { origin, target, fragment, status: status? })
        })
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Writes the Location for a request whose route was found with `matched`.
    pub(crate) fn location(&self, head: &Head<'_>, matched: &Matched) -> HeaderValue {
        let mut location = String::new();
        if let Some(origin) = &self.origin {
            origin.fill(&mut location, &head.host);
        }
        self.target.fill(&mut location, head, matched);
        location.push_str(&self.fragment);
        HeaderValue::try_from(location).expect("every part is escaped to visible ASCII")
    }
}

impl Origin {
    /// Appends nothing where an HTTP/1.0 request names no host: `https:///x`
    /// would take the host from the path.
    fn fill(&self, out: &mut String, host: &str) {
        if host.is_empty() && self.host.contains(&Piece::Host) {
            return;
        }
        out.push_str(self.scheme);
        for piece in &self.host {
            match piece {
                Piece::Literal(text) => out.push_str(text),
                _ => normal::push_host(out, host),
            }
        }
    }
}

fn read_target(
    to: &str,
    known: Placeholders,
) -> Result<(Option<Origin>, Template, String), Faults> {
    let (url, fragment) = match to.split_once('#') {
        Some((url, fragment)) => (url, Some(fragment)),
        None => (to, None),
    };
    let mut faults = Faults::none();
    let fragment = fragment.map_or_else(String::new, |fragment| {
        if !normal::is_query(fragment) || fragment.contains(['{', '}']) {
            faults.extend(Faults::one("what follows a `#` is sent as it is, in visible ASCII"));
        }
        format!("#{fragment}")
    });
    let after_scheme = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| Some((scheme, url.strip_prefix(scheme)?)));
    let (origin, target) = match after_scheme {
        Some((scheme, rest)) => {
            let (host, target) = split_host(rest);
            (Some((scheme, host)), target)
        }
        None => (None, url),
    };
    if origin.is_none() && !is_path_template(target) {
        faults.extend(Faults::one("write a path that starts with one `/`, or http:// or https://"));
        return Err(faults);
    }
    let read = |(scheme, host)| Ok(Origin { scheme, host: read_host(host, known)? });
    let origin = origin.map(read);
    let origin = origin.transpose().map_err(|found| faults.extend(found)).ok();
    let target = Template::new(target, known).map_err(|found| faults.extend(found)).ok();
    faults.into_result(|| Some((origin?, target?, fragment)))
}

fn read_host(host: &str, known: Placeholders) -> Result<Vec<Piece>, Faults> {
    let pieces = pieces(host, Part::Host, known)?;
    let example = host.replace("{host}", "host");
    host::authority(&example).map_err(Faults::one)?;
    Ok(pieces)
}

/// Splits what follows a scheme into the host and the rest of the template.
fn split_host(text: &str) -> (&str, &str) {
    let end = ["/", "?", "{path}"].into_iter().filter_map(|stop| text.find(stop)).min();
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::request::Request;
    use super::super::{Router, Rule};
    use super::*;

    fn redirect(to: &str, on: &Match) -> Result<Redirect, Faults> {
        Redirect::new(&Config { to: to.to_owned(), ..Config::default() }, on)
    }

    /// The Location that `to` gives a request by a route with this `match`.
    #[track_caller]
    fn check(on: &str, to: &str, request: &str, expected: &str) {
        let on: Match = serde_yaml::from_str(on).expect("test match");
        let redirect = redirect(to, &on).expect(to);
        let router = Router::new(vec![Rule { name: None, when: &on, then: Arc::new(redirect) }]);
        let router = router.expect("a good route");
        let request = Request::new(request);
        let head = request.head();
        let found = router.find(&head).expect("a route");
        assert_eq!(found.route.location(&head, &found.matched), expected, "{request:?}");
    }

    #[test]
    fn redirects_to_paths_and_sites() {
        let old = "{ path_prefix: /old/ }";
        check(old, "/new/{rest}", "GET a.test/old/x?q=1", "/new/x?q=1");
        check(old, "https://{host}{path}", "GET a.test/old/x?q=1", "https://a.test/old/x?q=1");
        check(old, "https://{host}:8443{path}", "GET [::1]/old/", "https://[::1]:8443/old/");
        check(old, "https://www.{host}/{rest}", "GET a.test/old/x", "https://www.a.test/x");
        check(old, "https://b.test", "GET a.test/old/x?q", "https://b.test/?q");
        check(old, "https://b.test?from={path}", "GET a.test/old/x", "https://b.test/?from=/old/x");
        check(old, "/new?x#top", "GET a.test/old/?q", "/new?x&q#top");
        let blog = "{ path_regex: '/blog/([0-9]+)/(.*)' }";
        check(blog, "/posts/{2}?year={1}", "GET /blog/2024/a%20b", "/posts/a%20b?year=2024");
        check("{ path_regex: '/a(/b)?' }", "/x{1}/y", "GET /a", "/x/y");
    }

    #[test]
    fn what_a_client_sends_leads_nowhere_else() {
        let old = "{ path_prefix: /old }";
        check(old, "/{rest}", "GET /old//evil.test", "/evil.test");
        check(old, "/{rest}", "GET /old/\\evil.test", "/%5Cevil.test");
        check(old, "/{rest}", "GET /old/\t/evil.test", "/%09/evil.test");
        check(old, "/{rest}", "GET /old/\r\nSet-Cookie:a", "/%0D%0ASet-Cookie:a");
        check("{}", "{path}", "GET //evil.test/x", "/evil.test/x");
        check("{ path_regex: '/g/?(.*)' }", "/{1}", "GET /g///evil.test", "/evil.test");
        check("{}", "https://{host}{path}", "GET //evil.test/", "/evil.test/");
    }

    #[test]
    fn refuses_targets_that_could_lead_astray() {
        let check = |to: &str, hint: &str| {
            let on = Match { path_prefix: Some("/a/".to_owned()), ..Match::default() };
            let faults = redirect(to, &on).map(|_| ()).expect_err(to);
            let faults: Vec<_> = faults.iter().map(|f| (f.at.to_string(), &f.what)).collect();
            assert!(faults.len() == 1 && faults[0].1.contains(hint), "{to}: {faults:?}");
            assert_eq!(faults[0].0, "to");
        };
        check("", "starts with one `/`");
        check("new", "starts with one `/`");
        check("{rest}", "starts with one `/`");
        check("//b.test/", "starts with one `/`");
        check("javascript:alert(1)", "starts with one `/`");
        check("https://", "no host name");
        check("https:///x", "no host name");
        check("https://b.test{rest}", "after a `/`");
        check("https://{1}.test/", "after a `/`");
        check("https://a@b.test/", "no host name");
        check("https://b.test\\x/", "no host name");
        check("https://b.test:99999/", "no host");
        check("https://{host}:x/", "no host");
        check("/x#{path}", "sent as it is");
        check("/x/{1}", "no regex");
        check("/x\r\ny", "write `/x%0D%0Ay`");
    }

    #[test]
    fn groups_and_status_are_checked() {
        let on = |regex: &str| Match { path_regex: Some(regex.to_owned()), ..Match::default() };
        assert!(redirect("/{1}{2}", &on("/(a)(b)")).is_ok());
        assert!(redirect("/{3}", &on("/(a)(b)")).is_err());
        assert!(redirect("/{rest}", &on("/(a)(b)")).is_err());
        assert!(redirect("/{3}", &on("/(")).is_ok(), "the bad regex is reported elsewhere");
        for (status, is_good) in [(301, true), (308, true), (200, false), (304, false), (0, false)]
        {
            let config = Config { to: "/x".to_owned(), status };
            let redirect = Redirect::new(&config, &Match::default());
            let found = redirect.ok().map(|redirect| redirect.status().as_u16());
            assert_eq!(found, is_good.then_some(status));
        }
    }
}
