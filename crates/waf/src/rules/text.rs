//! Text with macros, ready to be expanded.

use crate::parse::{self, Fault, Variable};
use crate::rules::names::{Slot, TxNames};
use crate::rules::target::check_variable;

/// Text of a rule: mostly one literal piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) pieces: Box<[Piece]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Bytes(Box<[u8]>),
    Tx(Slot),
    /// A variable, and of a collection the element with this key.
    Variable(Variable, Option<Box<[u8]>>),
}

impl Text {
    pub(crate) fn new(template: &parse::Template, names: &mut TxNames) -> Result<Self, Fault> {
        let mut pieces = Vec::with_capacity(template.pieces.len());
        for piece in &template.pieces {
            pieces.push(match piece {
                parse::Piece::Text(bytes) => Piece::Bytes(bytes.clone().into_boxed_slice()),
                parse::Piece::Macro(one) => {
                    check_variable(one.variable, &one.place)?;
                    match (one.variable, &one.key) {
                        (Variable::Tx, Some(key)) => Piece::Tx(names.slot(key)),
                        (variable, key) => {
                            Piece::Variable(variable, key.clone().map(Vec::into_boxed_slice))
                        }
                    }
                }
            });
        }
        Ok(Self { pieces: pieces.into_boxed_slice() })
    }

    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self { pieces: Box::new([Piece::Bytes(bytes.into())]) }
    }

    /// The bytes, if there is no macro.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(&[]),
            [Piece::Bytes(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// The only macro, if it is of TX and nothing stands beside it.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match &*self.pieces {
            [Piece::Tx(slot)] => Some(*slot),
            _ => None,
        }
    }
}
