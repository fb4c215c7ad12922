//! What a response is stored under: all that a profile says makes two requests
//! different, framed so that no two kinds of request share a key.

mod device;
mod query;

use http::{HeaderMap, HeaderName};

use self::device::Device;

use super::policy::vary::{frame, normalised};
use super::target::{Scheme, Target};

pub(super) use self::query::{Choice, Pattern, Query};

/// Another layout of keys needs another number: old keys then mean nothing.
const LAYOUT: u8 = 1;

/// How keys are made, for one profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    pub query: Query,
    /// Fields of requests that responses are told apart by, sorted, each once.
    pub headers: Vec<HeaderName>,
    /// Phones, tablets and others get responses of their own.
    pub device: bool,
}

impl Shape {
    /// The key for a request, or for what a purge means.
    ///
    /// `space` keeps routes apart that have different servers for one URI.
    /// `tokens` are the parameters of a signed link: they say who may ask, and
    /// until when, not what for.
    pub(crate) fn key(
        &self,
        space: &str,
        target: &Target<'_>,
        request: &HeaderMap,
        tokens: &[&str],
    ) -> Vec<u8> {
        // Most keys are no longer than this: one allocation.
        let mut key = Vec::with_capacity(96 + target.path.len());
        let scheme = match target.scheme {
            Scheme::Http => 0,
            Scheme::Https => 1,
        };
        key.extend_from_slice(&[LAYOUT, scheme]);
        key.extend_from_slice(&target.port().to_le_bytes());
        for part in [space, target.host, target.path] {
            frame(&mut key, part.as_bytes());
        }
        match self.query.kept(target.query, tokens) {
            None => key.push(0),
            Some(query) => {
                key.push(1);
                frame(&mut key, query.as_bytes());
            }
        }
        for name in &self.headers {
            frame(&mut key, name.as_str().as_bytes());
            match normalised(name, request) {
                None => key.push(0),
                Some(value) => {
                    key.push(1);
                    frame(&mut key, &value);
                }
            }
        }
        if self.device {
            // No name of a field is empty, so this is none.
            frame(&mut key, b"");
            key.push(Device::of(request).number());
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use http::HeaderValue;

    use super::*;

    const TARGET: Target<'_> =
        Target { scheme: Scheme::Https, host: "a", port: None, path: "/b", query: Some("c=d") };

    fn shape(headers: &[&'static str], device: bool) -> Shape {
        let headers = headers.iter().map(|name| HeaderName::from_static(name)).collect();
        Shape { headers, device, ..Shape::default() }
    }

    fn request(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn every_part_of_a_uri_makes_a_key_of_its_own() {
        let shape = Shape::default();
        let key =
            |space: &str, target: &Target<'_>| shape.key(space, target, &HeaderMap::new(), &[]);
        let base = key("", &TARGET);
        for other in [
            Target { scheme: Scheme::Http, ..TARGET },
            Target { host: "ab", ..TARGET },
            Target { port: Some(8443), ..TARGET },
            Target { path: "/", ..TARGET },
            Target { path: "/B", ..TARGET },
            Target { query: None, ..TARGET },
            Target { query: Some(""), ..TARGET },
            Target { query: Some("c=D"), ..TARGET },
        ] {
            assert_ne!(key("", &other), base, "{other:?}");
        }
        assert_ne!(key("route", &TARGET), base);
        assert_eq!(key("", &Target { port: Some(443), ..TARGET }), base);
    }

    #[test]
    fn chosen_fields_are_told_apart_by_what_they_mean() {
        let shape = shape(&["accept-encoding", "x-a"], false);
        let key =
            |fields: &[(&'static str, &'static str)]| shape.key("", &TARGET, &request(fields), &[]);
        assert_ne!(key(&[("x-a", "1")]), key(&[("x-a", "2")]));
        assert_ne!(key(&[("x-a", "")]), key(&[]));
        assert_eq!(key(&[("x-b", "1")]), key(&[]));
        let encoding = |value| key(&[("accept-encoding", value)]);
        assert_eq!(encoding("gzip, br"), encoding("br,gzip"));
        assert_ne!(encoding("gzip, br"), encoding("gzip"));
    }

    #[test]
    fn devices_are_told_apart_where_that_is_asked_for() {
        let phone = request(&[("user-agent", "Mozilla/5.0 (iPhone) Mobile/15E148")]);
        let other = request(&[("user-agent", "curl/8")]);
        for (device, is_same) in [(true, false), (false, true)] {
            let shape = shape(&[], device);
            let key = |request| shape.key("", &TARGET, request, &[]);
            assert_eq!(key(&phone) == key(&other), is_same, "{device}");
        }
    }

    #[test]
    fn the_token_of_a_signed_link_is_no_part_of_a_key() {
        let shape = Shape::default();
        let key = |query| {
            let target = Target { query, ..TARGET };
            shape.key("", &target, &HeaderMap::new(), &["sig", "exp"])
        };
        assert_eq!(key(Some("sig=x&c=d&exp=1")), key(Some("c=d")));
        assert_eq!(key(Some("exp=1&sig=x")), key(None));
        assert_ne!(key(Some("sign=x")), key(None));
    }

    /// Everything that a key is made of, from few bytes, so that whatever could
    /// flow from one part into the next does.
    #[test]
    fn no_two_requests_share_a_key() {
        const WORDS: [&str; 8] = ["", "a", "b", "ab", "\u{1}", "\u{1}a", "aa", "&"];
        let mut random = fastrand::Rng::with_seed(7);
        let mut seen: HashMap<Vec<u8>, String> = HashMap::new();
        let shapes = [
            shape(&[], false),
            shape(&["a"], false),
            shape(&["a", "ab"], false),
            shape(&["b"], true),
        ];
        for _ in 0..12_000 {
            let mut word = || WORDS[random.usize(..WORDS.len())];
            let (space, host, path, query) = (word(), word(), word(), word());
            let (first, second) = (word(), word());
            let shape = &shapes[random.usize(..shapes.len())];
            let scheme = if random.bool() { Scheme::Http } else { Scheme::Https };
            let query = random.bool().then_some(query);
            let target = Target { scheme, host, port: Some(random.u16(..3)), path, query };
            let mut headers = HeaderMap::new();
            for (name, value) in [("a", first), ("ab", second), ("b", first)] {
                if let Ok(value) = HeaderValue::from_str(value)
                    && random.bool()
                {
                    headers.insert(name, value);
                }
            }
            let key = shape.key(space, &target, &headers, &[]);
            let chosen: Vec<_> =
                shape.headers.iter().map(|name| (name, headers.get(name))).collect();
            let said = format!("{space:?} {target:?} {chosen:?} {}", shape.device);
            let before = seen.insert(key, said.clone());
            assert!(before.as_ref().is_none_or(|before| *before == said), "{before:?} {said}");
        }
        assert!(seen.len() > 5_000, "{}", seen.len());
    }
}
