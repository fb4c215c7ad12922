//! Which field rules this cache, of those that could (RFC 9213).
//!
//! A field meant for this cache alone outranks one for all such caches, which
//! outranks Cache-Control; Expires then counts no more than that.

use http::HeaderMap;

use super::directives::{Directives, Reach, Span};
use super::structured::{Item, Member, dictionary};

/// The target list, the most particular first (§2.2).
const TARGETS: [&str; 2] = ["tidegate-cache-control", "cdn-cache-control"];

/// The directives that hold, and where they stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Control {
    pub directives: Directives,
    /// A targeted field gave them: Expires is not to be read.
    pub is_targeted: bool,
}

impl Control {
    pub(super) fn read(headers: &HeaderMap) -> Self {
        for name in TARGETS {
            // An empty field, and one that does not read, is none.
            if let Some(members) = dictionary(headers, name) {
                return Control { directives: directives(members), is_targeted: true };
            }
        }
        Control { directives: Directives::read(headers), is_targeted: false }
    }
}

/// Values of another type than their directive's are none (§2.1): a time that
/// is no integer does not read, and what forbids something does so regardless.
fn directives(members: Vec<(String, Member)>) -> Directives {
    let mut read = Directives::default();
    for (name, value) in members {
        if let Some(span) = read.span(name.as_bytes()) {
            *span = Some(seconds(&value));
            continue;
        }
        let is_true = value == Member::Item(Item::Boolean(true));
        let is_said = value != Member::Item(Item::Boolean(false));
        match name.as_str() {
            "no-store" => read.no_store = is_said,
            "no-cache" if is_said => read.no_cache = reach(value),
            "private" if is_said => read.private = reach(value),
            "must-revalidate" => read.must_revalidate = is_said,
            "proxy-revalidate" => read.proxy_revalidate = is_said,
            "public" => read.public = is_true,
            "must-understand" => read.must_understand = is_true,
            _ => {}
        }
    }
    read
}

fn seconds(value: &Member) -> Span {
    let Member::Item(Item::Integer(seconds)) = value else { return Span::Unreadable };
    u64::try_from(*seconds).map_or(Span::Unreadable, Span::seconds)
}

fn reach(value: Member) -> Reach {
    match value {
        Member::Item(Item::String(names)) => Reach::named(names.as_bytes()),
        _ => Reach::All,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(fields: &[(&'static str, &'static str)]) -> Control {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        Control::read(&fields.iter().map(field).collect())
    }

    /// Whether the targeted field is taken, and the max-age that holds.
    fn check(targeted: &'static str, is_taken: bool, max_age: Option<Span>) {
        let control = read(&[("cdn-cache-control", targeted), ("cache-control", "max-age=1")]);
        assert_eq!(
            (control.is_targeted, control.directives.max_age),
            (is_taken, max_age),
            "{targeted}"
        );
    }

    #[test]
    fn the_most_particular_field_rules_alone() {
        let control = read(&[
            ("cache-control", "no-store"),
            ("cdn-cache-control", "max-age=2, private"),
            ("tidegate-cache-control", "max-age=3"),
        ]);
        let max_age = Some(Span::seconds(3));
        assert_eq!(control.directives, Directives { max_age, ..Directives::default() });
        assert!(control.is_targeted);
        let control = read(&[("cache-control", "no-store"), ("cdn-cache-control", "max-age=2")]);
        assert_eq!(control.directives.max_age, Some(Span::seconds(2)));
        assert!(!control.directives.no_store);
    }

    #[test]
    fn a_field_that_does_not_read_falls_through_to_the_next() {
        let fallen = Some(Span::seconds(1));
        for broken in [
            "",
            " ",
            "max-age=",
            "max-age =3",
            "max-age= 3",
            "MaX-aGe=3",
            "max-age=3,",
            "max-age=3;",
            "max-age='3'",
            "max-age=3600a",
            "foo=\"bar",
            "max-age=3, &",
        ] {
            check(broken, false, fallen);
        }
        let control = read(&[("tidegate-cache-control", "X"), ("cdn-cache-control", "max-age=2")]);
        assert_eq!(control.directives.max_age, Some(Span::seconds(2)));
    }

    #[test]
    fn a_field_without_a_known_directive_still_rules() {
        check("none", true, None);
        check("foo=bar, max-age=3", true, Some(Span::seconds(3)));
        check("max-age=3;a=b", true, Some(Span::seconds(3)));
    }

    #[test]
    fn a_time_is_an_integer() {
        for wrong in
            ["max-age=\"3\"", "max-age=3.0", "max-age=a3", "max-age", "max-age=-3", "max-age=(3)"]
        {
            check(wrong, true, Some(Span::Unreadable));
        }
        check("max-age=003", true, Some(Span::seconds(3)));
        check("max-age=9, max-age=3", true, Some(Span::seconds(3)));
        check("max-age=999999999999999", true, Some(Span::seconds(u64::MAX)));
    }

    #[test]
    fn directives_without_a_value_are_booleans() {
        let read = |value| read(&[("cdn-cache-control", value)]).directives;
        assert!(read("no-store").no_store);
        assert!(read("no-store=1").no_store);
        assert!(!read("no-store=?0").no_store);
        assert!(read("public").public && !read("public=1").public && !read("public=?0").public);
        assert!(read("must-revalidate, proxy-revalidate").must_revalidate);
        assert_eq!(read("no-cache").no_cache, Reach::All);
        assert_eq!(read("no-cache=?0").no_cache, Reach::Nothing);
        assert_eq!(read("private=a").private, Reach::All);
        let named = Reach::Fields(vec![HeaderName::from_static("x-user")]);
        assert_eq!(read("private=\"X-User\"").private, named);
    }
}
