//! The cookie that holds a pass: how it is set, found and kept from servers.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

use crate::listen::Channel;
use crate::values::cookie_pairs;

/// Its name. No server sees it, so it is nobody else's.
const NAME: &str = "tg_pass";
/// Before the name over TLS: browsers take such a cookie from its own host and
/// over TLS alone (RFC 6265bis §4.1.3.2). And they take none without TLS that
/// has the name of one with it, so that one name for both would lock people
/// out of a site that speaks both.
const OVER_TLS: &str = "__Host-";

/// The passes that a request shows which count on its channel: over TLS only
/// what nobody else can have planted.
pub(super) fn shown(headers: &HeaderMap, channel: Channel) -> impl Iterator<Item = &[u8]> {
    let passes = cookies(headers);
    passes.filter(move |pass| pass.channel == channel).map(|pass| pass.value)
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = Pass<'_>> {
    // Every one is tried: a page of another host of the site may have set one more.
    cookie_pairs(headers).filter_map(Pass::read)
}

/// The Set-Cookie of a pass; one set over TLS stays there.
pub(super) fn set(pass: &str, lasts_secs: u64, channel: Channel) -> HeaderValue {
    let (prefix, secure) = match channel {
        Channel::Plain => ("", ""),
        Channel::Tls => (OVER_TLS, "; Secure"),
    };
    let text = format!(
        "{prefix}{NAME}={pass}; Path=/; Max-Age={lasts_secs}; HttpOnly; SameSite=Lax{secure}"
    );
    HeaderValue::try_from(text).expect("digits are header text")
}

/// Whether a request shows passes, good or not.
pub(crate) fn show_pass(headers: &HeaderMap) -> bool {
    cookies(headers).next().is_some()
}

/// Takes every pass out of a request; what else is in `Cookie` stays.
pub(crate) fn strip_passes(headers: &mut HeaderMap) {
    let rest: Vec<HeaderValue> =
        headers.get_all(COOKIE).into_iter().filter_map(|line| without(line.as_bytes())).collect();
    headers.remove(COOKIE);
    for line in rest {
        headers.append(COOKIE, line);
    }
}

/// The line without passes; none if nothing is left.
fn without(line: &[u8]) -> Option<HeaderValue> {
    let pairs = line.split(|byte| *byte == b';').filter(|pair| Pass::read(pair).is_none());
    let rest = pairs.collect::<Vec<_>>().join(&b";"[..]);
    let rest = rest.trim_ascii();
    let value = HeaderValue::from_bytes(rest).expect("a part of a value is one");
    (!rest.is_empty()).then_some(value)
}

/// One `name=value` whose name is ours.
struct Pass<'a> {
    value: &'a [u8],
    /// What it was set over, going by its name.
    channel: Channel,
}

impl<'a> Pass<'a> {
    fn read(pair: &'a [u8]) -> Option<Self> {
        let pair = pair.trim_ascii();
        let (pair, channel) = match pair.strip_prefix(OVER_TLS.as_bytes()) {
            Some(rest) => (rest, Channel::Tls),
            None => (pair, Channel::Plain),
        };
        let value = pair.strip_prefix(NAME.as_bytes())?.strip_prefix(b"=")?;
        Some(Pass { value, channel })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn finds_passes_among_others() {
        let found_over = |channel, lines: &[&'static str]| {
            let headers = headers(lines);
            shown(&headers, channel)
                .map(|pass| String::from_utf8_lossy(pass).into_owned())
                .collect::<Vec<_>>()
        };
        let found = |lines: &[&'static str]| found_over(Channel::Plain, lines);
        assert_eq!(found(&["tg_pass=1"]), ["1"]);
        assert_eq!(found(&["a=b; tg_pass=1;c=d", "tg_pass="]), ["1", ""]);
        let mixed = ["__Host-tg_pass=1; __Host-a=2; __host-tg_pass=3", "tg_pass=4"];
        assert_eq!(found_over(Channel::Tls, &mixed), ["1"]);
        assert_eq!(found(&mixed), ["4"]);
        assert_eq!(found(&["xtg_pass=1; tg_passx=2; tg_pass; TG_PASS=3; a=tg_pass=4"]), [""; 0]);
        assert_eq!(found(&[]), [""; 0]);
    }

    #[test]
    fn servers_get_every_other_cookie() {
        for (lines, expected) in [
            (&["tg_pass=1"][..], &[][..]),
            (&["a=b; tg_pass=1; c=d"], &["a=b; c=d"]),
            (&["tg_pass=1; c=d"], &["c=d"]),
            (&["a=b; tg_pass=1"], &["a=b"]),
            (&["__Host-tg_pass=1; a=b; tg_pass=2"], &["a=b"]),
            (&["tg_pass=1;tg_pass=2; a=b;tg_pass=3"], &["a=b"]),
            (&["a=b", "tg_pass=1", "c=d"], &["a=b", "c=d"]),
            (&["xtg_pass=1;  a=b ;; "], &["xtg_pass=1;  a=b ;;"]),
            (&["tg_pass=1;tg_pass=2;tg_pass=3;tg_pass=4;tg_pass=5;tg_pass=6"], &[]),
        ] {
            let mut fields = headers(lines);
            strip_passes(&mut fields);
            let left: Vec<&HeaderValue> = fields.get_all(COOKIE).into_iter().collect();
            assert_eq!(left, expected, "{lines:?}");
        }
    }

    #[test]
    fn a_cookie_set_over_tls_stays_there() {
        let set = |channel| set("ab", 60, channel).to_str().expect("text").to_owned();
        let plain = "tg_pass=ab; Path=/; Max-Age=60; HttpOnly; SameSite=Lax";
        assert_eq!(set(Channel::Plain), plain);
        assert_eq!(set(Channel::Tls), format!("__Host-{plain}; Secure"));
    }
}
