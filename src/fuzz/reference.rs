//! The same things read in the plainest way, to hold the readers against.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use percent_encoding::percent_decode_str;

/// A head taken apart at its line ends and colons, and nothing else.
pub(super) struct Request<'a> {
    line: Vec<&'a str>,
    fields: Vec<(&'a str, &'a [u8])>,
}

/// What a library makes of the same head.
pub(super) struct Parsed {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
}

impl<'a> Request<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.strip_suffix(b"\r\n\r\n")?;
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let line = std::str::from_utf8(lines.next()?).ok()?;
        let line: Vec<&str> = line.trim_end_matches('\r').split(' ').collect();
        let fields = lines.map(|line| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at(colon);
            Some((std::str::from_utf8(name).ok()?, value[1..].trim_ascii()))
        });
        Some(Request { line, fields: fields.collect::<Option<_>>()? })
    }

    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.fields.iter();
        let named = fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name));
        named.map(|(_, value)| *value)
    }

    /// None of what `http` holds back: a target in another form, mostly.
    pub(super) fn parsed(&self) -> Option<Parsed> {
        let [method, target, version] = self.line[..] else {
            panic!("a request line of {} words", self.line.len());
        };
        let version = match version {
            "HTTP/1.1" => Version::HTTP_11,
            "HTTP/1.0" => Version::HTTP_10,
            other => panic!("the version {other}"),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &self.fields {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            headers.append(name, HeaderValue::from_bytes(value).expect("a value"));
        }
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        Some(Parsed { method, uri: Uri::try_from(target).ok()?, version, headers })
    }
}

/// A number in digits alone.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    is_number.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The decoded segments that a path leads through, and whether to a folder.
pub(super) fn segments(path: &str) -> (Vec<Vec<u8>>, bool) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut is_folder = true;
    for segment in path.split('/') {
        is_folder = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(all.pop()),
            _ => all.push(percent_decode_str(segment).collect()),
        }
    }
    (all, is_folder)
}
