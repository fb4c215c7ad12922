//! Operators for the tests of the other files.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Compiler, Groups, Known, Operator};
use crate::parse::{self, Disk, OperatorName, Piece, Place, Template};

/// What lies beside the project.
pub(crate) fn shared() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the crate's folder");
    Path::new(&here).join("../../../shared")
}

/// An operator of a rule in `file`, without macros.
pub(crate) fn tree(name: OperatorName, argument: &[u8], file: &Path) -> parse::Operator {
    let place = Place { file: Arc::from(file), line: 1, column: 1 };
    let pieces =
        if argument.is_empty() { Vec::new() } else { vec![Piece::Text(argument.to_vec())] };
    let argument = Template { place: place.clone(), pieces };
    parse::Operator { place, negated: false, name, argument }
}

pub(crate) fn compile(name: OperatorName, argument: &[u8]) -> Result<Operator, parse::Fault> {
    let tree = tree(name, argument, Path::new("rules.conf"));
    Operator::compile(&tree, Groups::All, &mut Compiler::new(&Disk, &mut Known::default()))
}

/// Numbers that are the same in each run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `below`, which is not 0.
    pub(crate) fn roll(&mut self, below: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % below
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.roll(256)).unwrap_or(0)
    }
}

/// A test of libinjection's own.
struct InjectionVector {
    file: String,
    input: Vec<u8>,
    expected: Vec<u8>,
}

fn injection_vectors() -> Vec<InjectionVector> {
    let folder = shared().join("libinjection/tests");
    let Ok(files) = fs::read_dir(&folder) else {
        println!("no vectors: there is no {}", folder.display());
        return Vec::new();
    };
    files.map(|file| read_vector(&file.unwrap().path())).collect()
}

fn read_vector(path: &Path) -> InjectionVector {
    let text = fs::read(path).unwrap();
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let at = |mark: &[u8]| lines.iter().position(|line| *line == mark).unwrap();
    let (input, expected) = (at(b"--INPUT--"), at(b"--EXPECTED--"));
    InjectionVector {
        file: path.file_name().unwrap().to_string_lossy().into_owned(),
        input: lines[input + 1..expected].join(&b'\n'),
        expected: without_blanks(&lines[expected + 1..]),
    }
}

/// Checks what `found` says of the inputs of all vectors of a kind.
pub(crate) fn check_vectors(kind: &str, found: impl Fn(&[u8]) -> Vec<u8>) {
    let mut count = 0;
    for InjectionVector { file, input, expected } in injection_vectors() {
        if !file.starts_with(kind) {
            continue;
        }
        count += 1;
        let found = found(&input);
        let lines: Vec<&[u8]> = found.split(|byte| *byte == b'\n').collect();
        let found = without_blanks(&lines);
        let (found, expected) = (found.escape_ascii(), expected.escape_ascii());
        assert_eq!(found.to_string(), expected.to_string(), "{file}: {}", input.escape_ascii());
    }
    println!("{kind}: {count} vectors passed");
}

/// Libinjection's tests do not look at blanks at the ends of lines either.
fn without_blanks(lines: &[&[u8]]) -> Vec<u8> {
    let lines: Vec<&[u8]> = lines.iter().map(|line| line.trim_ascii_end()).collect();
    lines.join(&b'\n').trim_ascii_end().to_vec()
}

/// Attacks and ordinary text as they are, then `count` values that chance makes of them, of
/// `parts` and of single bytes.
pub(crate) fn spoilt_injections(seed: u64, count: usize, parts: &[&str]) -> Vec<Vec<u8>> {
    let mut dice = Dice::new(seed);
    let mut values: Vec<Vec<u8>> =
        injection_vectors().into_iter().map(|vector| vector.input).collect();
    let ordinary = shared().join("libinjection/data/false_positives.txt");
    let ordinary = fs::read(ordinary).unwrap_or_default();
    values.extend(ordinary.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    let known = values.len();
    for _ in 0..count {
        let pieces = (0..dice.roll(12)).map(|_| parts[dice.roll(parts.len())]);
        let mut value = pieces.collect::<String>().into_bytes();
        if dice.roll(2) == 0 {
            let other = values[dice.roll(known)].clone();
            let (at, start) = (dice.roll(value.len() + 1), dice.roll(other.len() + 1));
            value.splice(at..at, other.get(start..).unwrap_or_default().iter().copied());
        }
        for _ in 0..dice.roll(4) {
            let (at, byte) = (dice.roll(value.len() + 1), dice.byte());
            value.insert(at, byte);
        }
        values.push(value);
    }
    values
}
