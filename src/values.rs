//! Values that a field may have several of: the only one, and cookies.
//!
//! How values are found is the same for all rooms. What one does with several,
//! or with quotes, depends on what it risks: it says so where it reads them.

use http::{HeaderMap, HeaderValue, header};

/// The one value there is. Of several, servers read one or another: whoever
/// believed the first could be shown what nobody else sees.
pub(crate) fn only<T>(values: impl IntoIterator<Item = T>) -> Option<T> {
    let mut values = values.into_iter();
    values.next().filter(|_| values.next().is_none())
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
