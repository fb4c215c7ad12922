//! The answers that Tidegate gives itself: short, alike, and of no use to an
//! attacker. What happened is in the log, under the request id shown.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::Answer;
use super::error_pages::ErrorPages;
use super::form::Form;
use super::grpc::grpc_status;

pub(super) const STYLE: &str = include_str!("page.css");

/// Nothing may load, run or frame the page; the hash admits its one style.
const POLICY: &str = "default-src 'none'; style-src 'sha256-EKnIut0M+kNRJ84ybWo183gkQc15td1a9SpdsrHhdc0='; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// An answer of Tidegate to one request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub status: StatusCode,
    /// What the client may know, if it is more than the status says.
    pub text: Option<&'static str>,
    pub request_id: &'a str,
}

impl Page<'_> {
    /// Tells the answer in the form that its client understands.
    ///
    /// A page of the operator's takes the place of ours, for people only. The
    /// body is there for HEAD too; whoever sends the answer leaves it out.
    pub(crate) fn answer(&self, form: Form, pages: &ErrorPages) -> Answer {
        match form {
            Form::Grpc => self.grpc(),
            Form::Problem => self.problem(),
            Form::Html => match pages.find(self.status) {
                Some(page) => self.told("text/html; charset=utf-8", page),
                None => self.html(),
            },
        }
    }

    fn html(&self) -> Answer {
        let page = format!(
            include_str!("page.html"),
            style = STYLE,
            status = self.status.as_u16(),
            title = title(self.status),
            text = self.text(),
            request_id = escape(self.request_id),
        );
        let mut answer = self.told("text/html; charset=utf-8", page.into());
        answer.headers.push((CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
        answer
    }

    fn problem(&self) -> Answer {
        let problem = Problem {
            kind: "about:blank",
            title: title(self.status),
            status: self.status.as_u16(),
            detail: self.text(),
            request_id: self.request_id,
        };
        let body = serde_json::to_vec(&problem).expect("words and a number can be written");
        self.told("application/problem+json", body.into())
    }

    /// A response of trailers only: HTTP has worked, the call has not.
    fn grpc(&self) -> Answer {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/grpc")),
            (HeaderName::from_static("grpc-status"), HeaderValue::from(grpc_status(self.status))),
            (HeaderName::from_static("grpc-message"), HeaderValue::from_static(self.text())),
        ];
        Answer { status: StatusCode::OK, headers, body: Bytes::new() }
    }

    fn text(&self) -> &'static str {
        self.text.unwrap_or_else(|| text(self.status))
    }

    fn told(&self, media_type: &'static str, body: Bytes) -> Answer {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static(media_type)),
            (CONTENT_LENGTH, HeaderValue::from(body.len())),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        Answer { status: self.status, headers, body }
    }
}

/// A problem in the words of RFC 9457, and the request id.
#[derive(Debug, Serialize)]
struct Problem<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
    request_id: &'a str,
}

fn title(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or("Error")
}

/// What a client may know, and may do about it.
fn text(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "The request could not be understood.",
        401 => "Please sign in to go on.",
        403 => "This request is not allowed.",
        404 => "There is nothing at this address.",
        405 => "This kind of request is not possible here.",
        408 => "The request took too long to arrive.",
        412 => "A condition of the request does not hold.",
        413 => "The request is too large.",
        414 => "The address is too long.",
        416 => "The part asked for does not exist.",
        421 => "This site cannot be reached over this connection. Please try again.",
        429 => "There were too many requests. Please wait a little and try again.",
        431 => "The request has too many or too large header fields.",
        502 => "The site sent an answer that cannot be used. Please try again later.",
        503 => "The site cannot answer just now. Please try again in a little while.",
        504 => "The site took too long to answer. Please try again later.",
        _ if status.is_client_error() => "The request could not be answered.",
        _ => "Something went wrong. Please try again later.",
    }
}

pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
pub(super) mod tests {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;

    use super::*;

    pub(in crate::respond) const HOSTILE: &str = "\"<script>'&\\";

    fn answer(status: u16, form: Form) -> Answer {
        let status = StatusCode::from_u16(status).expect("a status");
        Page { status, text: None, request_id: HOSTILE }.answer(form, &ErrorPages::default())
    }

    pub(in crate::respond) fn field<'a>(answer: &'a Answer, name: &str) -> &'a str {
        let found = answer.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.to_str().expect("text"))
    }

    fn base64(bytes: &[u8]) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let encode = |three: &[u8]| {
            let bits = three.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
            let bits = bits << (8 * (3 - three.len()));
            let digit = |i: usize| char::from(DIGITS[bits >> (18 - 6 * i) & 63]);
            (0..4).map(|i| if i <= three.len() { digit(i) } else { '=' }).collect::<String>()
        };
        bytes.chunks(3).map(encode).collect()
    }

    /// What a policy calls this text.
    pub(in crate::respond) fn source_of(text: &str) -> String {
        let suite = TLS13_AES_128_GCM_SHA256.tls13().expect("a suite of TLS 1.3");
        let hash = suite.common.hash_provider.hash(text.as_bytes());
        format!("'sha256-{}'", base64(hash.as_ref()))
    }

    #[test]
    fn a_refusal_may_say_more_than_its_status() {
        let page = Page { status: StatusCode::FORBIDDEN, text: Some("Say <why>."), request_id: "" };
        for (form, part) in
            [(Form::Html, "<p>Say <why>.</p>"), (Form::Problem, "\"detail\":\"Say <why>.\"")]
        {
            let body = page.answer(form, &ErrorPages::default()).body;
            assert!(String::from_utf8(body.to_vec()).expect("text").contains(part), "{part}");
        }
    }

    #[test]
    fn the_policy_admits_the_style_of_the_page() {
        let source = source_of(STYLE);
        assert!(POLICY.contains(&source), "{source}");
        let page = String::from_utf8(answer(404, Form::Html).body.to_vec()).expect("text");
        assert!(page.contains(&format!("<style>{STYLE}</style>")));
        assert_eq!(page.matches("<style").count(), 1);
        assert!(!page.contains("style=") && !page.contains("src=") && !page.contains("href="));
    }

    #[test]
    fn pages_show_status_text_and_request_id() {
        let answer = answer(404, Form::Html);
        assert_eq!(answer.status, 404);
        assert_eq!(field(&answer, "content-type"), "text/html; charset=utf-8");
        assert_eq!(field(&answer, "content-length"), answer.body.len().to_string());
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert_eq!(field(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(field(&answer, "content-security-policy"), POLICY);
        let page = String::from_utf8(answer.body.to_vec()).expect("text");
        assert!(page.contains("<title>404 Not Found</title>"), "{page}");
        assert!(page.contains("There is nothing at this address."), "{page}");
        assert!(page.contains("<code>&quot;&lt;script&gt;&#39;&amp;\\</code>"), "{page}");
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn problems_are_json() {
        let answer = answer(429, Form::Problem);
        assert_eq!(answer.status, 429);
        assert_eq!(field(&answer, "content-type"), "application/problem+json");
        assert_eq!(field(&answer, "cache-control"), "no-store");
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
        let expected = serde_json::json!({
            "type": "about:blank",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "There were too many requests. Please wait a little and try again.",
            "request_id": HOSTILE,
        });
        assert_eq!(problem, expected);
    }

    #[test]
    fn grpc_gets_a_status_of_its_own() {
        for (status, expected) in [
            (400, "13"),
            (401, "16"),
            (403, "7"),
            (404, "12"),
            (405, "2"),
            (413, "2"),
            (429, "14"),
            (500, "2"),
            (502, "14"),
            (503, "14"),
            (504, "14"),
        ] {
            let answer = answer(status, Form::Grpc);
            assert_eq!(answer.status, 200);
            assert_eq!(field(&answer, "content-type"), "application/grpc");
            assert_eq!(field(&answer, "grpc-status"), expected, "{status}");
            assert!(answer.body.is_empty());
        }
    }

    #[test]
    fn every_text_needs_no_escaping_anywhere() {
        for status in 400..600 {
            let text = text(StatusCode::from_u16(status).expect("a status"));
            assert!(text.ends_with('.'), "{text}");
            assert!(
                text.bytes().all(|b| matches!(b, b' '..=b'~') && !b"%<>&\"'".contains(&b)),
                "{text}"
            );
        }
    }

    #[test]
    fn pages_of_the_operator_are_for_people() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("503.html");
        std::fs::write(&path, "<h1>Back soon</h1>").expect("a file");
        let pages =
            ErrorPages::new(&[("503".to_owned(), path)].into()).expect("a good configuration");
        let page = Page { status: StatusCode::SERVICE_UNAVAILABLE, text: None, request_id: "1" };
        let answer = page.answer(Form::Html, &pages);
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "<h1>Back soon</h1>");
        assert_eq!(field(&answer, "cache-control"), "no-store");
        assert_eq!(field(&answer, "content-security-policy"), "");
        assert_eq!(
            field(&page.answer(Form::Problem, &pages), "content-type"),
            "application/problem+json"
        );
        let other = Page { status: StatusCode::BAD_GATEWAY, ..page }.answer(Form::Html, &pages);
        assert_ne!(other.body, answer.body);
    }
}
