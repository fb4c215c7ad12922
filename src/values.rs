//! Fields as all rooms read them: the only value of several, lengths, cookies, what is removed.
//!
//! How values are found is the same for all rooms. What one does with several,
//! or with quotes, depends on what it risks: it says so where it reads them.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The one value there is. Of several, servers read one or another: whoever
/// believed the first could be shown what nobody else sees.
pub(crate) fn only<T>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values = values.into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// The length of a body, where its head says it.
pub(crate) fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Removes fields that are seldom there: to look at the length of each name takes less than to
/// hash one.
pub(crate) fn remove_rare(headers: &mut HeaderMap, names: &[HeaderName]) {
    let length = |name: &HeaderName| 1_u64 << (name.as_str().len() % 64);
    let lengths = names.iter().fold(0, |lengths, name| lengths | length(name));
    let is_one = |name: &&HeaderName| lengths & length(name) != 0 && names.contains(name);
    while let Some(name) = headers.keys().find(is_one).cloned() {
        headers.remove(&name);
    }
}

/// The values of all cookies of that name, as they are written (RFC 6265 §4.2.1).
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    cookie_pairs(headers).filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

/// Every `name=value` of all fields Cookie.
pub(crate) fn cookie_pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    fields.flat_map(|field| field.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_value_is_none_of_several() {
        for (values, expected) in [(&[][..], None), (&[1], Some(1)), (&[1, 1], None)] {
            assert_eq!(only(values.iter().copied()), expected);
        }
    }

    #[test]
    fn a_length_is_a_number_or_none() {
        for (written, expected) in [("0", Some(0)), ("12", Some(12)), ("x", None), ("-1", None)] {
            let value = HeaderValue::from_static(written);
            let headers = HeaderMap::from_iter([(header::CONTENT_LENGTH, value)]);
            assert_eq!(announced(&headers), expected, "{written}");
        }
        assert_eq!(announced(&HeaderMap::new()), None);
    }

    #[test]
    fn rare_fields_are_removed_with_all_their_values() {
        let field = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
        let fields = [field("x-a", "1"), field("te", "2"), field("x-a", "3"), field("x-b", "4")];
        let mut headers = HeaderMap::from_iter(fields);
        let names = [header::TE, HeaderName::from_static("x-a"), header::AGE];
        remove_rare(&mut headers, &names);
        assert_eq!(headers, HeaderMap::from_iter([field("x-b", "4")]));
    }

    #[test]
    fn cookies_are_found_by_their_whole_name_in_every_field() {
        let fields = ["a=1; b=\"2\";a= 3 ", "A=4; aa=5; a; =6", "\ta=7=8"];
        let fields = fields.map(|field| (header::COOKIE, HeaderValue::from_static(field)));
        let headers = HeaderMap::from_iter(fields);
        let found =
            |name: &[u8]| -> Vec<Vec<u8>> { cookies(&headers, name).map(<[u8]>::to_vec).collect() };
        assert_eq!(found(b"a"), [&b"1"[..], b" 3", b"7=8"]);
        assert_eq!(found(b"b"), [b"\"2\""], "quotes are a part of what is written");
    }
}
