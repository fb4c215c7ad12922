//! Operators for the tests of the other files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Compiler, Groups, Operator};
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
    Operator::compile(&tree, Groups::All, &mut Compiler::new(&Disk))
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
