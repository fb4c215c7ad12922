//! What a client would rather have: weighted lists and content codings.
//!
//! RFC 9110 §12.4.2 (weights) and §12.5.3 (Accept-Encoding).

use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

/// How much a client wants something, in thousandths; zero is not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Weight(u16);

impl Weight {
    pub(crate) const UNWANTED: Weight = Weight(0);
    const LEAST: Weight = Weight(1);
    const FULL: Weight = Weight(1000);

    /// Reads a `qvalue`: `0` to `1` with at most three decimals.
    fn parse(text: &str) -> Option<Weight> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        if decimals.len() > 3 || !decimals.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
        let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
        match (whole, thousandths) {
            ("0", _) => Some(Weight(thousandths)),
            ("1", 0) => Some(Weight::FULL),
            _ => None,
        }
    }
}

/// The members of a list such as `text/html;level=1;q=0.5, */*`, by weight.
///
/// Other parameters are left out. A member whose weight does not read is
/// skipped: guessing could send what the client cannot use.
pub(crate) fn weighted(list: &str) -> impl Iterator<Item = (&str, Weight)> {
    split_unquoted(list, ',').filter_map(|member| {
        let mut parts = split_unquoted(member, ';').map(str::trim);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts
            .filter_map(|parameter| parameter.split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case("q"));
        match weight {
            None => Some((name, Weight::FULL)),
            Some((_, weight)) => Some((name, Weight::parse(weight)?)),
        }
    })
}

/// A way to make a body smaller that Tidegate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// Every coding, the one we would rather send first.
    pub(crate) const ALL: [Coding; 3] = [Coding::Zstd, Coding::Brotli, Coding::Gzip];

    /// Its name in Content-Encoding.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Coding::Zstd => "zstd",
            Coding::Brotli => "br",
            Coding::Gzip => "gzip",
        }
    }

    fn find(name: &str) -> Option<Coding> {
        // RFC 9110 §8.4.1.3: recipients consider x-gzip equivalent to gzip.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Coding::ALL.into_iter().find(|coding| coding.name().eq_ignore_ascii_case(name))
    }
}

/// How much a client wants each coding, and a body that is not encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Accepted {
    zstd: Weight,
    brotli: Weight,
    gzip: Weight,
    identity: Weight,
}

impl Accepted {
    /// What the Accept-Encoding of a request says.
    ///
    /// Without the field RFC 9110 allows any coding; clients that leave it out
    /// commonly understand none, so they get none.
    pub(crate) fn new(request: &HeaderMap) -> Self {
        let mut named = [None; Coding::ALL.len()];
        let (mut identity, mut any) = (None, None);
        let lines = request.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
        for (name, weight) in lines.flat_map(weighted) {
            if name == "*" {
                any = Some(weight);
            } else if name.eq_ignore_ascii_case("identity") {
                identity = Some(weight);
            } else if let Some(coding) = Coding::find(name) {
                named[coding as usize] = Some(weight);
            }
        }
        let [zstd, brotli, gzip] =
            named.map(|weight: Option<Weight>| weight.or(any).unwrap_or(Weight::UNWANTED));
        // Unless refused, an unencoded body is always acceptable, if nothing better is.
        let identity = identity.unwrap_or(match any {
            Some(Weight::UNWANTED) => Weight::UNWANTED,
            _ => Weight::LEAST,
        });
        Accepted { zstd, brotli, gzip, identity }
    }

    /// The coding wanted most among `offered`; the first of several equals.
    ///
    /// `None` where the client would rather have the body as it is, and where
    /// it takes nothing on offer: the body as it is serves best then too.
    pub(crate) fn choose(&self, offered: &[Coding]) -> Option<Coding> {
        let wanted = offered.iter().copied().filter(|&coding| {
            let weight = self.weight(coding);
            weight > Weight::UNWANTED && weight >= self.identity
        });
        // `max_by_key` keeps the last of several equals.
        wanted.rev().max_by_key(|&coding| self.weight(coding))
    }

    fn weight(&self, coding: Coding) -> Weight {
        match coding {
            Coding::Zstd => self.zstd,
            Coding::Brotli => self.brotli,
            Coding::Gzip => self.gzip,
        }
    }
}

/// Splits at a separator that stands outside quoted strings.
fn split_unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |c: char| {
        let is_literal = std::mem::take(&mut is_escaped);
        match c {
            '"' if !is_literal => is_quoted = !is_quoted,
            '\\' if is_quoted && !is_literal => is_escaped = true,
            _ => return c == separator && !is_quoted,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(accept_encoding: &str, expected: Option<Coding>) {
        let mut request = HeaderMap::new();
        let value = HeaderValue::from_str(accept_encoding).expect("a header value");
        request.insert(ACCEPT_ENCODING, value);
        let chosen = Accepted::new(&request).choose(&Coding::ALL);
        assert_eq!(chosen, expected, "{accept_encoding}");
    }

    #[test]
    fn equal_wishes_go_by_our_order() {
        check("gzip, deflate, br, zstd", Some(Coding::Zstd));
        check("gzip, br", Some(Coding::Brotli));
        check("gzip", Some(Coding::Gzip));
        check("*", Some(Coding::Zstd));
        check("X-GZIP", Some(Coding::Gzip));
    }

    #[test]
    fn weights_come_before_our_order() {
        check("zstd;q=0.5, br;q=0.8, gzip;q=0.9", Some(Coding::Gzip));
        check("gzip;Q=1.000, br ; q=0.999", Some(Coding::Gzip));
        check("br;q=0.001, *;q=0.002, zstd;q=0", Some(Coding::Gzip));
    }

    #[test]
    fn what_is_refused_is_not_chosen() {
        check("zstd;q=0, br;q=0.0, gzip;q=0.000", None);
        check("*;q=0", None);
        check("*;q=0, gzip", Some(Coding::Gzip));
        check("zstd;q=0, *", Some(Coding::Brotli));
        check("", None);
        check("deflate, compress", None);
    }

    #[test]
    fn identity_counts_as_one_of_the_wishes() {
        check("identity", None);
        check("identity, gzip;q=0.5", None);
        check("identity;q=0.5, gzip;q=0.5", Some(Coding::Gzip));
        check("identity;q=0, gzip;q=0.1", Some(Coding::Gzip));
        check("identity;q=0", None);
        check("gzip;q=0.001", Some(Coding::Gzip));
    }

    #[test]
    fn weights_that_do_not_read_are_no_wish() {
        for bad in ["gzip;q=2", "gzip;q=1.001", "gzip;q=0.1234", "gzip;q=", "gzip;q=.5", "gzip;q=x"]
        {
            check(bad, None);
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut request = HeaderMap::new();
        request.append(ACCEPT_ENCODING, HeaderValue::from_static("gzip;q=0.5"));
        request.append(ACCEPT_ENCODING, HeaderValue::from_static("br"));
        assert_eq!(Accepted::new(&request).choose(&Coding::ALL), Some(Coding::Brotli));
        assert_eq!(Accepted::new(&request).choose(&[Coding::Gzip]), Some(Coding::Gzip));
        assert_eq!(Accepted::new(&HeaderMap::new()).choose(&Coding::ALL), None);
    }

    #[test]
    fn commas_in_quotes_do_not_part_members() {
        let names: Vec<_> = weighted(r#"text/html;a="x,\",;q=0";q=0.5, */*"#).collect();
        assert_eq!(names, [("text/html", Weight(500)), ("*/*", Weight::FULL)]);
    }
}
