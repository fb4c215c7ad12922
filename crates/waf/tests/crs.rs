//! All of the OWASP Core Rule Set, where a copy lies beside the project: the surface of waf.md §3.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tidegate_waf::parse::{
    Action, Directive, Disk, Link, Mode, Reader, Rule, Selector, Tree, Variable,
};

/// The rule set, in place; TIDEGATE_CRS names another directory.
fn crs() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let directory = std::env::var_os("TIDEGATE_CRS").map_or(beside, PathBuf::from);
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("no CRS in {}: not run", directory.display());
    None
}

fn read(directory: &Path) -> Tree {
    let mut reader = Reader::new(&Disk, &|_| false);
    reader
        .text(&directory.join("all.conf"), b"Include crs-setup.conf.example\nInclude rules/*.conf");
    reader.finish().unwrap_or_else(|faults| panic!("{faults}"))
}

fn links(tree: &Tree) -> impl Iterator<Item = &Link> {
    rules(tree).flat_map(|rule| &rule.links)
}

fn rules(tree: &Tree) -> impl Iterator<Item = &Rule> {
    tree.directives.iter().filter_map(|directive| match &directive.value {
        Directive::Rule(rule) => Some(rule),
        _ => None,
    })
}

fn count<T: Ord>(items: impl Iterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_insert(0) += 1;
    }
    counts
}

fn check(counted: &BTreeMap<String, usize>, expected: &str) {
    let expected: BTreeMap<String, usize> = expected
        .split(',')
        .filter_map(|pair| pair.trim().rsplit_once(' '))
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect();
    assert_eq!(counted, &expected);
}

#[test]
fn reads_every_directive() {
    let Some(directory) = crs() else { return };
    let tree = read(&directory);
    assert!(tree.warnings.is_empty(), "{:?}", tree.warnings);
    // The text above, the setup and 27 files of rules.
    assert_eq!(tree.files.len(), 29);
    let names = tree.directives.iter().map(|directive| match &directive.value {
        Directive::Rule(_) => "rule",
        Directive::Marker(_) => "marker",
        Directive::DefaultAction(_) => "default",
        Directive::ComponentSignature(_) => "signature",
        Directive::UpdateTargets { .. } => "targets",
        Directive::Remove(_) | Directive::UpdateActions { .. } | Directive::Setting(_) => "other",
    });
    // One of the rules is the SecAction of the setup.
    let counted = count(names.map(str::to_owned));
    check(&counted, "rule 630, marker 30, default 5, signature 1, targets 55");
    assert_eq!(links(&tree).filter(|link| link.condition.is_some()).count(), 695);
    assert_eq!(links(&tree).count(), 703);
}

#[test]
fn reads_every_operator() {
    let Some(directory) = crs() else { return };
    let tree = read(&directory);
    let operators = || links(&tree).filter_map(|link| link.condition.as_ref()).map(|c| &c.operator);
    check(
        &count(operators().map(|operator| operator.name.name().to_owned())),
        "rx 318, lt 190, eq 53, ge 42, pmFromFile 21, gt 15, pm 12, streq 9, within 9, endsWith 6, \
         validateByteRange 6, contains 4, ipMatch 2, detectXSS 2, detectSQLi 2, beginsWith 1, \
         unconditionalMatch 1, validateUtf8Encoding 1, validateUrlEncoding 1",
    );
    let negated = operators().filter(|operator| operator.negated);
    check(
        &count(negated.map(|operator| operator.name.name().to_owned())),
        "rx 21, within 6, eq 4, endsWith 3, pm 2, streq 2, lt 1, beginsWith 1, validateByteRange 1, \
         pmFromFile 1",
    );
    assert_eq!(operators().filter(|operator| operator.argument.literal().is_none()).count(), 30);
}

#[test]
fn reads_every_variable() {
    let Some(directory) = crs() else { return };
    let tree = read(&directory);
    let conditions = || links(&tree).filter_map(|link| link.condition.as_ref());
    let names = conditions().flat_map(|condition| &condition.targets).map(|target| {
        let mode = match target.mode {
            Mode::Inspect => "",
            Mode::Count => "&",
            Mode::Exclude => "!",
        };
        format!("{mode}{}", target.variable.name())
    });
    check(
        &count(names),
        "XML 351, TX 260, ARGS 190, ARGS_NAMES 187, REQUEST_COOKIES 166, REQUEST_COOKIES_NAMES 165, \
         REQUEST_HEADERS 123, REQUEST_FILENAME 61, RESPONSE_BODY 59, &TX 30, !REQUEST_HEADERS 26, \
         REQUEST_BODY 19, &REQUEST_HEADERS 17, MATCHED_VARS 12, FILES 9, REQUEST_METHOD 8, REQUEST_LINE 7, \
         REQUEST_URI_RAW 7, RESPONSE_HEADERS 7, REQBODY_PROCESSOR 5, REQUEST_BASENAME 5, FILES_NAMES 4, \
         REQUEST_URI 3, REQUEST_HEADERS_NAMES 3, MULTIPART_PART_HEADERS 3, MATCHED_VAR 3, REMOTE_ADDR 2, \
         REQUEST_PROTOCOL 2, ARGS_GET 2, &MULTIPART_PART_HEADERS 2, !ARGS_NAMES 2, RESPONSE_STATUS 2, \
         UNIQUE_ID 1, &ARGS 1, ARGS_COMBINED_SIZE 1, FILES_COMBINED_SIZE 1, REQUEST_BODY_LENGTH 1, \
         ARGS_GET_NAMES 1, QUERY_STRING 1",
    );
    let xml = conditions().filter(|c| c.targets.iter().any(|t| t.variable == Variable::Xml));
    assert_eq!(xml.count(), 176);
    let regexes = conditions().flat_map(|condition| &condition.targets).filter(|target| {
        target.variable == Variable::Tx && matches!(target.selector.value, Selector::Regex(_))
    });
    assert_eq!(regexes.count(), 5);
}

#[test]
fn reads_every_action() {
    let Some(directory) = crs() else { return };
    let tree = read(&directory);
    // The one SecAction of the setup is 900990, which waf.md does not count.
    let links = || rules(&tree).filter(|rule| rule.id.0 != 900_990).flat_map(|rule| &rule.links);
    let actions = || links().flat_map(|link| &link.actions).map(|action| &action.value);
    check(
        &count(actions().map(|action| action.name().name().to_owned())),
        "tag 3088, t 839, setvar 683, id 629, phase 629, ver 629, msg 355, severity 346, block 345, \
         logdata 331, capture 279, pass 278, nolog 276, skipAfter 206, chain 73, ctl 10, log 8, \
         multiMatch 8, deny 6, noauditlog 5, status 2, initcol 2, auditlog 1",
    );
    let transformations = actions().filter_map(|action| match action {
        Action::Transformation(one) => Some(one.map_or("none", |one| one.name()).to_owned()),
        _ => None,
    });
    check(
        &count(transformations),
        "none 431, urlDecodeUni 140, lowercase 46, jsDecode 37, htmlEntityDecode 35, utf8toUnicode 32, \
         removeNulls 27, cssDecode 23, cmdLine 13, removeWhitespace 11, replaceComments 9, normalizePath 8, \
         escapeSeqDecode 7, compressWhitespace 5, normalizePathWin 4, length 3, base64Decode 3, sha1 2, \
         hexEncode 2, removeCommentsChar 1",
    );
    let phases = actions().filter_map(|action| match action {
        Action::Phase(phase) => Some(phase.name().to_owned()),
        _ => None,
    });
    check(&count(phases), "1 172, 2 292, 3 43, 4 109, 5 13");
}
