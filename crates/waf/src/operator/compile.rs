//! From a parsed operator to a compiled one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::operator::identity::Check;
use crate::operator::network::Networks;
use crate::operator::number::Relation;
use crate::operator::pattern::{Groups, Pattern, Unmatchable};
use crate::operator::phrases::{self, Phrases};
use crate::operator::text::{Comparison, Text};
use crate::operator::{Kind, Operator, encoding, number};
use crate::parse::{self, Fault, OperatorName as Name, Problem};

/// Patterns of all rule sets that share theirs.
const PATTERNS: usize = 65_536;

/// Expressions and lists that were compiled; equal ones are so once.
#[derive(Debug, Default)]
pub(crate) struct Known {
    patterns: HashMap<(Vec<u8>, bool), Arc<Pattern>>,
    phrases: HashMap<Vec<PathBuf>, Arc<Phrases>>,
}

/// Compiles the operators of one rule set, but for what is known of it.
pub(crate) struct Compiler<'a> {
    files: &'a dyn parse::Files,
    known: &'a mut Known,
}

impl Known {
    /// Bytes that the expressions take, without what is needed to match them.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.patterns.values().map(|pattern| pattern.automaton().bytes()).sum()
    }
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(files: &'a dyn parse::Files, known: &'a mut Known) -> Self {
        Self { files, known }
    }

    pub(crate) fn compile(
        &mut self,
        tree: &parse::Operator,
        groups: Groups,
    ) -> Result<Operator, Fault> {
        if let Some(reason) = refusal(tree.name) {
            let name = format!("@{}", tree.name.name());
            return Err(fault(tree, Problem::Refused { name, reason }));
        }
        let Some(literal) = tree.argument.literal() else { return expanded(tree) };
        let kind = match tree.name {
            Name::UnconditionalMatch => Kind::Always,
            Name::NoMatch => Kind::Never,
            Name::Rx => Kind::Pattern(self.pattern(tree, literal, groups)?),
            Name::RxGlobal => Kind::EachPattern(self.pattern(tree, literal, groups)?),
            Name::Pm => Kind::Phrases(pm(tree, literal)?),
            Name::PmFromFile => Kind::Phrases(self.pm_from_file(tree, literal)?),
            Name::StrMatch => {
                let text = phrases::content(literal).map_err(|want| wrong(tree, literal, want))?;
                Kind::Text(Box::new(Text::new(Comparison::Contains, &text)))
            }
            Name::IpMatch => {
                let entries = literal.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                Kind::Network(networks(tree, entries.filter(|entry| !entry.is_empty()))?)
            }
            Name::IpMatchFromFile => {
                let (_, file) = self.read(tree, literal)?;
                Kind::Network(networks(tree, phrases::lines(&file))?)
            }
            Name::ValidateByteRange => {
                let set = encoding::byte_ranges(literal);
                Kind::Bytes(set.map_err(|entry| wrong(tree, entry, "bytes like 9,10,32-126"))?)
            }
            Name::ValidateUrlEncoding => Kind::UrlEncoding,
            Name::ValidateUtf8Encoding => Kind::Utf8Encoding,
            Name::DetectSqli => Kind::Sqli,
            Name::DetectXss => Kind::Xss,
            name => match (comparison(name), relation(name), check(name)) {
                (Some(comparison), ..) => Kind::Text(Box::new(Text::new(comparison, literal))),
                (_, Some(relation), _) => Kind::Number(relation, number::read(literal)),
                (.., Some(check)) => Kind::Identity(check, self.pattern(tree, literal, groups)?),
                (None, None, None) => return Err(unknown(tree)),
            },
        };
        Ok(Operator { kind, argument: None })
    }

    fn pattern(
        &mut self,
        tree: &parse::Operator,
        literal: &[u8],
        groups: Groups,
    ) -> Result<Arc<Pattern>, Fault> {
        let key = (literal.to_vec(), groups == Groups::All);
        if let Some(known) = self.known.patterns.get(&key) {
            return Ok(Arc::clone(known));
        }
        let number = self.known.patterns.len();
        if number == PATTERNS {
            let what = "regular expressions";
            return Err(fault(tree, Problem::TooMany { what, limit: PATTERNS }));
        }
        let compiled = Pattern::compile(literal, groups, number);
        let pattern = Arc::new(compiled.map_err(|why: Unmatchable| {
            fault(tree, Problem::Expression { why: why.to_string() })
        })?);
        self.known.patterns.insert(key, Arc::clone(&pattern));
        Ok(pattern)
    }

    fn pm_from_file(
        &mut self,
        tree: &parse::Operator,
        literal: &[u8],
    ) -> Result<Arc<Phrases>, Fault> {
        let names: Vec<&[u8]> =
            literal.split(u8::is_ascii_whitespace).filter(|name| !name.is_empty()).collect();
        let paths = names.iter().map(|name| beside(tree, name)).collect::<Vec<_>>();
        if let Some(known) = self.known.phrases.get(&paths) {
            return Ok(Arc::clone(known));
        }
        let mut all = Vec::new();
        for name in names {
            let (_, file) = self.read(tree, name)?;
            all.extend(phrases::lines(&file).map(<[u8]>::to_vec));
        }
        let phrases = Phrases::new(all);
        let phrases = Arc::new(phrases.map_err(|why| unreadable(tree, literal, why))?);
        self.known.phrases.insert(paths, Arc::clone(&phrases));
        Ok(phrases)
    }

    fn read(&self, tree: &parse::Operator, name: &[u8]) -> Result<(PathBuf, Vec<u8>), Fault> {
        if name.starts_with(b"http://") || name.starts_with(b"https://") {
            return Err(wrong(tree, name, "the path of a file: nothing is fetched"));
        }
        let path = beside(tree, name);
        let file = self.files.read(&path);
        let file = file.map_err(|error| unreadable(tree, name, error.to_string()))?;
        Ok((path, file))
    }
}

/// A path that is not absolute starts at the directory of the rules.
fn beside(tree: &parse::Operator, name: &[u8]) -> PathBuf {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let path = Path::new(OsStr::from_bytes(name.trim_ascii()));
    tree.place.file.parent().map_or_else(|| path.to_path_buf(), |directory| directory.join(path))
}

fn expanded(tree: &parse::Operator) -> Result<Operator, Fault> {
    let kind = match (tree.name, comparison(tree.name), relation(tree.name)) {
        (Name::StrMatch, ..) => Kind::Expanded(Comparison::Contains),
        (_, Some(comparison), _) => Kind::Expanded(comparison),
        (.., Some(relation)) => Kind::ExpandedNumber(relation),
        (_, None, None) => return Err(unknown(tree)),
    };
    Ok(Operator { kind, argument: Some(tree.argument.clone()) })
}

const fn comparison(name: Name) -> Option<Comparison> {
    Some(match name {
        Name::BeginsWith => Comparison::BeginsWith,
        Name::Contains => Comparison::Contains,
        Name::ContainsWord => Comparison::ContainsWord,
        Name::EndsWith => Comparison::EndsWith,
        Name::StrEq => Comparison::Equals,
        Name::Within => Comparison::Within,
        _ => return None,
    })
}

const fn relation(name: Name) -> Option<Relation> {
    Some(match name {
        Name::Eq => Relation::Equal,
        Name::Ge => Relation::AtLeast,
        Name::Gt => Relation::Above,
        Name::Le => Relation::AtMost,
        Name::Lt => Relation::Below,
        _ => return None,
    })
}

const fn check(name: Name) -> Option<Check> {
    Some(match name {
        Name::VerifyCc => Check::Card,
        Name::VerifyCpf => Check::Cpf,
        Name::VerifySsn => Check::Ssn,
        Name::VerifySvnr => Check::Svnr,
        _ => return None,
    })
}

const fn refusal(name: Name) -> Option<&'static str> {
    Some(match name {
        Name::InspectFile => "no file is written and no program is run for a request",
        Name::Rbl => {
            "a request does not wait for a name server; block lists of files work: @ipMatchFromFile"
        }
        Name::GsbLookup => "there is no list of Google Safe Browsing any more",
        Name::GeoLookup => "countries are looked up by the proxy, not by rules",
        Name::FuzzyHash => "fuzzy hashes are not computed",
        Name::ValidateDtd | Name::ValidateSchema => {
            "XML is not validated: schemas refer to other files, and take more than linear time"
        }
        Name::ValidateHash => "no hashes are added to links of responses",
        Name::Rsub => "values are not rewritten",
        _ => return None,
    })
}

fn pm(tree: &parse::Operator, literal: &[u8]) -> Result<Arc<Phrases>, Fault> {
    let split = phrases::split(literal).map_err(|want| wrong(tree, literal, want))?;
    let phrases = Phrases::new(split);
    Ok(Arc::new(phrases.map_err(|_| wrong(tree, literal, "phrases divided by blanks"))?))
}

fn networks<'e>(
    tree: &parse::Operator,
    entries: impl Iterator<Item = &'e [u8]>,
) -> Result<Arc<Networks>, Fault> {
    const WANT: &str = "addresses and networks like 10.0.0.0/8,::1";
    Networks::read(entries).map(Arc::new).map_err(|entry| wrong(tree, entry, WANT))
}

fn fault(tree: &parse::Operator, problem: Problem) -> Fault {
    Fault::new(tree.place.clone(), problem)
}

fn wrong(tree: &parse::Operator, got: &[u8], want: &'static str) -> Fault {
    fault(tree, Problem::Wrong { what: "the argument of this operator", got: shown(got), want })
}

fn unreadable(tree: &parse::Operator, name: &[u8], why: String) -> Fault {
    fault(tree, Problem::Unreadable { path: shown(name), why })
}

fn unknown(tree: &parse::Operator) -> Fault {
    let name = format!("@{}", tree.name.name());
    fault(tree, Problem::Refused { name, reason: "it takes no macros" })
}

/// For a message: short, printable.
fn shown(bytes: &[u8]) -> String {
    const BYTES: usize = 60;
    let cut = bytes.get(..BYTES.min(bytes.len())).unwrap_or_default();
    let more = if cut.len() < bytes.len() { "…" } else { "" };
    format!("{}{more}", cut.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::fixture;

    fn check_refused(name: Name, argument: &str, expected: &str) {
        let fault = fixture::compile(name, argument.as_bytes()).expect_err(argument);
        assert_eq!(fault.to_string(), format!("rules.conf:1:1: {expected}"));
    }

    #[test]
    fn faults_say_what_is_wrong_and_where() {
        check_refused(
            Name::Rx,
            r"(a)\2",
            "a regular expression is not supported: a reference back is supported to the groups \
             1 to 9 that start before it (byte 3 of it)",
        );
        check_refused(
            Name::Rx,
            "((((a{1000}){1000}){1000}){1000})",
            "a regular expression is not supported: it needs more than 10485760 bytes: shorten it, \
             or repeat less",
        );
        check_refused(
            Name::Rbl,
            "x",
            "@rbl is not supported: a request does not wait for a name \
             server; block lists of files work: @ipMatchFromFile",
        );
        check_refused(
            Name::IpMatch,
            "::1,10.0.0.0/99",
            "the argument of this operator cannot be `10.0.0.0/99`: write addresses and networks \
             like 10.0.0.0/8,::1",
        );
        check_refused(
            Name::ValidateByteRange,
            "1-x",
            "the argument of this operator cannot be `1-x`: write bytes like 9,10,32-126",
        );
        check_refused(
            Name::Pm,
            "|4",
            "the argument of this operator cannot be `|4`: write bytes as two hexadecimal digits, \
             |41 42|; for a bar |7c|",
        );
        check_refused(
            Name::PmFromFile,
            "https://example.org/x",
            "the argument of this operator cannot be `https://example.org/x`: write the path of a \
             file: nothing is fetched",
        );
        let missing = fixture::compile(Name::PmFromFile, b"no-such.data").unwrap_err();
        assert!(missing.to_string().contains("cannot read no-such.data: "), "{missing}");
    }

    #[test]
    fn equal_expressions_are_compiled_once() {
        let mut known = Known::default();
        for (argument, groups) in
            [("a+b*", Groups::Whole), ("a+b*", Groups::Whole), ("a+b*", Groups::All)]
        {
            let tree = fixture::tree(Name::Rx, argument.as_bytes(), Path::new("f"));
            let mut compiler = Compiler::new(&parse::NoFiles, &mut known);
            Operator::compile(&tree, groups, &mut compiler).unwrap();
        }
        assert_eq!(known.patterns.len(), 2);
        assert!(known.bytes() > 0);
    }
}
