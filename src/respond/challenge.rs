//! The page that has a browser do some work, and tells its user about it.
//!
//! It loads nothing, from nobody, and does without TLS. Without JavaScript it
//! is an explained refusal.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, SET_COOKIE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};

use super::Answer;
use super::page::{STYLE, escape};

const SCRIPT: &str = include_str!("challenge.js");

/// Nothing may load or frame the page, and nothing runs but its one script,
/// which may ask this site alone.
const POLICY: &str = "default-src 'none'; script-src 'sha256-B4CIL7AwGq8CH8BI1lcG9Z43t7lPmCUUP/RxFh+rzZo='; \
                      style-src 'sha256-EKnIut0M+kNRJ84ybWo183gkQc15td1a9SpdsrHhdc0='; \
                      connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// What of the fields of these answers no route may change: with another
/// policy the script would not run, and a cache would keep what is for one.
pub(crate) const FIXED_FIELDS: [http::HeaderName; 3] =
    [CONTENT_SECURITY_POLICY, CACHE_CONTROL, SET_COOKIE];

/// A page that asks for work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkPage<'a> {
    pub status: StatusCode,
    /// Why, in a sentence.
    pub reason: &'static str,
    /// Letters and digits that the work is for; what is worked on is their end.
    pub puzzle: &'a str,
    /// How much work, in bits.
    pub bits: u8,
    pub request_id: &'a str,
}

impl WorkPage<'_> {
    pub(crate) fn answer(&self) -> Answer {
        let page = format!(
            include_str!("challenge.html"),
            style = STYLE,
            reason = self.reason,
            request_id = escape(self.request_id),
            puzzle = self.puzzle,
            bits = self.bits,
            script = SCRIPT,
        );
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (CONTENT_LENGTH, HeaderValue::from(page.len())),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Answer { status: self.status, headers, body: page.into() }
    }
}

/// The answer to work that is done: what it is worth.
pub(crate) fn paid(status: StatusCode, cookie: HeaderValue) -> Answer {
    let headers = vec![(SET_COOKIE, cookie), (CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Answer { status, headers, body: Bytes::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::respond::page::tests::{HOSTILE, field, source_of};

    fn page() -> (Answer, String) {
        let status = StatusCode::FORBIDDEN;
        let (reason, puzzle) = ("A reason.", "0123456789abcdef");
        let answer = WorkPage { status, reason, puzzle, bits: 16, request_id: HOSTILE }.answer();
        let page = String::from_utf8(answer.body.to_vec()).expect("text");
        (answer, page)
    }

    #[test]
    fn the_policy_admits_the_script_and_the_style_of_the_page() {
        let (answer, page) = page();
        assert_eq!(field(&answer, "content-security-policy"), POLICY);
        let (script, style) = (source_of(SCRIPT), source_of(STYLE));
        assert!(POLICY.contains(&format!("script-src {script}; style-src {style};")), "{script}");
        assert!(page.contains(&format!("data-bits=\"16\">{SCRIPT}</script>")));
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        assert_eq!((page.matches("<script").count(), page.matches("<style").count()), (1, 1));
    }

    #[test]
    fn the_page_is_small_and_loads_nothing() {
        let (answer, page) = page();
        assert!(page.len() <= 6 << 10, "{} bytes", page.len());
        assert_eq!(field(&answer, "content-length"), page.len().to_string());
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert!(!page.contains("src=") && !page.contains("//cdn") && !page.contains("http"));
        assert_eq!(page.matches("href=").count(), 2, "an empty icon, and the page itself");
    }

    #[test]
    fn the_page_shows_the_puzzle_and_the_request_id() {
        let (_, page) = page();
        assert!(page.contains("data-puzzle=\"0123456789abcdef\""), "{page}");
        assert!(page.contains("<p>A reason. Your browser"), "{page}");
        assert!(page.contains("<code>&quot;&lt;script&gt;&#39;&amp;\\</code>"), "{page}");
    }

    #[test]
    fn work_is_paid_with_a_cookie_that_no_cache_keeps() {
        let answer = paid(StatusCode::NO_CONTENT, HeaderValue::from_static("a=b"));
        assert_eq!(field(&answer, "set-cookie"), "a=b");
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert!(answer.body.is_empty());
    }
}
