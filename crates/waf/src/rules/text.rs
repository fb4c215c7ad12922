//! Text with macros, ready to be expanded.

use crate::operator;
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
                    names.mention(one.variable);
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

    /// The bytes, if there is no macro.
    pub(crate) fn literal(&self) -> Option<&[u8]> {
        match &*self.pieces {
            [] => Some(&[]),
            [Piece::Bytes(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// The number that it is, if it is one and reads back the same.
    pub(crate) fn number(&self) -> Option<i64> {
        let literal = self.literal()?;
        let number = operator::read_number(literal);
        (number.to_string().as_bytes() == literal).then_some(number)
    }

    /// Whether it tells of what matched.
    pub(crate) fn tells_of_a_match(&self) -> bool {
        self.pieces.iter().any(|piece| {
            let Piece::Variable(variable, _) = piece else { return false };
            use Variable as V;
            matches!(
                variable,
                V::MatchedVar | V::MatchedVarName | V::MatchedVars | V::MatchedVarsNames | V::Rule
            )
        })
    }

    /// The only macro, if it is of TX and nothing stands beside it.
    pub(crate) fn slot(&self) -> Option<Slot> {
        match &*self.pieces {
            [Piece::Tx(slot)] => Some(*slot),
            _ => None,
        }
    }
}
