//! Refuses what two parsers could read differently, before any server sees it.
//!
//! A [`Head`] exists only for a request that has one reading. Who may ask for
//! what, and how much, is for later rooms.

use std::borrow::Cow;

use http::{HeaderMap, Method, Version};

/// A request head with one reading: what every later room works on.
#[derive(Debug, Clone)]
pub(crate) struct Head<'a> {
    pub method: &'a Method,
    pub version: Version,
    /// The host asked for: lower case, no port, no trailing dot; an IPv6
    /// address keeps its brackets.
    pub host: Cow<'a, str>,
    /// The port written after the host, if any.
    pub port: Option<u16>,
    /// The path in its normal form (RFC 3986 §6.2.2): starts with `/`, no dot
    /// segments, unreserved characters decoded, others in upper-case hex.
    pub path: Cow<'a, str>,
    /// The query as written, without `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
}
