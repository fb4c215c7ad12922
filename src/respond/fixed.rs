//! The answer that an operator wrote for a route: always the same.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::fault::{Faults, KeyPath};
use crate::sanitise::is_token;

/// What a route answers by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub status: u16,
    pub body: String,
    pub content_type: String,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            status: 200,
            body: String::new(),
            content_type: "text/plain; charset=utf-8".to_owned(),
        }
    }
}

/// An answer known beforehand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fixed {
    answer: Answer,
}

impl Fixed {
    pub(crate) fn new(config: &Config) -> Result<Fixed, Faults> {
        let mut faults = Faults::none();
        let at = |key: &str| KeyPath::root().child(key);
        let status = StatusCode::from_u16(config.status).ok().filter(is_final);
        if status.is_none() {
            faults.add(at("status"), "is not from 200 to 599");
        }
        let may_have_body = status.is_none_or(may_have_body);
        if !may_have_body && !config.body.is_empty() {
            faults.add(at("body"), format!("an answer of {} has none", config.status));
        }
        let content_type = HeaderValue::from_str(&config.content_type).ok();
        if content_type.is_none() || !is_media_type(&config.content_type) {
            faults.add(at("content_type"), "is no media type; write text/plain");
        }
        faults.into_result(|| {
            let body = Bytes::from(config.body.clone());
            let mut headers = Vec::with_capacity(2);
            if may_have_body {
                headers.push((CONTENT_LENGTH, HeaderValue::from(body.len())));
            }
            if !body.is_empty() {
                headers.push((CONTENT_TYPE, content_type?));
            }
            Some(Fixed { answer: Answer { status: status?, headers, body } })
        })
    }

    pub(crate) fn answer(&self) -> Answer {
        self.answer.clone()
    }
}

/// Whether a type and a subtype come before any parameters (RFC 9110 §8.3.1).
fn is_media_type(text: &str) -> bool {
    let essence = text.split(';').next().unwrap_or_default().trim_end();
    let parts = essence.split_once('/');
    parts.is_some_and(|(kind, of)| is_token(kind.as_bytes()) && is_token(of.as_bytes()))
}

fn is_final(status: &StatusCode) -> bool {
    (200..=599).contains(&status.as_u16())
}

fn may_have_body(status: StatusCode) -> bool {
    !matches!(status, StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expected: Result<(u16, &[&str]), &[&str]>) {
        let config: Config = serde_yaml::from_str(yaml).expect("a configuration");
        let found = Fixed::new(&config).map(|fixed| {
            let answer = fixed.answer();
            assert_eq!(answer.body, config.body);
            let content_type = answer.headers.iter().find(|(name, _)| name == CONTENT_TYPE);
            assert!(content_type.is_none_or(|(_, value)| *value == config.content_type));
            let names = answer.headers.iter().map(|(name, _)| name.to_string()).collect();
            (answer.status.as_u16(), names)
        });
        let found: Result<(u16, Vec<String>), Vec<String>> =
            found.map_err(|faults| faults.iter().map(|fault| fault.at.to_string()).collect());
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected = expected.map(|(status, names)| (status, owned(names))).map_err(owned);
        assert_eq!(found, expected, "{yaml}");
    }

    #[test]
    fn answers_as_written() {
        let whole: &[&str] = &["content-length", "content-type"];
        check("{ status: 200, body: \"pong\\n\", content_type: text/plain }", Ok((200, whole)));
        check("{ status: 503, body: sorry }", Ok((503, whole)));
        check("{}", Ok((200, &["content-length"])));
        check("{ status: 204 }", Ok((204, &[])));
        check("{ status: 304 }", Ok((304, &[])));
    }

    #[test]
    fn every_fault_names_its_key() {
        check("{ status: 101 }", Err(&["status"]));
        check("{ status: 600 }", Err(&["status"]));
        check("{ status: 204, body: x }", Err(&["body"]));
        check("{ status: 304, body: x, content_type: \"a\\nb\" }", Err(&["body", "content_type"]));
        for text in ["''", "text", "text/", "/plain", "te xt/plain", "text/pl ain", "'; x=y'"] {
            check(&format!("{{ content_type: {text} }}"), Err(&["content_type"]));
        }
        check("{ content_type: 'text/plain ; charset=utf-8' }", Ok((200, &["content-length"])));
        check("{ status: 0, content_type: \"a\\0\" }", Err(&["status", "content_type"]));
    }
}
