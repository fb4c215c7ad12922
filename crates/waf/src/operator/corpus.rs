//! The operators of the OWASP Core Rule Set on values of its tests and of libinjection's.
//!
//! They lie beside the project, which holds no copy of them. CRS 3 is read where it is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fixture::{self, Dice};
use super::{Cache, Compiler, Groups, Kind, Known, Operator};
use crate::parse::{self, Directive, Disk, Reader, Tree};

/// Rules of CRS 3.3 that are refused, and why.
const REFUSED: [(u32, &str); 2] = [
    (910_100, "countries are looked up by the proxy"),
    (910_140, "a request does not wait for a name server"),
];

/// Rules of CRS 3.3 whose regular expression is tried out: it refers back to a group.
const TRIED_OUT: [u32; 1] = [942_130];

/// Rules of CRS 3.3 whose regular expression has a macro: they are compiled once its values are
/// known, which they are not here.
const MACROS: [u32; 1] = [920_480];

pub(super) fn crs3() -> Option<Tree> {
    let setup = "Include /etc/modsecurity/crs/crs-setup.conf\nInclude rules/*.conf";
    read(Path::new("/usr/share/modsecurity-crs"), setup)
}

pub(super) fn crs() -> Option<Tree> {
    let directory = fixture::shared().join("crs-4.28.0");
    read(&directory, "Include crs-setup.conf.example\nInclude rules/*.conf")
}

fn read(directory: &Path, text: &str) -> Option<Tree> {
    if !directory.is_dir() {
        println!("nothing tested: there is no {}", directory.display());
        return None;
    }
    // Patterns with macros are refused when they are parsed.
    let skip = |fault: &parse::Fault| fault.rule.is_some_and(|id| MACROS.contains(&id.0));
    let mut reader = Reader::new(&Disk, &skip);
    reader.text(&directory.join("all.conf"), text.as_bytes());
    Some(reader.finish().unwrap_or_else(|faults| panic!("{faults}")))
}

/// Each operator with the id of its rule.
pub(super) fn operators(tree: &Tree) -> impl Iterator<Item = (u32, &parse::Operator)> {
    let rules = tree.directives.iter().filter_map(|directive| match &directive.value {
        Directive::Rule(rule) => Some(rule),
        _ => None,
    });
    rules.flat_map(|rule| {
        let conditions = rule.links.iter().filter_map(|link| link.condition.as_ref());
        conditions.map(move |condition| (rule.id.0, &condition.operator))
    })
}

/// Values that the tests send, as they stand there and decoded, and some of them changed.
pub(super) fn values(dice: &mut Dice) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    find(&fixture::shared().join("crs-4.28.0/tests"), &mut files);
    find(&fixture::shared().join("libinjection"), &mut files);
    files.sort();
    let mut values: Vec<Vec<u8>> = files.iter().flat_map(|file| lines(file)).collect();
    values.sort();
    values.dedup();
    let changed: Vec<Vec<u8>> = values.iter().map(|value| change(value, dice)).collect();
    values.extend(changed);
    values
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { find(&path, files) } else { files.push(path) }
    }
}

/// What stands behind `data:` or `uri:` in a test, or a line of other files.
fn lines(file: &Path) -> Vec<Vec<u8>> {
    let text = fs::read(file).unwrap();
    let is_test = file.extension().is_some_and(|kind| kind == "yaml");
    let mut values = Vec::new();
    for line in text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        let value = match (is_test, memchr::memchr(b':', line)) {
            (false, _) => line,
            (true, Some(at)) if line.starts_with(b"data") || line.starts_with(b"uri") => {
                line.get(at + 1..).unwrap_or_default()
            }
            (true, _) => continue,
        };
        let value = value.trim_ascii();
        let value = value.get(..value.len().min(300)).unwrap_or_default();
        let decoded = crate::Transformation::UrlDecode.apply(value).into_owned();
        values.extend([value.to_vec(), decoded]);
    }
    values
}

fn change(value: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut value = value.to_vec();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(value.len() + 1);
        match dice.roll(4) {
            0 => value.insert(at, dice.byte()),
            1 => value.truncate(at.max(1)),
            2 => value.iter_mut().skip(at).take(4).for_each(|byte| *byte ^= 0x20),
            _ => drop(value.splice(at..(at + 1).min(value.len()), *b" ")),
        }
    }
    value
}

#[test]
fn all_of_crs_is_compiled() {
    let Some(tree) = crs() else { return };
    for groups in [Groups::Whole, Groups::All] {
        let mut known = Known::default();
        let mut compiler = Compiler::new(&Disk, &mut known);
        let start = Instant::now();
        let mut phrases = Duration::ZERO;
        let mut all: Vec<Operator> = Vec::new();
        for (id, operator) in operators(&tree) {
            let start = Instant::now();
            let compiled = Operator::compile(operator, groups, &mut compiler);
            let compiled = compiled.unwrap_or_else(|fault| panic!("{id}: {fault}"));
            if matches!(compiled.kind, Kind::Phrases(_)) {
                phrases += start.elapsed();
            }
            all.push(compiled);
        }
        println!(
            "{} operators, {groups:?}: {:?}, {phrases:?} of it for phrases; {} KiB of expressions",
            all.len(),
            start.elapsed(),
            known.bytes() >> 10
        );
        assert_eq!(all.len(), 695);
        assert!(known.bytes() < 30 << 20);
    }
}

#[test]
fn all_of_debians_crs_is_compiled_but_for_known_rules() {
    let Some(tree) = crs3() else { return };
    let mut known = Known::default();
    let mut compiler = Compiler::new(&Disk, &mut known);
    let (mut refused, mut tried_out) = (Vec::new(), Vec::new());
    for (id, operator) in operators(&tree).filter(|(id, _)| !MACROS.contains(id)) {
        match Operator::compile(operator, Groups::Whole, &mut compiler).map(|one| one.kind) {
            Ok(Kind::Pattern(pattern)) if pattern.is_tried_out() => tried_out.push(id),
            Ok(_) => {}
            Err(fault) => {
                println!("{id}: {fault}");
                refused.push((id, fault.to_string()));
            }
        }
    }
    let known = |(id, why): &(u32, String)| {
        REFUSED.iter().any(|(known, reason)| known == id && why.contains(reason))
    };
    assert!(refused.iter().all(known), "{refused:?}");
    assert_eq!(tried_out, TRIED_OUT);
}

#[test]
fn what_matches_has_what_it_needs() {
    let Some(tree) = crs() else { return };
    let mut known = Known::default();
    let mut compiler = Compiler::new(&Disk, &mut known);
    let mut dice = Dice::new(3);
    let mut all: Vec<(u32, Operator)> = Vec::new();
    for (id, operator) in operators(&tree) {
        let compiled = Operator::compile(operator, Groups::Whole, &mut compiler).unwrap();
        let is_new = match &compiled.kind {
            Kind::Pattern(pattern) => !all.iter().any(|(_, known)| {
                matches!(&known.kind, Kind::Pattern(known) if Arc::ptr_eq(known, pattern))
            }),
            Kind::Phrases(_) | Kind::Text(_) | Kind::Bytes(_) | Kind::Utf8Encoding => true,
            _ => false,
        };
        if is_new {
            all.push((id, compiled));
        }
    }
    let values = values(&mut dice);
    let (with_literals, with_bytes) = (
        all.iter().filter(|(_, operator)| operator.needs().literals.is_some()).count(),
        all.iter().filter(|(_, operator)| operator.needs().bytes.is_some()).count(),
    );
    let mut cache = Cache::new();
    let (mut matches, mut tried) = (0, 0);
    for (id, operator) in &all {
        let needs = operator.needs();
        // A part of the values for each, another one each time: all take minutes unoptimised.
        for value in values.iter().skip(dice.roll(STEP)).step_by(STEP) {
            tried += 1;
            if operator.is_match(value, b"", &mut cache) {
                matches += 1;
                assert!(needs.are_met(value), "{id}: '{}' lacks {needs:?}", value.escape_ascii());
            }
        }
    }
    println!(
        "{} operators, {with_literals} need text, {with_bytes} bytes; {} values, {tried} tried, \
         {matches} matches, {} KiB of cache",
        all.len(),
        values.len(),
        cache.bytes() >> 10
    );
    assert!(matches > 1_000, "the values hardly match");
}

/// All values with optimisation, else every thirtieth.
const STEP: usize = if cfg!(debug_assertions) { 30 } else { 1 };
