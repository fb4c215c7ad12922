//! The answer for a file that was found: status, header fields, body.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{
    ACCEPT_RANGES, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    LAST_MODIFIED, LOCATION, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use super::body::Body;
use super::conditional::{self, Validators, Verdict};
use super::lookup::{Representation, Target};
use super::types::content_type;
use super::{Ask, Missing, Served};
use crate::encoding::Coding;
use crate::ranges::{self, Part, Selection, Span};

type Fields = Vec<(HeaderName, HeaderValue)>;

/// Decides what of a found file to send.
pub(super) fn answer(ask: &Ask<'_>, target: Target) -> Result<Served, Missing> {
    match target {
        Target::AddSlash => add_slash(ask),
        Target::File(file) => Ok(answer_file(ask, file)),
    }
}

fn answer_file(ask: &Ask<'_>, file: Representation) -> Served {
    let current = validators(&file, SystemTime::now());
    let is_range_current = conditional::is_range_current(ask.headers, &current);
    let mut headers = vec![
        (LAST_MODIFIED, value(httpdate::fmt_http_date(current.modified))),
        (ETAG, current.etag.clone()),
    ];
    if file.is_negotiated {
        headers.push((VARY, HeaderValue::from_static("accept-encoding")));
    }
    match conditional::judge(ask.headers, &current) {
        Verdict::NotModified => {
            headers.push((CONTENT_TYPE, content_type(&file.name)));
            headers.push((CONTENT_LENGTH, HeaderValue::from(file.opened.length)));
            headers.extend(file.coding.map(encoded));
            return bare(StatusCode::NOT_MODIFIED, headers);
        }
        Verdict::Failed => return empty(StatusCode::PRECONDITION_FAILED, Fields::new()),
        Verdict::Send => {}
    }
    headers.push((ACCEPT_RANGES, HeaderValue::from_static("bytes")));
    headers.push((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    headers.extend(file.coding.map(encoded));
    let selection = if ask.method == Method::GET && is_range_current {
        ranges::select(ask.headers, file.opened.length)
    } else {
        Selection::Whole
    };
    match selection {
        Selection::Whole => whole(ask, file, headers),
        Selection::Unsatisfiable => {
            let range = value(format!("bytes */{}", file.opened.length));
            empty(StatusCode::RANGE_NOT_SATISFIABLE, vec![(CONTENT_RANGE, range)])
        }
        Selection::Spans(spans) => match *spans {
            [span] => single(file, span, headers),
            _ => multipart(file, &spans, headers),
        },
    }
}

fn whole(ask: &Ask<'_>, file: Representation, mut headers: Fields) -> Served {
    let length = file.opened.length;
    headers.push((CONTENT_TYPE, content_type(&file.name)));
    headers.push((CONTENT_LENGTH, HeaderValue::from(length)));
    let body = if ask.method == Method::HEAD || length == 0 {
        Body::empty()
    } else {
        Body::new(file.opened.file, [Part::Span(Span { first: 0, length })])
    };
    Served { status: StatusCode::OK, headers, body }
}

fn single(file: Representation, span: Span, mut headers: Fields) -> Served {
    headers.push((CONTENT_TYPE, content_type(&file.name)));
    headers.push((CONTENT_RANGE, value(span.content_range(file.opened.length))));
    headers.push((CONTENT_LENGTH, HeaderValue::from(span.length)));
    let body = Body::new(file.opened.file, [Part::Span(span)]);
    Served { status: StatusCode::PARTIAL_CONTENT, headers, body }
}

/// Several ranges in one body.
fn multipart(file: Representation, spans: &[Span], mut headers: Fields) -> Served {
    let media_type = content_type(&file.name);
    let media_type = media_type.to_str().unwrap_or("application/octet-stream");
    let (media_type, parts) = ranges::multipart(spans, media_type, file.opened.length);
    let body = Body::new(file.opened.file, parts);
    headers.push((CONTENT_TYPE, value(media_type)));
    headers.push((CONTENT_LENGTH, HeaderValue::from(body.length())));
    Served { status: StatusCode::PARTIAL_CONTENT, headers, body }
}

/// Sends a client from `/docs` to `/docs/`, so that relative links work.
///
/// The Location is relative: only the client knows the whole URL, and a path
/// that starts with `//` must not become another host.
fn add_slash(ask: &Ask<'_>) -> Result<Served, Missing> {
    let last = ask.url_path.rsplit('/').next().unwrap_or_default();
    let location = match ask.query {
        Some(query) => format!("./{last}/?{query}"),
        None => format!("./{last}/"),
    };
    let location = HeaderValue::try_from(location).map_err(|_| Missing::NotFound)?;
    Ok(empty(StatusCode::MOVED_PERMANENTLY, vec![(LOCATION, location)]))
}

fn encoded(coding: Coding) -> (HeaderName, HeaderValue) {
    (CONTENT_ENCODING, HeaderValue::from_static(coding.name()))
}

/// An answer with an empty body.
fn empty(status: StatusCode, mut headers: Fields) -> Served {
    headers.push((CONTENT_LENGTH, HeaderValue::from(0)));
    bare(status, headers)
}

/// An answer that cannot have a body.
fn bare(status: StatusCode, headers: Fields) -> Served {
    Served { status, headers, body: Body::empty() }
}

/// Modification time and size tell versions apart, and are the same on every
/// machine that a site is copied to; the coding tells the copies apart.
fn validators(file: &Representation, now: SystemTime) -> Validators {
    let since_epoch = file.opened.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (time, length) = (since_epoch.as_nanos(), file.opened.length);
    let etag = match file.coding {
        Some(coding) => format!("\"{time:x}-{length:x}-{}\"", coding.name()),
        None => format!("\"{time:x}-{length:x}\""),
    };
    // RFC 9110 §8.8.2.1: never later than the answer itself.
    let modified = (UNIX_EPOCH + Duration::from_secs(since_epoch.as_secs())).min(now);
    Validators { etag: value(etag), modified }
}

fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("it consists of digits and ASCII words of ours")
}
