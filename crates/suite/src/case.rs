//! The tests of the rule set, stage by stage: what is sent and what is expected.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex_automata::meta::Regex;
use serde_yaml::Value;

use crate::exchange::Exchange;
use crate::outcome::Outcome;
use crate::request;

/// What a server answers that cannot read a request: nothing that rules decide.
const MALFORMED: u16 = 400;
/// The pattern of the tests for any rule.
const ANY_ID: &str = r#"\[id "\d+"\]"#;

pub struct Stage {
    /// The rule and the number of the test, as CRS names them: 942100-3, and /2 in a second stage.
    pub name: String,
    pub file: String,
    pub exchange: Exchange,
    /// What a client of HTTP/1 sends.
    pub wire: Vec<u8>,
    pub expected: Expected,
}

#[derive(Default)]
pub struct Expected {
    ids: Vec<u32>,
    no_ids: Vec<u32>,
    line: Option<String>,
    no_line: Option<String>,
    status: Option<u16>,
}

impl Expected {
    fn read(output: &Value) -> Self {
        let log = output.get("log").unwrap_or(&Value::Null);
        let ids = |key: &str| {
            let ids = log.get(key).and_then(Value::as_sequence).into_iter().flatten();
            ids.map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
        };
        let pattern = |key: &str| log.get(key).and_then(Value::as_str).map(str::to_owned);
        let status = output.get("status").and_then(Value::as_u64);
        let expected = Self {
            ids: ids("expect_ids"),
            no_ids: ids("no_expect_ids"),
            line: pattern("match_regex"),
            no_line: pattern("no_match_regex"),
            status: status.map(|status| u16::try_from(status).unwrap()),
        };
        assert!(expected.is_of_rules() || expected.status.is_some(), "no assertion: {output:?}");
        expected
    }

    /// Whether it speaks of what rules log.
    pub fn is_of_rules(&self) -> bool {
        !self.ids.is_empty()
            || !self.no_ids.is_empty()
            || self.line.is_some()
            || self.no_line.is_some()
    }

    /// Whether one of `rules` is to log.
    pub fn expects_any_of(&self, rules: &BTreeSet<u32>) -> bool {
        self.ids.iter().any(|id| rules.contains(id))
    }

    /// Whether all that is said is that rules are not to log.
    pub fn only_excludes_rules(&self) -> bool {
        self.ids.is_empty() && !self.no_ids.is_empty()
    }

    /// Whether one is to log that something more than its id is expected of.
    pub fn is_of_text(&self) -> bool {
        [&self.line, &self.no_line].into_iter().flatten().any(|pattern| pattern != ANY_ID)
    }

    /// Whether a server is to refuse it before rules see it.
    pub fn is_of_parsers(&self) -> bool {
        self.status == Some(MALFORMED)
    }

    /// Whether rules are to log, so that it is known that they saw the request.
    pub fn includes_rules(&self) -> bool {
        !self.ids.is_empty() || self.line.is_some()
    }

    /// What is not as expected; None where only a parser of HTTP could be judged.
    pub fn faults(&self, outcome: &Outcome) -> Option<Vec<String>> {
        if self.is_of_parsers() {
            return self.is_of_rules().then(|| self.faults_of_rules(outcome));
        }
        Some(self.faults_with_status(outcome))
    }

    /// What is not as expected where a server has read the request.
    pub fn faults_with_status(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = self.faults_of_rules(outcome);
        if let Some(status) = self.status.filter(|status| *status != outcome.status) {
            faults.push(format!("status {} instead of {status}", outcome.status));
        }
        faults
    }

    fn faults_of_rules(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = Vec::new();
        for id in self.ids.iter().filter(|id| !outcome.logged.contains(id)) {
            faults.push(format!("{id} is not among {:?}", outcome.logged));
        }
        for id in self.no_ids.iter().filter(|id| outcome.logged.contains(id)) {
            faults.push(format!("{id} is among {:?}", outcome.logged));
        }
        if let Some(pattern) = self.line.as_ref().filter(|pattern| !outcome.has_line(pattern)) {
            faults.push(format!("no line matches {pattern}: {}", outcome.shown_lines()));
        }
        if let Some(pattern) = self.no_line.as_ref().filter(|pattern| outcome.has_line(pattern)) {
            faults.push(format!("a line matches {pattern}: {}", outcome.shown_lines()));
        }
        faults
    }
}

impl Outcome {
    fn has_line(&self, pattern: &str) -> bool {
        let pattern = Regex::new(pattern).unwrap();
        self.lines.iter().any(|line| pattern.is_match(line))
    }

    fn shown_lines(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|l| l.escape_ascii().to_string()).collect();
        lines.join("\n    ")
    }
}

/// All stages below a directory, in the order of the names of files.
pub fn read(directory: &Path) -> Vec<Stage> {
    let mut files = Vec::new();
    find(directory, &mut files);
    files.sort();
    files.iter().flat_map(|file| read_file(file)).collect()
}

fn find(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            find(&path, files);
        } else if matches!(extension, Some("yaml" | "yml")) {
            files.push(path);
        }
    }
}

fn read_file(path: &Path) -> Vec<Stage> {
    let text = std::fs::read_to_string(path).unwrap();
    let file: Value =
        serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let name = path.file_stem().unwrap().to_str().unwrap();
    let tests = file.get("tests").and_then(Value::as_sequence).into_iter().flatten();
    let mut found = Vec::new();
    for test in tests {
        let id = test.get("test_id").and_then(Value::as_u64).unwrap();
        let stages = test.get("stages").and_then(Value::as_sequence).unwrap();
        for (number, stage) in stages.iter().enumerate() {
            let stage = stage.get("stage").unwrap_or(stage);
            let later = if number == 0 { String::new() } else { format!("/{}", number + 1) };
            found.push(Stage {
                name: format!("{name}-{id}{later}"),
                file: path.display().to_string(),
                exchange: request::build(&stage["input"]),
                wire: request::wire(&stage["input"]),
                expected: Expected::read(&stage["output"]),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::Expected;
    use crate::outcome::Outcome;

    #[track_caller]
    fn check(output: &str, logged: &[u32], lines: &[&str], faults: Option<usize>) {
        let expected = Expected::read(&serde_yaml::from_str(output).unwrap());
        let lines = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        let outcome = Outcome { logged: logged.to_vec(), lines, status: 200, ..Outcome::default() };
        assert_eq!(expected.faults(&outcome).map(|faults| faults.len()), faults);
    }

    #[test]
    fn tells_every_fault() {
        check("{log: {expect_ids: [1, 2]}}", &[1, 2, 3], &[], Some(0));
        check("{log: {expect_ids: [1, 2]}}", &[3], &[], Some(2));
        check("{log: {no_expect_ids: [1]}}", &[3], &[], Some(0));
        check("{log: {no_expect_ids: [1], expect_ids: [4]}}", &[1], &[], Some(2));
        check("{log: {match_regex: 'a.c'}}", &[], &["x", "abc"], Some(0));
        check("{log: {match_regex: 'a.c'}}", &[], &["x"], Some(1));
        check("{log: {no_match_regex: 'a.c'}}", &[], &["abc"], Some(1));
        check("{status: 200}", &[], &[], Some(0));
        check("{status: 403}", &[], &[], Some(1));
    }

    #[test]
    fn a_server_is_asked_for_the_status_of_what_is_malformed() {
        let refused = Outcome { status: 400, ..Outcome::default() };
        let expected = Expected::read(&serde_yaml::from_str("{status: 400}").unwrap());
        assert_eq!(expected.faults_with_status(&refused), [""; 0]);
        assert_eq!(expected.faults_with_status(&Outcome::default()).len(), 1);
    }

    #[test]
    fn tells_ids_from_what_else_rules_say() {
        let is_of_text =
            |output: &str| Expected::read(&serde_yaml::from_str(output).unwrap()).is_of_text();
        assert!(is_of_text("{log: {match_regex: 'found within'}}"));
        assert!(!is_of_text(r#"{log: {no_match_regex: '\[id "\d+"\]'}}"#));
        assert!(!is_of_text("{log: {expect_ids: [1]}}"));
    }

    #[test]
    fn leaves_malformed_requests_to_parsers() {
        check("{status: 400}", &[], &[], None);
        check("{status: 400, log: {no_expect_ids: [1]}}", &[1], &[], Some(1));
    }
}
