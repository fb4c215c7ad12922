//! What a client holds in its hand, as far as its request tells.

use http::HeaderMap;
use http::header::USER_AGENT;
use memchr::memmem;

/// A class of devices that sites commonly have pages for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Device {
    /// Also what does not say, and what is no browser.
    Desktop,
    Phone,
    Tablet,
}

impl Device {
    /// Browsers of today say it in Sec-CH-UA-Mobile, but for tablets; all say
    /// it by words in User-Agent that they have agreed on.
    pub(crate) fn of(request: &HeaderMap) -> Self {
        let agent = request.get(USER_AGENT).map(|value| value.as_bytes()).unwrap_or_default();
        let says = |word: &str| memmem::find(agent, word.as_bytes()).is_some();
        if says("iPad") || says("Tablet") || says("Android") && !says("Mobi") {
            return Device::Tablet;
        }
        let hint = request.get("sec-ch-ua-mobile").map(|value| value.as_bytes());
        if hint == Some(b"?1") || says("Mobi") {
            return Device::Phone;
        }
        Device::Desktop
    }

    /// What stands for it in keys, which are kept on disk.
    pub(super) const fn number(self) -> u8 {
        match self {
            Device::Desktop => 0,
            Device::Phone => 1,
            Device::Tablet => 2,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(agent: &'static str, expected: Device) {
        let request = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
        assert_eq!(Device::of(&request), expected, "{agent}");
    }

    #[test]
    fn browsers_say_what_they_run_on() {
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36",
            Device::Desktop,
        );
        check(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/17.4 Safari/605",
            Device::Desktop,
        );
        check("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5) Mobile/15E148 Safari/604.1", Device::Phone);
        check(
            "Mozilla/5.0 (Linux; Android 10; K) Chrome/140.0 Mobile Safari/537.36",
            Device::Phone,
        );
        check("Mozilla/5.0 (Linux; Android 10; K) Chrome/140.0 Safari/537.36", Device::Tablet);
        check("Mozilla/5.0 (iPad; CPU OS 12_5) Mobile/15E148 Safari/604.1", Device::Tablet);
        check("Mozilla/5.0 (Android 14; Tablet; rv:128.0) Firefox/128.0", Device::Tablet);
        check("curl/8.5.0", Device::Desktop);
    }

    #[test]
    fn a_hint_tells_of_phones() {
        let hint = |value| {
            let name = http::HeaderName::from_static("sec-ch-ua-mobile");
            Device::of(&HeaderMap::from_iter([(name, HeaderValue::from_static(value))]))
        };
        assert_eq!((hint("?1"), hint("?0")), (Device::Phone, Device::Desktop));
        assert_eq!(Device::of(&HeaderMap::new()), Device::Desktop);
    }
}
