//! The key `strict` of a listener: what is refused only where nobody needs it.

use http::{HeaderMap, HeaderName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::malformed::Malformed;

/// How strict a listener is where software honestly differs: its key `strict`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Strict {
    /// What becomes of headers with an underscore in their name.
    pub underscores: Underscores,
    /// The form of the path that servers receive.
    pub path: PathForm,
    /// What becomes of requests with `%2F` in their path.
    pub encoded_slashes: Escapes,
    /// What becomes of requests with an escape that decodes to an escape.
    pub double_encoding: Escapes,
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

/// What becomes of escapes that some servers take for what they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Escapes {
    /// The request is refused.
    #[default]
    Refuse,
    /// They go on as they are, and are nothing else to routes.
    Pass,
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

fn has_underscore(name: &HeaderName) -> bool {
    memchr::memchr(b'_', name.as_str().as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::headers::tests::map;
    use super::*;

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
            serde_yaml::from_str("{ underscores: drop, path: raw, double_encoding: pass }")
                .expect("good");
        let expected = Strict {
            underscores: Underscores::Drop,
            path: PathForm::Raw,
            encoded_slashes: Escapes::Refuse,
            double_encoding: Escapes::Pass,
        };
        assert_eq!(strict, expected);
        assert_eq!(serde_yaml::from_str::<Strict>("{}").expect("good"), Strict::default());
        for bad in [
            "{ underscores: keep }",
            "{ path: Normal }",
            "{ dots: pass }",
            "{ encoded_slashes: drop }",
        ] {
            assert!(serde_yaml::from_str::<Strict>(bad).is_err(), "{bad}");
        }
    }
}
