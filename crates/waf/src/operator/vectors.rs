//! The operators against the test vectors that ModSecurity and others share.
//!
//! They lie beside the project, which holds no copy of them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::{Cache, Captures, Compiler, Groups, Known, Operator, fixture};
use crate::parse::{self, Disk, OperatorName as Name};

/// The operators that have vectors.
const NAMES: [Name; 29] = [
    Name::BeginsWith,
    Name::Contains,
    Name::ContainsWord,
    Name::DetectSqli,
    Name::DetectXss,
    Name::EndsWith,
    Name::Eq,
    Name::Ge,
    Name::GeoLookup,
    Name::Gt,
    Name::IpMatch,
    Name::Le,
    Name::Lt,
    Name::NoMatch,
    Name::Pm,
    Name::PmFromFile,
    Name::Rx,
    Name::RxGlobal,
    Name::StrEq,
    Name::StrMatch,
    Name::UnconditionalMatch,
    Name::ValidateByteRange,
    Name::ValidateUrlEncoding,
    Name::ValidateUtf8Encoding,
    Name::VerifyCc,
    Name::VerifyCpf,
    Name::VerifySsn,
    Name::VerifySvnr,
    Name::Within,
];

/// Vectors that we answer differently: operator, argument, and why.
const DEVIATIONS: [(&str, &str, &str); 5] = [
    ("geoLookup", "", "refused when rules are loaded"),
    ("geoLookup", "TestCase", "refused when rules are loaded"),
    ("ipMatch", "10.0.0.0/100", "a network of 100 bits is refused when rules are loaded"),
    ("validateByteRange", "", "an empty list is refused when rules are loaded"),
    ("validateByteRange", "xxx", "a list without numbers is refused when rules are loaded"),
];

struct Vector {
    name: String,
    argument: String,
    input: Vec<u8>,
    matches: bool,
    groups: Vec<Vec<u8>>,
}

impl Vector {
    fn read(test: &Value) -> Self {
        let text = |key: &str| test[key].as_str().unwrap_or_default().to_owned();
        let groups = test["re_groups"].as_array().map(Vec::as_slice).unwrap_or_default();
        let groups = groups.iter().map(|group| unescape(group.as_str().unwrap())).collect();
        let matches = test["ret"].as_i64() == Some(1);
        let (name, argument) = (text("name"), text("param"));
        Self { name, argument, input: unescape(&text("input")), matches, groups }
    }

    /// None if it passes.
    fn fault(&self, cache: &mut Cache) -> Option<String> {
        let (name, argument) = (self.name.as_str(), self.argument.as_str());
        let shown = format!("@{name} '{argument}' on '{}'", self.input.escape_ascii());
        let operator = match self.compile() {
            Ok(operator) => operator,
            Err(_) if is_deviation(name, argument) => return None,
            Err(fault) => return Some(format!("{shown}: {fault}")),
        };
        let expanded = argument.as_bytes();
        let found = operator.is_match(&self.input, expanded, cache);
        if found != self.matches {
            return Some(format!("{shown}: {found}"));
        }
        if found && !operator.needs().are_met(&self.input) {
            return Some(format!("{shown}: matches, but has not {:?}", operator.needs()));
        }
        let captures = operator.captures(&self.input, expanded, cache);
        if captures.is_some() != found {
            return Some(format!("{shown}: captures of no match, or none of one"));
        }
        let groups = captures.as_ref().map(|captures| groups(captures, &self.input));
        let groups = groups.unwrap_or_default();
        let shown_groups = || groups.iter().map(|group| group.escape_ascii().to_string());
        // Two vectors of @rxGlobal list the first match alone, as those of @rx do.
        let all = if self.name == "rxGlobal" { self.groups.len() } else { groups.len() };
        let listed = groups.get(..all.min(groups.len())).unwrap_or_default();
        (!self.groups.is_empty() && listed != self.groups)
            .then(|| format!("{shown}: captured {:?}", shown_groups().collect::<Vec<_>>()))
    }

    fn compile(&self) -> Result<Operator, parse::Fault> {
        let name = NAMES.into_iter().find(|known| known.name().eq_ignore_ascii_case(&self.name));
        let argument = self.argument.strip_prefix("test-cases/secrules-language-tests/");
        let argument = argument.unwrap_or(&self.argument).as_bytes();
        let tree = fixture::tree(name.unwrap(), argument, &folder().join("rules.conf"));
        Operator::compile(&tree, Groups::All, &mut Compiler::new(&Disk, &mut Known::default()))
    }
}

fn groups(captures: &Captures, value: &[u8]) -> Vec<Vec<u8>> {
    (0..10).map_while(|index| captures.get(index, value)).map(<[u8]>::to_vec).collect()
}

fn is_deviation(name: &str, argument: &str) -> bool {
    DEVIATIONS.iter().any(|(operator, of, _)| *operator == name && *of == argument)
}

/// Reads `\xHH` as bytes, and `\0`, which was a NUL before the vectors became JSON.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match (first, after) {
            (b'\\', [b'0', after @ ..]) => {
                out.push(0);
                rest = after;
            }
            (b'\\', [b'x', digits @ ..]) if digits.len() >= 2 => {
                let digits = std::str::from_utf8(digits.get(..2).unwrap()).unwrap();
                out.push(u8::from_str_radix(digits, 16).unwrap());
                rest = after.get(3..).unwrap();
            }
            _ => out.push(*first),
        }
    }
    out
}

fn folder() -> PathBuf {
    fixture::shared().join("secrules-language-tests")
}

#[test]
fn vectors_of_all_operators_pass() {
    let folder = folder().join("operators");
    if !folder.is_dir() {
        println!("nothing tested: there is no {}", folder.display());
        return;
    }
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<PathBuf> = files.filter(|file| file.is_file()).collect();
    files.sort();
    let mut vectors = Vec::new();
    for file in files {
        let tests: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        vectors.extend(tests.as_array().unwrap().iter().map(Vector::read));
    }
    let mut cache = Cache::new();
    let faults: Vec<String> =
        vectors.iter().filter_map(|vector| vector.fault(&mut cache)).collect();
    println!("{} passed, {} failed", vectors.len() - faults.len(), faults.len());
    assert!(vectors.len() > 3_000, "vectors are missing");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
