//! The words of `waf`, and of the routes that name its profiles.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::units::{ByteSize, Switch, Unreadable, Word, word};

/// So much of each body is kept in memory until it is judged.
pub(super) const MOST_INSPECTED: ByteSize = ByteSize::mib(1);
/// At this one, half of what is harmless looks like an attack.
const MOST_PARANOIA: u8 = 4;

/// One of `waf`; it acts on the routes that name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// What happens to a request that the rules are against.
    pub mode: Mode,
    /// The rules.
    pub rules: Rules,
    /// Directives, or ids of rules, that may be skipped with a warning.
    pub skip: Vec<Skip>,
    /// How much that is harmless may be refused: 1, little, to 4. What the rules say if absent,
    /// which is 1.
    pub paranoia: Option<u8>,
    /// The score from which on a request is refused. What the rules say if absent, which is 5.
    pub inbound_threshold: Option<u32>,
    /// The same of an answer; what the rules say if absent, which is 4.
    pub outbound_threshold: Option<u32>,
    /// Rules that do not act, or not everywhere.
    pub exclude: Vec<Exclude>,
    /// How much of a request's body is judged, and what happens to the rest.
    pub body: Body,
    /// Whether answers are judged, too: the client gets nothing of one until then.
    pub responses: Switch,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            mode: Mode::Block,
            rules: Rules::Builtin(Builtin::Builtin),
            skip: Vec::new(),
            paranoia: None,
            inbound_threshold: None,
            outbound_threshold: None,
            exclude: Vec::new(),
            body: Body::default(),
            responses: Switch::OFF,
        }
    }
}

/// What happens to a request that the rules are against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mode {
    /// It is refused.
    #[default]
    Block,
    /// It is served, and noted.
    Detect,
    /// No request is judged.
    Off,
}

/// Where rules are from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write builtin or { crs: DIRECTORY }")]
pub(crate) enum Rules {
    Builtin(Builtin),
    Given(Given),
}

/// The word `builtin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Builtin {
    Builtin,
}

/// Rules in files.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Given {
    /// The directory of the OWASP Core Rule Set.
    pub crs: Option<PathBuf>,
    /// Its setup; that of its directory if absent.
    pub setup: Option<PathBuf>,
    /// Further rules, read after those.
    pub files: Vec<PathBuf>,
}

/// What may be skipped: a rule by its id, or a directive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write the id of a rule or the name of a directive")]
pub(crate) enum Skip {
    Rule(u32),
    Directive(String),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Skip::Rule(id) => write!(f, "{id}"),
            Skip::Directive(name) => f.write_str(name),
        }
    }
}

/// A rule that does not act, or not everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write the id of a rule, { tag: TAG } or { rule: ID, target: NAME }")]
pub(crate) enum Exclude {
    Rule(u32),
    Part(Part),
}

/// Rules, and where they do not act.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Part {
    /// The id of the rule.
    pub rule: Option<u32>,
    /// The tag of the rules.
    pub tag: Option<String>,
    /// What they do not look at: `ARGS:q`, `REQUEST_COOKIES`; everything if absent.
    pub target: Option<String>,
    /// Where they do not; everywhere if absent.
    pub path_prefix: Option<String>,
}

/// `waf.*.body`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Body {
    /// The most bytes that are kept and judged, without those of files.
    pub inspect: ByteSize,
    /// What happens to files in forms.
    pub files: Files,
    /// What happens to a body that has more.
    pub over: Over,
}

impl Default for Body {
    fn default() -> Self {
        Body { inspect: ByteSize::kib(128), files: Files::Stream, over: Over::InspectPrefix }
    }
}

/// What happens to files in forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Files {
    /// Servers get them while they come; their names are judged.
    #[default]
    Stream,
    /// They are kept and counted like everything else.
    Keep,
}

/// What happens to a body of which only a part would be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Over {
    /// That part decides.
    #[default]
    InspectPrefix,
    /// The request is refused.
    Block,
    /// Its body is not judged.
    Pass,
}

/// The profile of a route, or that of those which name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Off,
    Profile(String),
}

impl Default for Named {
    fn default() -> Self {
        Named::Profile(STANDARD.to_owned())
    }
}

/// The profile of all routes that say nothing. Where nobody wrote it, it has its defaults.
pub(crate) const STANDARD: &str = "standard";

impl FromStr for Named {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Ok(match text {
            "off" | "false" => Named::Off,
            name => Named::Profile(name.to_owned()),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Named::Off => "off",
            Named::Profile(name) => name,
        })
    }
}

impl Word for Named {
    const FORMAT: &'static str = "profile-or-off";
}

word!(Named);

impl Config {
    pub(super) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if let Some(paranoia) = self.paranoia.filter(|level| !(1..=MOST_PARANOIA).contains(level)) {
            let what = format!("is {paranoia}; must be 1 to {MOST_PARANOIA}");
            faults.extend(Faults::at("paranoia", what));
        }
        if self.inbound_threshold == Some(0) {
            let what = "must be more than 0, or everything is refused; write mode: off for nothing";
            faults.extend(Faults::at("inbound_threshold", what));
        }
        if self.outbound_threshold == Some(0) {
            let what = "must be more than 0, or every answer is refused";
            faults.extend(Faults::at("outbound_threshold", what));
        }
        if let Rules::Given(given) = &self.rules {
            faults.collect("rules", given.check());
        }
        for (index, skip) in self.skip.iter().enumerate() {
            let found = skip.check().map_err(|what| Faults::at(index, what));
            faults.collect("skip", found);
        }
        for (index, exclude) in self.exclude.iter().enumerate() {
            let found = exclude.check().map_err(|found| found.under(index));
            faults.collect("exclude", found);
        }
        faults.collect("body", self.body.check());
        faults.into_result(|| Some(()))
    }
}

impl Given {
    fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if self.crs.is_none() && self.files.is_empty() {
            faults.extend(Faults::one("has no rules; write `crs` or `files`, or builtin"));
        }
        if self.crs.is_none() && self.setup.is_some() {
            faults.extend(Faults::at("setup", "is of the Core Rule Set; write `crs`, too"));
        }
        faults.into_result(|| Some(()))
    }
}

impl Skip {
    fn check(&self) -> Result<(), String> {
        match self {
            Skip::Rule(0) => Err("0 is the id of no rule".to_owned()),
            Skip::Directive(name) if !name.starts_with("Sec") && !name.starts_with("Include") => {
                Err(format!("`{name}` is no directive; write SecGeoLookupDb or the id of a rule"))
            }
            Skip::Rule(_) | Skip::Directive(_) => Ok(()),
        }
    }
}

impl Exclude {
    pub(super) fn check(&self) -> Result<(), Faults> {
        let Exclude::Part(part) = self else {
            let is_none = *self == Exclude::Rule(0);
            return if is_none { Err(Faults::one(NO_RULE)) } else { Ok(()) };
        };
        let mut faults = Faults::none();
        match (part.rule, &part.tag) {
            (None, None) => {
                faults.extend(Faults::one("says of no rule; write `rule` or `tag`"));
            }
            (Some(_), Some(_)) => {
                faults.extend(Faults::at("tag", "a rule has been named; write one of both"));
            }
            (Some(0), None) => faults.extend(Faults::at("rule", NO_RULE)),
            (_, Some(tag)) if !is_plain(tag) => {
                faults.extend(Faults::at("tag", "is no tag; write attack-sqli"));
            }
            _ => {}
        }
        if part.target.as_ref().is_some_and(|target| !is_target(target)) {
            faults.extend(Faults::at("target", "is no variable; write ARGS or ARGS:name"));
        }
        if part.path_prefix.as_ref().is_some_and(|path| !path.starts_with('/') || !is_plain(path)) {
            faults.extend(Faults::at("path_prefix", "must begin with `/`, and have no quotes"));
        }
        faults.into_result(|| Some(()))
    }
}

const NO_RULE: &str = "0 is the id of no rule";

/// Whether it looks like one; the engine knows which there are.
fn is_target(target: &str) -> bool {
    let (name, key) = target.split_once(':').unwrap_or((target, "all"));
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    !name.is_empty() && name.chars().all(is_name) && is_plain(key)
}

/// Whether a text means in the language of rules what it means here.
fn is_plain(text: &str) -> bool {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !"\"'\\,;|%{}".contains(c);
    !text.is_empty() && text.chars().all(is_plain)
}

impl Body {
    fn check(&self) -> Result<(), Faults> {
        if self.inspect > MOST_INSPECTED {
            let what = format!("is {}; must be at most {MOST_INSPECTED}", self.inspect);
            return Err(Faults::at("inspect", what));
        }
        if self.inspect.0 == 0 && self.over == Over::Block {
            let what = "refuses every body where `inspect` is 0; write pass, or inspect some";
            return Err(Faults::at("over", what));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &[&str]) {
        let config: Config = serde_yaml::from_str(written).expect("well-formed");
        let faults = config.check().err().unwrap_or_default();
        let said: Vec<String> =
            faults.iter().map(|fault| format!("{}: {}", fault.at, fault.what)).collect();
        assert_eq!(said.len(), expected.len(), "{written}: {said:?}");
        for (said, expected) in said.iter().zip(expected) {
            assert!(said.starts_with(expected), "{written}: {said}");
        }
    }

    #[test]
    fn every_form_is_taken() {
        for good in [
            "{}",
            "{ mode: detect, rules: builtin, paranoia: 4 }",
            "{ rules: { crs: /crs, setup: s.conf, files: [a.conf] } }",
            "{ rules: { files: [a.conf] }, skip: [920100, SecGeoLookupDb] }",
            "{ exclude: [942100, { tag: attack-sqli }, { rule: 942100, target: 'ARGS:q' }] }",
            "{ exclude: [{ rule: 942100, target: 'ARGS:q', path_prefix: /search }] }",
            "{ body: { inspect: 0, files: keep, over: pass } }",
            "{ body: { inspect: 1MiB, over: block } }",
            "{ responses: true, outbound_threshold: 5 }",
        ] {
            check(good, &[]);
        }
    }

    #[test]
    fn what_would_do_nothing_or_too_much_is_a_fault() {
        check("{ paranoia: 0 }", &["paranoia: is 0; must be 1 to 4"]);
        check("{ inbound_threshold: 0 }", &["inbound_threshold: must be more than 0"]);
        check("{ outbound_threshold: 0 }", &["outbound_threshold: must be more than 0"]);
        check("{ rules: {} }", &["rules: has no rules"]);
        check("{ rules: { setup: a } }", &["rules: has no rules", "rules.setup: is of the Core"]);
        check("{ skip: [1, SecX, geo] }", &["skip[2]: `geo` is no directive"]);
        check("{ exclude: [0, {}] }", &["exclude[0]: 0 is the id", "exclude[1]: says of no rule"]);
        check(
            "{ exclude: [{ rule: 1, tag: a, target: args, path_prefix: a }] }",
            &[
                "exclude[0].tag: a rule has been",
                "exclude[0].target: is no variable",
                "exclude[0].path_prefix: must begin",
            ],
        );
        check("{ body: { inspect: 2MiB } }", &["body.inspect: is 2MiB; must be at most 1MiB"]);
        check("{ body: { inspect: 0, over: block } }", &["body.over: refuses every body"]);
    }
}
