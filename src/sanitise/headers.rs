//! The rules for headers that a parser has already taken apart.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bytes::is_value;
use super::framing::{check_expectation, list, read_length};
use super::malformed::Malformed;

/// How strict a listener is where software honestly differs: its key `strict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Strict {
    /// What becomes of headers with an underscore in their name.
    pub underscores: Underscores,
    /// The form of the path that servers receive.
    pub path: PathForm,
}

/// CGI and its heirs read `X_Forwarded_For` as `X-Forwarded-For`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Underscores {
    /// The request is refused.
    #[default]
    Refuse,
    /// The header is removed.
    Drop,
    /// The header is passed on.
    Pass,
}

/// Which form of the path is sent on; routes always match its normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PathForm {
    /// The path that routes have matched.
    #[default]
    Normal,
    /// The path as the client wrote it.
    Raw,
}

impl Strict {
    /// The headers to remove before the head is read; none unless `underscores` is `drop`.
    pub(crate) fn names_to_drop(&self, headers: &HeaderMap) -> Vec<HeaderName> {
        match self.underscores {
            Underscores::Drop => {
                headers.keys().filter(|name| has_underscore(name)).cloned().collect()
            }
            Underscores::Refuse | Underscores::Pass => Vec::new(),
        }
    }

    /// Refuses a name with an underscore; where it should have been dropped, too.
    pub(super) fn check_names(&self, headers: &HeaderMap) -> Result<(), Malformed> {
        if self.underscores != Underscores::Pass && headers.keys().any(has_underscore) {
            return Err(Malformed::UnderscoreInName);
        }
        Ok(())
    }
}

/// Judges the headers of HTTP/2 and HTTP/3 (RFC 9113 §8.2).
///
/// There frames end a body, but the request may go on to a server in HTTP/1:
/// what would frame it there is judged as in HTTP/1.
pub(super) fn check_multiplexed(headers: &HeaderMap) -> Result<(), Malformed> {
    let mut lengths = 0;
    for (name, value) in headers {
        check_value(value)?;
        match name.as_str() {
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                return Err(Malformed::ConnectionHeader);
            }
            "te" if !value.as_bytes().eq_ignore_ascii_case(b"trailers") => {
                return Err(Malformed::Te);
            }
            "expect" => check_expectation(value.as_bytes())?,
            "content-length" => {
                lengths += 1;
                if lengths > 1 {
                    return Err(Malformed::TwoContentLengths);
                }
                read_length(value.as_bytes())?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the headers of an HTTP/1.1 GET are those of a WebSocket handshake.
pub(super) fn ask_for_websocket(headers: &HeaderMap) -> bool {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let (Some(protocol), None) = (upgrades.next(), upgrades.next()) else {
        return false;
    };
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && headers
            .get_all(header::CONNECTION)
            .iter()
            .flat_map(|value| list(value.as_bytes()))
            .any(|option| option.eq_ignore_ascii_case(b"upgrade"))
}

/// The only value of `name`, if there is one; `None` if there are more.
pub(super) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    more: Malformed,
) -> Result<Option<&'a HeaderValue>, Malformed> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        (_, Some(_)) => Err(more),
    }
}

fn check_value(value: &HeaderValue) -> Result<(), Malformed> {
    let value = value.as_bytes();
    if !is_value(value) {
        return Err(Malformed::HeaderValue);
    }
    if value.trim_ascii().len() != value.len() {
        return Err(Malformed::PaddedValue);
    }
    Ok(())
}

fn has_underscore(name: &HeaderName) -> bool {
    memchr::memchr(b'_', name.as_str().as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn check(fields: &[(&'static str, &'static str)], expected: Result<(), Malformed>) {
        assert_eq!(check_multiplexed(&map(fields)), expected, "{fields:?}");
    }

    #[test]
    fn refuses_headers_of_http_1_connections() {
        for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]
        {
            check(&[(name, "x")], Err(Malformed::ConnectionHeader));
        }
        check(&[("te", "trailers")], Ok(()));
        check(&[("te", "gzip")], Err(Malformed::Te));
        check(&[("te", "trailers, gzip")], Err(Malformed::Te));
        check(&[("te", "trailers"), ("te", "gzip")], Err(Malformed::Te));
    }

    #[test]
    fn judges_lengths_and_expectations_as_in_http_1() {
        check(&[("content-length", "5"), ("expect", "100-continue")], Ok(()));
        check(&[("content-length", "05")], Err(Malformed::ContentLength));
        check(&[("content-length", "5, 5")], Err(Malformed::ContentLength));
        check(
            &[("content-length", "5"), ("content-length", "5")],
            Err(Malformed::TwoContentLengths),
        );
        check(&[("expect", "x")], Err(Malformed::Expectation));
    }

    #[test]
    fn refuses_values_with_white_space_around() {
        for value in [" a", "a ", "\ta", "a\t", " "] {
            check(&[("x", value)], Err(Malformed::PaddedValue));
        }
        check(&[("x", ""), ("y", "a b\tc")], Ok(()));
    }

    #[test]
    fn names_with_underscores_are_refused_dropped_or_passed() {
        let headers = map(&[("x_forwarded_for", "a"), ("x-mine", "b"), ("y_", "c")]);
        let strict = |underscores| Strict { underscores, ..Strict::default() };
        for (underscores, dropped, expected) in [
            (Underscores::Refuse, 0, Err(Malformed::UnderscoreInName)),
            (Underscores::Drop, 2, Err(Malformed::UnderscoreInName)),
            (Underscores::Pass, 0, Ok(())),
        ] {
            let strict = strict(underscores);
            assert_eq!(strict.names_to_drop(&headers).len(), dropped, "{underscores:?}");
            assert_eq!(strict.check_names(&headers), expected, "{underscores:?}");
        }
        let strict = strict(Underscores::Drop);
        let mut headers = headers;
        for name in strict.names_to_drop(&headers) {
            headers.remove(name);
        }
        assert_eq!(headers, map(&[("x-mine", "b")]));
        assert_eq!(strict.check_names(&headers), Ok(()));
    }

    #[test]
    fn reads_its_words() {
        let strict: Strict =
            serde_yaml::from_str("{ underscores: drop, path: raw }").expect("good");
        assert_eq!(strict, Strict { underscores: Underscores::Drop, path: PathForm::Raw });
        assert_eq!(serde_yaml::from_str::<Strict>("{}").expect("good"), Strict::default());
        for bad in ["{ underscores: keep }", "{ path: Normal }", "{ dots: pass }"] {
            assert!(serde_yaml::from_str::<Strict>(bad).is_err(), "{bad}");
        }
    }
}
