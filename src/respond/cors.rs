//! What pages of other origins may do with a route's answers (Fetch, CORS).
//!
//! Browsers ask for it and keep to it; nobody else does, so that it is no way
//! to keep anybody out. It stands here, for it is about what answers say: who
//! may ask is decided elsewhere, and a browser asks this question before it
//! has shown who it is.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::fault::{Faults, KeyPath};
use crate::route::{read_host, read_methods};
use crate::units::{Period, Switch};

/// Every origin, every method, every field.
const ANY: &str = "*";
/// Why `*` and `credentials` do not go together: browsers take it for a name then.
const ANYONE: &str = "`*` with credentials would let every page on the web act as its visitor";
const NAME_THEM: &str = "`*` means nothing with credentials; name them";

/// The key `cors` of a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Origins whose pages may read answers: `https://example.com`,
    /// `https://*.example.com`, or `*` for every one.
    pub origins: Vec<String>,
    /// Methods that they may use beside GET, HEAD and POST.
    pub methods: Vec<String>,
    /// Fields that they may send beside those that every page may.
    pub headers: Vec<String>,
    /// Fields of answers that they may read beside those that every page may.
    pub expose: Vec<String>,
    /// Whether cookies and the like go along.
    pub credentials: Switch,
    /// How long a browser may remember all this.
    pub max_age: Period,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            origins: Vec::new(),
            methods: Vec::new(),
            headers: Vec::new(),
            expose: Vec::new(),
            credentials: Switch::OFF,
            max_age: Period::from_secs(60 * 60),
        }
    }
}

/// What a route allows pages of other origins.
#[derive(Debug, Clone)]
pub(crate) struct Cors {
    origins: Origins,
    methods: Option<HeaderValue>,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    credentials: Switch,
    max_age: HeaderValue,
}

impl Cors {
    pub(crate) fn new(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let credentials = config.credentials;
        let origins = faults.collect("origins", Origins::new(&config.origins, credentials));
        let methods = faults.collect("methods", methods(&config.methods, credentials));
        let headers = faults.collect("headers", names(&config.headers, credentials));
        let expose = faults.collect("expose", names(&config.expose, credentials));
        let max_age = HeaderValue::from(config.max_age.0.as_secs());
        faults.into_result(|| {
            Some(Cors {
                origins: origins?,
                methods: methods?,
                headers: headers?,
                expose: expose?,
                credentials,
                max_age,
            })
        })
    }

    /// The answer to a browser that asks before it asks; what every answer of
    /// the route says comes by [`Cors::apply`].
    pub(crate) fn preflight(&self, request: &HeaderMap) -> Answer {
        let mut headers = Vec::new();
        if self.origins.take(request).is_some() {
            let lists = [
                (ACCESS_CONTROL_ALLOW_METHODS, &self.methods),
                (ACCESS_CONTROL_ALLOW_HEADERS, &self.headers),
            ];
            let lists = lists.into_iter().filter_map(|(name, list)| Some((name, list.clone()?)));
            headers.extend(lists);
            headers.push((ACCESS_CONTROL_MAX_AGE, self.max_age.clone()));
        }
        Answer { status: StatusCode::NO_CONTENT, headers, body: bytes::Bytes::new() }
    }

    /// Says in an answer who may read it; what the server says of it goes.
    pub(crate) fn apply(&self, request: &HeaderMap, response: &mut HeaderMap) {
        response.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        response.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
        // A cache must not show one origin what was said to another.
        if !matches!(self.origins, Origins::Any) && !varies_by_origin(response) {
            response.append(VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = self.origins.take(request) else {
            response.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            return;
        };
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials.0 {
            let allowed = HeaderValue::from_static("true");
            response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, allowed);
        }
        if let Some(expose) = &self.expose {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
        }
    }
}

/// The method that a browser asks leave for before it uses it: the request is
/// no more than that question.
pub(crate) fn asked_before(method: &Method, request: &HeaderMap) -> Option<Method> {
    if *method != Method::OPTIONS || !request.contains_key(ORIGIN) {
        return None;
    }
    Method::from_bytes(request.get(ACCESS_CONTROL_REQUEST_METHOD)?.as_bytes()).ok()
}

fn varies_by_origin(response: &HeaderMap) -> bool {
    let values = response.get_all(VARY).iter();
    let mut names = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    names.any(|name| {
        matches!(name.trim_ascii(), b"*") || name.trim_ascii().eq_ignore_ascii_case(b"origin")
    })
}

/// Whose pages may.
#[derive(Debug, Clone)]
enum Origins {
    Any,
    Some {
        exact: Vec<String>,
        /// What stands before and after the names that a `*` is for.
        wildcards: Vec<(String, String)>,
    },
}

impl Origins {
    fn new(written: &[String], credentials: Switch) -> Result<Self, Faults> {
        if written.is_empty() {
            // What servers say themselves would be taken away, and nothing said.
            let what = "is empty; write whose pages may read answers, or leave `cors` out";
            return Err(Faults::one(what));
        }
        let mut faults = Faults::none();
        let (mut exact, mut wildcards, mut any) = (Vec::new(), Vec::new(), false);
        for (index, text) in written.iter().enumerate() {
            let at = KeyPath::root().child(index);
            match text.as_str() {
                ANY if credentials.0 => faults.add(at, ANYONE),
                ANY => any = true,
                _ => match read_origin(text) {
                    Ok(Origin::Exact(origin)) => exact.push(origin),
                    Ok(Origin::Below(before, after)) => wildcards.push((before, after)),
                    Err(what) => faults.add(at, what),
                },
            }
        }
        if any && written.len() > 1 {
            faults.extend(Faults::one("`*` is every origin; leave the others out"));
        }
        let some = Origins::Some { exact, wildcards };
        faults.into_result(|| Some(if any { Origins::Any } else { some }))
    }

    /// What an answer says to the origin of a request; none if it may not.
    fn take(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let Origins::Some { exact, wildcards } = self else {
            return Some(HeaderValue::from_static(ANY));
        };
        let mut origins = request.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return None;
        };
        let text = origin.to_str().ok()?;
        let is_below = |(before, after): &(String, String)| {
            let name = text.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            Some(!name.is_empty() && name.chars().all(is_plain))
        };
        let is_taken = exact.iter().any(|other| other == text)
            || wildcards.iter().any(|wildcard| is_below(wildcard) == Some(true));
        is_taken.then(|| origin.clone())
    }
}

enum Origin {
    Exact(String),
    Below(String, String),
}

/// Reads an origin as browsers write it: in lower case, without the port that
/// goes without saying, and with nothing after it.
fn read_origin(text: &str) -> Result<Origin, String> {
    let example = "write https://example.com, https://*.example.com or \"*\"";
    let lower = text.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else {
        return Err(match text {
            // Pages in a sandbox and files of a disk say it: anybody's.
            "null" => "`null` is what any page can make itself; no origin to trust".to_owned(),
            _ => format!("`{text}` is no origin; {example}"),
        });
    };
    let has_port =
        rest.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = has_port.map_or((rest, None), |(host, port)| (host, Some(port)));
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|number| number.to_string() == port);
    match (scheme, port) {
        ("https", Some("443")) | ("http", Some("80")) => {
            return Err(format!("leave the port out, as browsers do: `{scheme}://{host}`"));
        }
        (_, Some(port)) if !is_port(port) => {
            return Err(format!("`{text}` is no origin; {example}"));
        }
        _ => {}
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let (parent, is_wildcard) = match host.strip_prefix("*.") {
        Some(parent) => (parent, true),
        None => (host, false),
    };
    if parent.contains(['/', '?', '#']) {
        return Err(format!("`{text}` is more than an origin; {example}"));
    }
    let host = read_host(parent)?;
    Ok(match is_wildcard {
        true => Origin::Below(format!("{scheme}://"), format!(".{host}{port}")),
        false => Origin::Exact(format!("{scheme}://{host}{port}")),
    })
}

fn methods(written: &[String], credentials: Switch) -> Result<Option<HeaderValue>, Faults> {
    if let [only] = written
        && only == ANY
    {
        return any(credentials);
    }
    let methods = read_methods(written)?;
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    Ok(joined(&methods))
}

fn names(written: &[String], credentials: Switch) -> Result<Option<HeaderValue>, Faults> {
    if let [only] = written
        && only == ANY
    {
        return any(credentials);
    }
    let mut faults = Faults::none();
    let mut names = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        match text.parse::<HeaderName>() {
            Ok(name) if text != ANY => names.push(name),
            _ => {
                let what = format!("`{}` is no name of a header field", text.escape_debug());
                faults.add(KeyPath::root().child(index), what);
            }
        }
    }
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    faults.into_result(|| Some(joined(&names)))
}

fn any(credentials: Switch) -> Result<Option<HeaderValue>, Faults> {
    if credentials.0 {
        return Err(Faults::at(0, NAME_THEM));
    }
    Ok(Some(HeaderValue::from_static(ANY)))
}

/// None for no items: there is nothing to say then.
fn joined(items: &[&str]) -> Option<HeaderValue> {
    let list = HeaderValue::try_from(items.join(", ")).expect("tokens are visible ASCII");
    (!items.is_empty()).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(yaml: &str) -> Cors {
        Cors::new(&serde_yaml::from_str(yaml).expect("well-formed")).expect("good")
    }

    fn from(origins: &[&'static str]) -> HeaderMap {
        origins.iter().map(|origin| (ORIGIN, HeaderValue::from_static(origin))).collect()
    }

    #[track_caller]
    fn check(origins: &str, asked: &[&'static str], expected: Option<&str>) {
        let cors = cors(&format!("origins: {origins}"));
        let mut response = HeaderMap::new();
        cors.apply(&from(asked), &mut response);
        let said = response.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(said.map(HeaderValue::as_bytes), expected.map(str::as_bytes), "{asked:?}");
    }

    #[test]
    fn origins_are_compared_as_browsers_write_them() {
        let own = "['https://Example.com', 'http://localhost:3000', 'https://*.shop.example:8443']";
        for taken in [
            "https://example.com",
            "http://localhost:3000",
            "https://a.shop.example:8443",
            "https://a.b.shop.example:8443",
        ] {
            check(own, &[taken], Some(taken));
        }
        for other in [
            "http://example.com",
            "https://example.com:8443",
            "https://example.com.evil.example",
            "https://www.example.com",
            "http://localhost",
            "https://shop.example:8443",
            "https://.shop.example:8443",
            "https://evil.example/.shop.example:8443",
            "https://a.shop.example",
            "null",
            "",
        ] {
            check(own, &[other], None);
        }
        check(own, &[], None);
        check(own, &["https://example.com", "https://evil.example"], None);
        check("['*']", &["https://any.example"], Some("*"));
        check("['*']", &[], Some("*"));
    }

    #[test]
    fn what_a_server_says_of_it_is_replaced() {
        let cors = cors("{ origins: ['https://a.example'], expose: [X-Total], credentials: true }");
        let server = [
            (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (ACCESS_CONTROL_ALLOW_CREDENTIALS, "true"),
            (ACCESS_CONTROL_EXPOSE_HEADERS, "x-secret"),
            (VARY, "accept-encoding"),
        ];
        for (origin, expected) in [
            ("https://a.example", [Some("https://a.example"), Some("true"), Some("x-total")]),
            ("https://b.example", [None; 3]),
        ] {
            let fields = server.iter().cloned();
            let mut response: HeaderMap =
                fields.map(|(name, value)| (name, HeaderValue::from_static(value))).collect();
            cors.apply(&from(&[origin]), &mut response);
            cors.apply(&from(&[origin]), &mut response);
            let said = [
                ACCESS_CONTROL_ALLOW_ORIGIN,
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                ACCESS_CONTROL_EXPOSE_HEADERS,
            ];
            let said = said.map(|name| response.get(name).map(|value| value.to_str().unwrap()));
            assert_eq!(said, expected);
            let vary: Vec<_> = response.get_all(VARY).iter().collect();
            assert_eq!(vary, ["accept-encoding", "origin"]);
        }
        for own in ["*", "accept, ORIGIN"] {
            let mut response = HeaderMap::from_iter([(VARY, HeaderValue::from_static(own))]);
            cors.apply(&HeaderMap::new(), &mut response);
            assert_eq!(response.get_all(VARY).iter().collect::<Vec<_>>(), [own]);
        }
    }

    #[test]
    fn a_preflight_is_told_what_may_be_done() {
        let cors = cors("{ origins: ['https://a.example'], methods: [PUT], headers: [X-A, b] }");
        let answer = cors.preflight(&from(&["https://a.example"]));
        let said: Vec<_> =
            answer.headers.iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        let expected = [
            ("access-control-allow-methods", "PUT"),
            ("access-control-allow-headers", "x-a, b"),
            ("access-control-max-age", "3600"),
        ];
        assert_eq!((answer.status, said.as_slice()), (StatusCode::NO_CONTENT, &expected[..]));
        assert_eq!(cors.preflight(&from(&["https://b.example"])).headers, []);
    }

    #[test]
    fn a_preflight_is_options_of_a_page_that_names_a_method() {
        let method = (ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        let whole: HeaderMap = from(&["https://a.example"])
            .into_iter()
            .map(|(n, v)| (n.unwrap(), v))
            .chain([method.clone()])
            .collect();
        assert_eq!(asked_before(&Method::OPTIONS, &whole), Some(Method::PUT));
        assert_eq!(asked_before(&Method::GET, &whole), None);
        assert_eq!(asked_before(&Method::OPTIONS, &HeaderMap::from_iter([method])), None);
        assert_eq!(asked_before(&Method::OPTIONS, &from(&["https://a.example"])), None);
    }

    #[test]
    fn faults_name_their_key() {
        for (yaml, expected) in [
            ("{}", &["origins"][..]),
            ("{ origins: ['*'], credentials: true }", &["origins[0]"]),
            ("{ origins: ['*', 'https://a.example'] }", &["origins"]),
            (
                "{ origins: [example.com, 'null', 'https://a.example/'] }",
                &["origins[0]", "origins[1]", "origins[2]"],
            ),
            (
                "{ origins: ['https://a.example:443', 'http://a.example:80'] }",
                &["origins[0]", "origins[1]"],
            ),
            (
                "{ origins: ['https://a.example:0x1', 'https://*', 'https://'] }",
                &["origins[0]", "origins[1]", "origins[2]"],
            ),
            (
                "{ origins: ['*'], methods: [put], headers: ['a b'], expose: [x, '*'] }",
                &["methods[0]", "headers[0]", "expose[1]"],
            ),
            (
                "{ origins: ['*'], methods: ['*'], headers: ['*'], expose: ['*'], credentials: true }",
                &["origins[0]", "methods[0]", "headers[0]", "expose[0]"],
            ),
        ] {
            let config: Config = serde_yaml::from_str(yaml).expect("well-formed");
            let faults = Cors::new(&config).expect_err(yaml);
            let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
            assert_eq!(at, expected, "{yaml}");
        }
    }
}
