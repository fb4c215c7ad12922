//! What the client gets: header fields as the operator wants them, bodies made
//! smaller, and the answers that Tidegate gives itself.
//!
//! Which answer a request gets is for `proxy` to decide; how it looks, for us.

mod challenge;
mod compress;
mod cors;
mod error_pages;
mod fixed;
mod form;
mod grpc;
mod headers;
mod hop_by_hop;
mod negotiate;
mod page;
mod turns;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, LOCATION};
use http::{HeaderName, HeaderValue, StatusCode};

pub(crate) use self::challenge::{FIXED_FIELDS, WorkPage, paid};
pub(crate) use self::compress::Encoder;
pub(crate) use self::cors::{Config as CorsConfig, Cors, asked_before};
pub(crate) use self::error_pages::{Config as ErrorPagesConfig, ErrorPages};
pub(crate) use self::fixed::{Config as FixedConfig, Fixed};
pub(crate) use self::form::Form;
pub(crate) use self::headers::{Config as HeadersConfig, HeaderRules};
pub(crate) use self::hop_by_hop::remove_hop_by_hop;
pub(crate) use self::negotiate::{Asked, Compression, Config as CompressConfig};
pub(crate) use self::page::Page;
pub(crate) use self::turns::Turns;

/// An answer without a server: complete but for the fields that every answer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Answer {
    /// An answer that sends the client elsewhere.
    pub(crate) fn redirect(status: StatusCode, location: HeaderValue) -> Self {
        let headers = vec![(LOCATION, location), (CONTENT_LENGTH, HeaderValue::from(0))];
        Answer { status, headers, body: Bytes::new() }
    }
}
