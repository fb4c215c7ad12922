//! Cookies that keep a client on its server, and cookies as such.

use http::{HeaderMap, HeaderValue};

use super::config::Sticky;
use super::server::ServerId;
use crate::listen::Channel;
use crate::values::cookies;

/// The digits of a server's id.
const DIGITS: usize = 16;

/// Reads and writes the cookie that names a client's server.
#[derive(Debug)]
pub(super) struct Stickiness {
    cookie: String,
}

impl Stickiness {
    pub(super) fn new(config: &Sticky) -> Self {
        Stickiness { cookie: config.cookie.clone() }
    }

    /// The server that the client's cookie names.
    pub(super) fn named(&self, headers: &HeaderMap) -> Option<ServerId> {
        let value = cookie(headers, &self.cookie)?;
        // `from_str_radix` would also take a sign.
        let is_id = value.len() == DIGITS && value.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(value).ok().filter(|_| is_id)?;
        u64::from_str_radix(digits, 16).ok().map(ServerId)
    }

    /// The Set-Cookie that names `server`; one set over TLS stays there.
    pub(super) fn set_cookie(&self, server: ServerId, channel: Channel) -> HeaderValue {
        let secure = match channel {
            Channel::Plain => "",
            Channel::Tls => "; Secure",
        };
        let text = format!("{}={server}; Path=/; HttpOnly; SameSite=Lax{secure}", self.cookie);
        HeaderValue::try_from(text).expect("a token and hexadecimal digits are header text")
    }
}

/// The value of the first cookie with that name. A client that shows several
/// harms nobody: it only chooses another server.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    cookies(headers, name.as_bytes()).next()
}

#[cfg(test)]
mod tests {
    use http::header::COOKIE;

    use super::*;

    fn check(lines: &[&'static str], expected: Option<u64>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_static(line));
        }
        let sticky = Stickiness::new(&Sticky { cookie: "tg".to_owned() });
        assert_eq!(sticky.named(&headers).map(|id| id.0), expected, "{lines:?}");
    }

    #[test]
    fn finds_its_cookie_among_others() {
        check(&["tg=00000000000000ff"], Some(0xff));
        check(&["a=1; tg=00000000000000ff; b=2"], Some(0xff));
        check(&["a=1;tg=00000000000000FF"], Some(0xff));
        check(&["a=1", "tg=00000000000000ff"], Some(0xff));
        check(&["tgx=00000000000000ff; xtg=00000000000000ff"], None);
        check(&[], None);
    }

    #[test]
    fn takes_nothing_but_16_hexadecimal_digits() {
        for bad in ["tg=", "tg=ff", "tg=+0000000000000ff", "tg=000000000000000ff", "tg"] {
            check(&[bad], None);
        }
    }

    #[test]
    fn writes_what_it_reads() {
        let sticky = Stickiness::new(&Sticky { cookie: "tg".to_owned() });
        let set = sticky.set_cookie(ServerId(0xff), Channel::Plain);
        assert_eq!(set, "tg=00000000000000ff; Path=/; HttpOnly; SameSite=Lax");
        let set = sticky.set_cookie(ServerId(0xff), Channel::Tls);
        assert_eq!(set, "tg=00000000000000ff; Path=/; HttpOnly; SameSite=Lax; Secure");
    }
}
