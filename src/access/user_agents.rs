//! Programs that a route turns away, by what they say of themselves.

use http::{HeaderMap, header};
use regex::bytes::{RegexSet, RegexSetBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, KeyPath};

/// What begins an item that is a regular expression.
const REGEX: &str = "~";
/// The most memory that all items of a list may take as one machine.
const MOST_MEMORY: usize = 16 << 20;

/// The section `access.user_agents`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Parts of a User-Agent in any case; after `~`, a regular expression.
    pub deny: Vec<String>,
}

/// The programs of `access.user_agents`.
#[derive(Debug, Default)]
pub(super) struct UserAgents {
    // One machine for all items: a request costs the same, however many there are.
    denied: Option<RegexSet>,
}

impl UserAgents {
    pub(super) fn new(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let mut patterns = Vec::with_capacity(config.deny.len());
        for (index, item) in config.deny.iter().enumerate() {
            match read(item) {
                Ok(pattern) => patterns.push(pattern),
                Err(what) => faults.add(KeyPath::root().child("deny").child(index), what),
            }
        }
        if !faults.is_empty() || patterns.is_empty() {
            return faults.into_result(|| Some(UserAgents::default()));
        }
        let denied = compile(&patterns);
        let denied = denied.map_err(|what| Faults::at("deny", what))?;
        Ok(UserAgents { denied: Some(denied) })
    }

    /// Whether nothing that it says of itself is denied. Who says nothing says
    /// the empty text, which `~^$` denies.
    pub(super) fn take(&self, headers: &HeaderMap) -> bool {
        let Some(denied) = &self.denied else {
            return true;
        };
        let mut said = headers.get_all(header::USER_AGENT).iter().peekable();
        match said.peek() {
            None => !denied.is_match(b""),
            Some(_) => !said.any(|agent| denied.is_match(agent.as_bytes())),
        }
    }
}

/// An item as a regular expression.
fn read(item: &str) -> Result<String, String> {
    let pattern = match item.strip_prefix(REGEX) {
        Some(pattern) => pattern.to_owned(),
        None => regex::escape(item),
    };
    if pattern.is_empty() {
        return Err("is empty, which every program has; `~^$` is one that says nothing".to_owned());
    }
    // On its own first, so that a fault is found at its place.
    compile(&[&pattern])?;
    Ok(pattern)
}

fn compile(patterns: &[impl AsRef<str>]) -> Result<RegexSet, String> {
    let mut builder = RegexSetBuilder::new(patterns);
    builder.case_insensitive(true).size_limit(MOST_MEMORY).dfa_size_limit(MOST_MEMORY);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "takes more than 16 MiB of memory; write fewer or shorter ones".to_owned()
        }
        error => {
            // The library draws a picture; its last line says what is wrong.
            let text = error.to_string();
            let what = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            format!("is no regular expression: {what}")
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn agents(items: &[&str]) -> Result<UserAgents, Faults> {
        let deny = items.iter().map(|item| (*item).to_owned()).collect();
        UserAgents::new(&Config { deny })
    }

    #[track_caller]
    fn check(items: &[&str], said: &[&[u8]], expected: bool) {
        let headers = said
            .iter()
            .map(|value| (header::USER_AGENT, HeaderValue::from_bytes(value).expect("a value")));
        let taken = agents(items).expect("good").take(&headers.collect());
        assert_eq!(taken, expected, "{items:?} {said:?}");
    }

    #[test]
    fn parts_of_names_and_patterns_are_denied() {
        check(&[], &[b"curl/8.5.0"], true);
        check(&["curl"], &[b"curl/8.5.0"], false);
        check(&["curl"], &[b"Mozilla/5.0 (X11) CURL"], false);
        check(&["curl"], &[b"Mozilla/5.0"], true);
        check(&["nikto", "sqlmap"], &[b"sqlmap/1.7"], false);
        // Words of a pattern are letters without its `~`.
        check(&["a.c"], &[b"abc"], true);
        check(&["a.c"], &[b"xA.cx"], false);
        check(&["~^curl/[0-7]\\."], &[b"curl/7.88"], false);
        check(&["~^curl/[0-7]\\."], &[b"curl/8.5"], true);
        check(&["~a|b", "~^c$"], &[b"c"], false);
        check(&["~a|b", "~^c$"], &[b"cc"], true);
        check(&["curl"], &[b"good", b"curl"], false);
        check(&["curl"], &[b"\xff curl \xfe"], false);
    }

    #[test]
    fn who_says_nothing_says_the_empty_text() {
        check(&["curl"], &[], true);
        check(&["~^$"], &[], false);
        check(&["~^$"], &[b""], false);
        check(&["~^$"], &[b"x"], true);
    }

    #[test]
    fn faults_name_their_item() {
        for (item, hint) in [
            ("", "is empty"),
            ("~", "is empty"),
            ("~(", "is no regular expression: unclosed group"),
            ("~a)|(b", "unopened group"),
            ("~(?:[a-z]{1000}){1000}", "16 MiB"),
        ] {
            let faults = agents(&["good", item]).expect_err(item);
            let said: Vec<_> = faults.iter().map(|f| format!("{}: {}", f.at, f.what)).collect();
            assert!(said.len() == 1 && said[0].starts_with("deny[1]: "), "{said:?}");
            assert!(said[0].contains(hint), "{said:?}");
        }
    }
}
