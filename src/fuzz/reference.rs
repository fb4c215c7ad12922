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

/// A target taken apart at its `?` and each `&`.
pub(super) struct Link<'a> {
    path: &'a str,
    pairs: Vec<&'a str>,
}

impl<'a> Link<'a> {
    pub(super) fn read(target: &'a str) -> Self {
        match target.split_once('?') {
            Some((path, query)) => Link { path, pairs: query.split('&').collect() },
            None => Link { path: target, pairs: Vec::new() },
        }
    }

    /// The target without its signatures.
    pub(super) fn unsigned(&self) -> String {
        let rest = self.pairs.iter().filter(|pair| !is_named(pair, "sig"));
        join(self.path, rest.map(|pair| (*pair).to_owned()).collect())
    }

    /// The target with `by` wherever `placeholder` stands in a signature.
    pub(super) fn signed_by(&self, placeholder: &str, by: &str) -> String {
        let signed = self.pairs.iter().map(|pair| match is_named(pair, "sig") {
            true => pair.replace(placeholder, by),
            false => (*pair).to_owned(),
        });
        join(self.path, signed.collect())
    }

    pub(super) fn signatures(&self) -> Vec<&'a str> {
        self.values("sig")
    }

    pub(super) fn ends(&self) -> Vec<&'a str> {
        self.values("exp")
    }

    /// What no server needs to see is left out of the query.
    pub(super) fn left(&self) -> Option<String> {
        let is_ours = |pair: &&str| is_named(pair, "sig") || is_named(pair, "exp");
        let left: Vec<&str> = self.pairs.iter().filter(|pair| !is_ours(pair)).copied().collect();
        (!left.is_empty()).then(|| left.join("&"))
    }

    fn values(&self, name: &str) -> Vec<&'a str> {
        let named = self.pairs.iter().filter(|pair| is_named(pair, name));
        named.map(|pair| pair.split_once('=').map_or("", |(_, value)| value)).collect()
    }
}

fn join(path: &str, pairs: Vec<String>) -> String {
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

fn is_named(pair: &str, name: &str) -> bool {
    let written = pair.split('=').next().unwrap_or_default().replace('+', " ");
    percent_decode_str(&written).eq(name.bytes())
}

/// The values of all cookies of these names in one field.
pub(super) fn cookies<'a>(field: &'a [u8], names: &[&[u8]]) -> Vec<&'a [u8]> {
    let pairs = field.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let named = pairs.filter_map(|pair| {
        let (name, value) = pair.split_at(pair.iter().position(|byte| *byte == b'=')?);
        names.contains(&name).then_some(&value[1..])
    });
    named.collect()
}

/// The value without the quotes around it, if there are two.
pub(super) fn unquoted(value: &[u8]) -> Vec<u8> {
    match value {
        [b'"', inner @ .., b'"'] => inner.to_vec(),
        _ => value.to_vec(),
    }
}

/// Units of a span of time, in milliseconds.
pub(super) const SPANS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 60 * 60_000), ("d", 24 * 60 * 60_000)];
/// Units of a size, in bytes.
pub(super) const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1024),
    ("MiB", 1024 * 1024),
    ("GiB", 1024 * 1024 * 1024),
];

/// Digits and one of the units, if it is no more than 64 bits hold.
pub(super) fn amount(text: &str, units: &[(&str, u64)]) -> Option<u128> {
    let (unit, times) = units.iter().find(|(unit, _)| {
        let digits = text.strip_suffix(unit);
        digits.is_some_and(|digits| digits.ends_with(|last: char| last.is_ascii_digit()))
    })?;
    let amount = number(text.strip_suffix(unit)?.as_bytes())?;
    let amount = u128::from(amount) * u128::from(*times);
    (amount <= u64::MAX.into()).then_some(amount)
}

/// How much in which span, and whether that is bytes.
pub(super) fn rate(text: &str) -> Option<(u128, &str, bool)> {
    let (written, span) = text.split_once('/')?;
    let is_size = !written.bytes().all(|byte| byte.is_ascii_digit());
    let amount = amount(written, &SIZES).filter(|amount| *amount > 0)?;
    matches!(span, "s" | "min" | "h" | "d").then_some((amount, span, is_size))
}

/// A number in digits, with or without others after a dot.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(whole) && is_number(part)).then(|| text.parse().ok()).flatten()
}
