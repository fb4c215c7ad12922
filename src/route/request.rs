//! Requests for the tests of this room.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::sanitise::Head;

/// A request written as `GET a.test/path?query`.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub method: Method,
    pub host: String,
    pub path: String,
    pub query: Option<String>,
    pub headers: HeaderMap,
}

impl Request {
    pub(super) fn new(line: &str) -> Self {
        let (method, target) = line.split_once(' ').expect("a method and a target");
        let (target, query) = match target.split_once('?') {
            Some((target, query)) => (target, Some(query.to_owned())),
            None => (target, None),
        };
        let (host, path) = target.split_at(target.find('/').expect("a path"));
        Request {
            method: method.parse().expect("a method"),
            host: host.to_owned(),
            path: path.to_owned(),
            query,
            headers: HeaderMap::new(),
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        self
    }

    pub(super) fn head(&self) -> Head<'_> {
        Head {
            method: &self.method,
            host: Cow::Borrowed(&self.host),
            port: None,
            path: Cow::Borrowed(&self.path),
            is_normal: true,
            query: self.query.as_deref(),
            headers: &self.headers,
            upgrade: false,
        }
    }
}
