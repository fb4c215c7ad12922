//! By what the cache knows a request: the parts of its URI, and what tells it apart besides.

use std::borrow::Cow;

use http::HeaderMap;
use pingora::http::RequestHeader;

use crate::cache::{Scheme, Target};
use crate::client::Client;
use crate::listen::Channel;
use crate::sanitise::{Head, PathForm, Strict};
use crate::site::Route;
use crate::values::only;

/// What a head says that keys are made of, for when its request has been changed.
pub(super) struct Named {
    host: Box<str>,
    port: Option<u16>,
    // Where it is another than was written.
    path: Option<Box<str>>,
}

impl Named {
    pub(super) fn of(head: &Head<'_>, request: &RequestHeader, strict: &Strict) -> Self {
        let path = path(head, request, strict);
        let is_written = path == request.uri.path();
        Named {
            host: (&*head.host).into(),
            port: head.port,
            path: (!is_written).then(|| path.into()),
        }
    }

    pub(super) fn target<'a>(&'a self, request: &'a RequestHeader, scheme: Scheme) -> Target<'a> {
        let uri = &request.uri;
        let path = self.path.as_deref().unwrap_or_else(|| uri.path());
        Target { scheme, host: &self.host, port: self.port, path, query: uri.query() }
    }
}

/// What a request is for, in the parts that keys are made of.
pub(super) fn target<'a>(
    head: &'a Head<'_>,
    request: &'a RequestHeader,
    strict: &Strict,
    scheme: Scheme,
) -> Target<'a> {
    let path = path(head, request, strict);
    Target { scheme, host: &head.host, port: head.port, path, query: request.uri.query() }
}

/// Where servers get the path as it was written, that is another one than its normal form.
fn path<'a>(head: &'a Head<'_>, request: &'a RequestHeader, strict: &Strict) -> &'a str {
    match strict.path {
        PathForm::Normal => &head.path,
        PathForm::Raw => request.uri.path(),
    }
}

/// The scheme that the server is told: a proxy that is trusted may know better.
pub(super) fn scheme(client: &Client, request: &HeaderMap, channel: Channel) -> Scheme {
    let told = client.peer_trusted.then(|| only(request.get_all("x-forwarded-proto"))).flatten();
    let told = told.map(|value| value.as_bytes().eq_ignore_ascii_case(b"https"));
    match told.unwrap_or(channel == Channel::Tls) {
        true => Scheme::Https,
        false => Scheme::Http,
    }
}

/// What tells requests for one URI apart besides: the route, and the host that
/// a trusted proxy says it was asked for.
pub(super) fn space<'a>(route: &'a Route, client: &Client, request: &HeaderMap) -> Cow<'a, str> {
    let host = client.peer_trusted.then(|| request.get("x-forwarded-host")).flatten();
    match host {
        None => Cow::Borrowed(&*route.name),
        Some(host) => Cow::Owned(format!("{}\0{}", route.name, host.as_bytes().escape_ascii())),
    }
}
