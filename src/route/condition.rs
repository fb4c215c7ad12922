//! What a route asks of a request beyond host and path.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue, Method, header};

use crate::fault::{Faults, KeyPath};
use crate::sanitise::Head;

use super::{Match, normal};

/// Value in the configuration that any value satisfies.
const PRESENT: &str = "*";

/// Two routes ask the same if these are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Conditions {
    // Invariant: sorted by name; HEAD where GET is; empty takes every method.
    methods: Vec<Method>,
    // Invariant: sorted by name, no name twice.
    headers: Vec<(HeaderName, Wanted<HeaderValue>)>,
    query: Vec<(String, Wanted<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted<V> {
    Present,
    Exactly(V),
}

impl Conditions {
    pub(super) fn new(config: &Match) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let methods = faults.collect("methods", read_methods(&config.methods));
        let headers = faults.collect("headers", read_headers(&config.headers));
        let query = faults.collect("query", read_query(&config.query));
        faults.into_result(|| {
            Some(Conditions { methods: methods?, headers: headers?, query: query? })
        })
    }

    /// How many conditions there are; the methods together are one.
    pub(super) fn count(&self) -> usize {
        usize::from(!self.methods.is_empty()) + self.headers.len() + self.query.len()
    }

    /// The methods taken; empty if every method is.
    pub(super) fn methods(&self) -> &[Method] {
        &self.methods
    }

    pub(super) fn hold(&self, head: &Head<'_>) -> bool {
        self.take_method(head.method) && self.hold_but_for_method(head)
    }

    pub(super) fn hold_but_for_method(&self, head: &Head<'_>) -> bool {
        let header_holds = |(name, wanted): &(HeaderName, Wanted<HeaderValue>)| {
            head.headers.get_all(name).iter().any(|value| wanted.is_met_by(|v| v == value))
        };
        let parameter_holds = |(name, wanted): &(String, Wanted<String>)| {
            let query = head.query.unwrap_or_default();
            query.split('&').filter(|pair| !pair.is_empty()).any(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                decodes_to(key, name) && wanted.is_met_by(|wanted| decodes_to(value, wanted))
            })
        };
        self.headers.iter().all(header_holds) && self.query.iter().all(parameter_holds)
    }

    /// Whether every request that meets these conditions meets `other` too.
    ///
    /// Told from the words alone: `false` also where it cannot be told.
    pub(super) fn imply(&self, other: &Conditions) -> bool {
        let methods = !self.methods.is_empty() && self.methods.iter().all(|m| other.take_method(m));
        (methods || other.methods.is_empty())
            && implied_by(&other.headers, &self.headers)
            && implied_by(&other.query, &self.query)
    }

    fn take_method(&self, method: &Method) -> bool {
        self.methods.is_empty() || self.methods.contains(method)
    }
}

impl<V> Wanted<V> {
    fn is_met_by(&self, equals: impl FnOnce(&V) -> bool) -> bool {
        match self {
            Wanted::Present => true,
            Wanted::Exactly(value) => equals(value),
        }
    }
}

fn implied_by<N: PartialEq, V: PartialEq>(
    asked: &[(N, Wanted<V>)],
    given: &[(N, Wanted<V>)],
) -> bool {
    asked.iter().all(|(name, wanted)| {
        given
            .iter()
            .any(|(known, value)| known == name && (*wanted == Wanted::Present || wanted == value))
    })
}

fn decodes_to(written: &str, text: &str) -> bool {
    normal::decoded(written).eq(text.bytes())
}

/// Methods that no request is let in with.
const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// Methods as they are listed in a file, HEAD among them where GET is.
pub(crate) fn read_methods(written: &[String]) -> Result<Vec<Method>, Faults> {
    let mut faults = Faults::none();
    let mut methods = Vec::with_capacity(written.len());
    for (index, text) in written.iter().enumerate() {
        let at = KeyPath::root().child(index);
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            _ if upper != *text => faults.add(at, format!("methods are in upper case: `{upper}`")),
            Ok(method) if methods.contains(&method) => {
                faults.add(at, format!("`{text}` is listed twice"));
            }
            Ok(_) if NEVER.contains(&text.as_str()) => {
                faults.add(at, format!("`{text}` is refused before there is a route"));
            }
            Ok(method) if method != "*" => methods.push(method),
            Ok(_) | Err(_) => faults.add(at, format!("`{text}` is no method; write GET, POST, …")),
        }
    }
    // Whoever may GET a resource may ask for its head alone (RFC 9110 §9.3.2).
    if methods.contains(&Method::GET) && !methods.contains(&Method::HEAD) {
        methods.push(Method::HEAD);
    }
    methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    faults.into_result(|| Some(methods))
}

fn read_headers(
    written: &BTreeMap<String, String>,
) -> Result<Vec<(HeaderName, Wanted<HeaderValue>)>, Faults> {
    let mut faults = Faults::none();
    let mut headers: Vec<(HeaderName, Wanted<HeaderValue>)> = Vec::with_capacity(written.len());
    for (name, value) in written {
        let read = read_header(name, value).and_then(|header| {
            let is_known = headers.iter().any(|(known, _)| *known == header.0);
            if is_known {
                Err("it is listed twice; case does not matter".to_owned())
            } else {
                Ok(header)
            }
        });
        headers.extend(faults.collect(name.as_str(), read.map_err(Faults::one)));
    }
    headers.sort_by(|(a, _), (b, _)| a.as_str().cmp(b.as_str()));
    faults.into_result(|| Some(headers))
}

fn read_header(name: &str, value: &str) -> Result<(HeaderName, Wanted<HeaderValue>), String> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("`{name}` is no name of a header field"))?;
    if header == header::HOST {
        return Err("the host is matched by hosts".to_owned());
    }
    if value == PRESENT {
        return Ok((header, Wanted::Present));
    }
    if value.trim_matches([' ', '\t']) != value {
        return Err("a value has no spaces around it".to_owned());
    }
    let value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("`{}` is no value of a header field", value.escape_debug()))?;
    Ok((header, Wanted::Exactly(value)))
}

fn read_query(written: &BTreeMap<String, String>) -> Result<Vec<(String, Wanted<String>)>, Faults> {
    if written.contains_key("") {
        return Err(Faults::one("a parameter needs a name"));
    }
    let wanted = |value: &String| match value.as_str() {
        PRESENT => Wanted::Present,
        _ => Wanted::Exactly(value.clone()),
    };
    Ok(written.iter().map(|(name, value)| (name.clone(), wanted(value))).collect())
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;

    #[track_caller]
    fn check(conditions: &str, request: &Request, expected: bool) {
        let config: Match = serde_yaml::from_str(conditions).expect("test match");
        let conditions = Conditions::new(&config).expect("good conditions");
        assert_eq!(conditions.hold(&request.head()), expected, "{config:?} {request:?}");
    }

    #[test]
    fn headers_hold_by_any_line() {
        let request = Request::new("GET /").with("x-v", "1").with("x-v", "2").with("x-e", "");
        check("{ headers: { x-v: '1' } }", &request, true);
        check("{ headers: { X-V: '2' } }", &request, true);
        check("{ headers: { x-v: '1, 2' } }", &request, false);
        check("{ headers: { x-v: '*' } }", &request, true);
        check("{ headers: { x-e: '' } }", &request, true);
        check("{ headers: { x-e: '*' } }", &request, true);
        check("{ headers: { x-w: '*' } }", &request, false);
        check("{ headers: { x-v: '1', x-w: '*' } }", &request, false);
    }

    #[test]
    fn parameters_hold_decoded_by_any_occurrence() {
        let request = Request::new("GET /?a=1&b=x%20y+z&a=2&f&%63=%2&=e&&");
        check("{ query: { a: '1' } }", &request, true);
        check("{ query: { a: '2' } }", &request, true);
        check("{ query: { a: '3' } }", &request, false);
        check("{ query: { b: 'x y z' } }", &request, true);
        check("{ query: { f: '' } }", &request, true);
        check("{ query: { f: '*' } }", &request, true);
        check("{ query: { c: '%2' } }", &request, true);
        check("{ query: { A: '1' } }", &request, false);
        check("{ query: { e: '*' } }", &request, false);
        check("{ query: { a: '*' } }", &Request::new("GET /"), false);
        check("{ query: { é: ü } }", &Request::new("GET /?%C3%A9=%c3%BC"), true);
    }

    #[test]
    fn methods_are_compared_as_they_are() {
        check("{ methods: [GET] }", &Request::new("HEAD /"), true);
        check("{ methods: [HEAD] }", &Request::new("GET /"), false);
        check("{ methods: [PURGE] }", &Request::new("PURGE /"), true);
        check("{ methods: [GET] }", &Request::new("get /"), false);
        check("{}", &Request::new("ANY /"), true);
        for never in ["TRACE", "CONNECT", "TRACK", "*", "get", "G T"] {
            assert!(read_methods(&["PUT".to_owned(), never.to_owned()]).is_err(), "{never}");
        }
    }
}
