//! The normal form of a path, as [`Head::path`] has it: RFC 3986 §6.2.2, and
//! doubled slashes are one.
//!
//! Configured paths must be written in it, else no request could equal them;
//! paths that a rewrite or a redirect puts together are brought into it, so
//! that what a client sends can never become a dot segment, another host, or
//! a second header line.
//!
//! [`Head::path`]: crate::sanitise::Head

/// Accepts only a path in normal form; says the normal form otherwise.
pub(super) fn check(path: &str) -> Result<(), String> {
    if path.contains(['?', '#']) {
        return Err(format!("`{path}` is more than a path; a path has no `?` and no `#`"));
    }
    if path.starts_with('~') {
        return Err(format!(
            "`{path}` is no path; a regular expression is `path_regex`, without `~`"
        ));
    }
    let normal = normal(path);
    if normal != path {
        return Err(format!("`{path}` is not in normal form; write `{normal}`"));
    }
    Ok(())
}

/// Brings a path into normal form; it then starts with exactly one `/`.
pub(super) fn normal(path: &str) -> String {
    let spelled = spelled(path);
    let mut segments: Vec<&str> = Vec::new();
    let mut last = "";
    for segment in spelled.split('/') {
        last = segment;
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            _ => segments.push(segment),
        }
    }
    let mut normal = String::with_capacity(spelled.len() + 1);
    for segment in &segments {
        normal.push('/');
        normal.push_str(segment);
    }
    if segments.is_empty() || matches!(last, "" | "." | "..") {
        normal.push('/');
    }
    normal
}

/// Spells the characters of a path the normal way, leaving its segments alone.
///
/// Unreserved characters are decoded, other escapes are in upper-case hex, and
/// what may not stand in a path, a lone `%` included, is escaped.
pub(super) fn spelled(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut bytes = path.as_bytes();
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        let escape = if *byte == b'%' { escaped(rest) } else { None };
        match escape {
            Some((byte, after)) => {
                bytes = after;
                push(&mut out, byte, is_unreserved);
            }
            None => push(&mut out, *byte, is_in_path),
        }
    }
    out
}

/// Appends a query as written, but for bytes that may not stand in a target.
pub(super) fn push_query(out: &mut String, query: &str) {
    for byte in query.bytes() {
        push(out, byte, is_in_query);
    }
}

/// Appends text as the value of a query parameter, which decodes to the text.
pub(super) fn push_value(out: &mut String, text: &str) {
    for byte in text.bytes() {
        push(out, byte, |b| is_unreserved(b) || b == b'/');
    }
}

/// Appends a host; what none can have is escaped.
pub(super) fn push_host(out: &mut String, host: &str) {
    for byte in host.bytes() {
        push(out, byte, |b| is_unreserved(b) || matches!(b, b'[' | b']' | b':'));
    }
}

/// Whether a text can stand in a query as it is.
pub(super) fn is_query(text: &str) -> bool {
    text.bytes().all(is_in_query)
}

/// Decodes a name or a value of a query, where `+` is a space.
pub(crate) fn decoded(text: &str) -> impl Iterator<Item = u8> + '_ {
    let mut bytes = text.as_bytes();
    std::iter::from_fn(move || {
        let (first, rest) = bytes.split_first()?;
        let (byte, rest) = match first {
            b'%' => escaped(rest).unwrap_or((b'%', rest)),
            b'+' => (b' ', rest),
            byte => (*byte, rest),
        };
        bytes = rest;
        Some(byte)
    })
}

/// The byte of an escape whose `%` was just read, and what follows it.
fn escaped(after_percent: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = after_percent else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

fn push(out: &mut String, byte: u8, is_plain: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if is_plain(byte) {
        out.push(char::from(byte));
    } else {
        let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
        out.push('%');
        out.extend(digits.map(char::from));
    }
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What sanitise lets through in a query: browsers send `[`, `|` and the like
/// bare, and the server shall see what the client wrote.
fn is_in_query(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'\\')
}

/// A character of a path that is no escape (RFC 3986 §3.3).
fn is_in_path(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(byte, b'/' | b':' | b'@' | b'!' | b'$' | b'&' | b'\'')
        || matches!(byte, b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(normal(path), expected, "{path}");
        assert_eq!(normal(expected), expected, "normal twice: {path}");
        assert_eq!(super::check(path).is_ok(), path == expected, "{path}");
    }

    #[test]
    fn brings_paths_into_normal_form() {
        check("/", "/");
        check("", "/");
        check("x", "/x");
        check("/a/b/", "/a/b/");
        check("/a/./b", "/a/b");
        check("/a/../b", "/b");
        check("/a/b/..", "/a/");
        check("/a/.", "/a/");
        check("/../../a", "/a");
        check("/a//b//", "/a/b/");
        check("/a//..//b", "/b");
        check("/..", "/");
        check("/a[1]|^", "/a%5B1%5D%7C%5E");
        check("/a/b/%2E%2e/c", "/a/c");
        check("/%61%7E", "/a~");
        check("/caf%c3%a9", "/caf%C3%A9");
        check("/café", "/caf%C3%A9");
        check("/a%2fb", "/a%2Fb");
        check("/a b", "/a%20b");
        check("/100%", "/100%25");
        check("/%zz", "/%25zz");
        check("/a\r\nb", "/a%0D%0Ab");
    }

    #[test]
    fn a_path_never_starts_like_a_host() {
        check("//evil.example", "/evil.example");
        check("/.//evil.example", "/evil.example");
        check("/a/..//evil.example", "/evil.example");
        check("/\\evil.example", "/%5Cevil.example");
    }

    #[test]
    fn refuses_query_and_fragment() {
        assert!(super::check("/a?b").is_err());
        assert!(super::check("/a#b").is_err());
    }

    #[test]
    fn queries_keep_what_browsers_send() {
        let mut out = String::new();
        push_query(&mut out, "a[]=1|2&b=%zz+\"<>#é\r\n");
        assert_eq!(out, "a[]=1|2&b=%zz+%22%3C%3E%23%C3%A9%0D%0A");
        let mut out = String::new();
        push_value(&mut out, "/a%20b&c=+?");
        assert_eq!(out, "/a%2520b%26c%3D%2B%3F");
    }
}
