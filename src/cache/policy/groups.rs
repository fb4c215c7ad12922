//! What a response is grouped by, so that a purge hits all of a group at once.
//!
//! Surrogate-Key, Cache-Tag and xkey name tags, which are the operator's and
//! hold for all sites. Cache-Groups (RFC 9875) names groups, which are their
//! origin's: another site cannot invalidate them.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::structured::strings;

/// Of tags and groups together. RFC 9875 §2 asks for 32 groups at least.
const MOST: usize = 256;
/// What separates tags in each field that has them.
const TAG_FIELDS: [(&str, &[u8]); 3] =
    [("surrogate-key", b" \t"), ("cache-tag", b", \t"), ("xkey", b", \t")];
const GROUPS: &str = "cache-groups";
const INVALIDATION: &str = "cache-group-invalidation";

/// What a purge finds a tag or a group by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Label(pub u64);

impl Label {
    /// That of a tag; tags differ by case.
    pub(crate) fn of_tag(tag: &[u8]) -> Self {
        Label(hash(&[b"tag", tag]))
    }

    /// That of a group of an origin such as `https://example.com:443`.
    pub(crate) fn of_group(origin: &str, group: &str) -> Self {
        Label(hash(&[b"group", origin.as_bytes(), group.as_bytes()]))
    }
}

/// The number of a tag that an operator names.
pub(crate) fn label_of_tag(tag: &str) -> u64 {
    Label::of_tag(tag.as_bytes()).0
}

/// The number of responses that say what of their queries does not count: of all that are
/// found by URLs like the one that `subject` is, but for its query.
pub(crate) fn label_of_searches(subject: &[u8]) -> u64 {
    let path = subject.split(|byte| *byte == b'?').next().unwrap_or_default();
    hash(&[b"search", path])
}

/// The labels of a response, sorted, each once; at most [`MOST`] count.
pub(crate) fn labels(origin: &str, response: &HeaderMap) -> Vec<Label> {
    let groups = strings(response, GROUPS).unwrap_or_default();
    let groups = groups.iter().map(|group| Label::of_group(origin, group));
    let mut labels: Vec<Label> = tags(response).map(Label::of_tag).chain(groups).collect();
    labels.sort_unstable();
    labels.dedup();
    labels.truncate(MOST);
    labels
}

/// Whether a response has more than are kept: a purge could miss it.
pub(super) fn are_too_many(response: &HeaderMap) -> bool {
    let groups = strings(response, GROUPS).map_or(0, |groups| groups.len());
    tags(response).take(MOST + 1).count() + groups > MOST
}

/// What the answer to a request that changed something invalidates (RFC 9875 §3).
pub(crate) fn invalidated(
    origin: &str,
    method: &Method,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<Label> {
    if method.is_safe() || !(status.is_success() || status.is_redirection()) {
        return Vec::new();
    }
    let groups = strings(response, INVALIDATION).unwrap_or_default();
    groups.iter().take(MOST).map(|group| Label::of_group(origin, group)).collect()
}

fn tags(response: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    TAG_FIELDS.into_iter().flat_map(move |(name, separators)| {
        let lines = response.get_all(name).into_iter().map(HeaderValue::as_bytes);
        let tags = lines.flat_map(move |line| line.split(|byte| separators.contains(byte)));
        tags.filter(|tag| !tag.is_empty())
    })
}

/// FNV-1a of the parts, each after its length, mixed at the end; the same in
/// every process and version, as purges and responses are kept on disk.
fn hash(parts: &[&[u8]]) -> u64 {
    const PRIME: u64 = 0x0100_0000_01b3;
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        let length = part.len().to_le_bytes();
        for byte in length.iter().chain(*part) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0xd6e8_feb8_6659_fd93);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    const ORIGIN: &str = "https://example.com:443";

    fn response(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn check(fields: &[(&'static str, &'static str)], tags: &[&str], groups: &[&str]) {
        let tags = tags.iter().map(|tag| Label::of_tag(tag.as_bytes()));
        let groups = groups.iter().map(|group| Label::of_group(ORIGIN, group));
        let mut expected: Vec<_> = tags.chain(groups).collect();
        expected.sort();
        assert_eq!(labels(ORIGIN, &response(fields)), expected, "{fields:?}");
    }

    #[test]
    fn each_field_separates_its_tags_its_own_way() {
        check(&[("surrogate-key", "a b,c  d")], &["a", "b,c", "d"], &[]);
        check(&[("cache-tag", "a, b,c d,")], &["a", "b", "c", "d"], &[]);
        check(&[("xkey", "a"), ("xkey", "b, a")], &["a", "b"], &[]);
        check(&[("surrogate-key", "a"), ("cache-tag", "a,B")], &["a", "B"], &[]);
        check(&[], &[], &[]);
    }

    #[test]
    fn groups_are_strings_of_their_origin() {
        check(&[("cache-groups", "\"a\", \"b c\";x")], &[], &["a", "b c"]);
        check(&[("cache-groups", "a, \"b\"")], &[], &["b"]);
        check(&[("cache-groups", "\"a")], &[], &[]);
        check(&[("cache-groups", "\"a\""), ("xkey", "a")], &["a"], &["a"]);
        assert_ne!(Label::of_group(ORIGIN, "a"), Label::of_group("https://other:443", "a"));
        assert_ne!(Label::of_group("ab", "c"), Label::of_group("a", "bc"));
    }

    #[test]
    fn more_labels_than_are_kept_are_told() {
        let many = |count: usize| {
            let tags: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            let value = HeaderValue::from_str(&tags.join(" ")).expect("a value");
            HeaderMap::from_iter([(HeaderName::from_static("surrogate-key"), value)])
        };
        assert!(!are_too_many(&many(MOST)));
        assert!(are_too_many(&many(MOST + 1)));
        assert_eq!(labels(ORIGIN, &many(MOST + 1)).len(), MOST);
    }

    #[test]
    fn only_what_changes_something_invalidates_groups() {
        let response = response(&[("cache-group-invalidation", "\"a\", \"b\"")]);
        let groups = |method: &Method, status| {
            let status = StatusCode::from_u16(status).expect("a status");
            invalidated(ORIGIN, method, status, &response).len()
        };
        assert_eq!(groups(&Method::POST, 200), 2);
        assert_eq!(groups(&Method::DELETE, 303), 2);
        let unknown = Method::from_bytes(b"FOO").expect("a method");
        assert_eq!(groups(&unknown, 204), 2);
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            assert_eq!(groups(&method, 200), 0, "{method}");
        }
        assert_eq!(groups(&Method::POST, 400), 0);
        assert_eq!(groups(&Method::POST, 500), 0);
    }

    #[test]
    fn labels_stay_what_they_are_on_disk() {
        assert_eq!(Label::of_tag(b"news"), Label(0x0d2e_adb1_f225_5645));
        assert_eq!(Label::of_group(ORIGIN, "news"), Label(0xdd84_c656_4b62_cbf0));
    }
}
