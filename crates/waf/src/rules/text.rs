//! Text with macros, ready to be expanded.

use crate::operator;
use crate::parse::{self, Fault, Problem, Variable};
use crate::rules::names::{Slot, TxNames};
use crate::rules::target::{check_variable, is_told};

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
                    if one.variable == Variable::Rule {
                        check_macro_of_rule(one)?;
                    }
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

    /// Whether it holds the rule's own message or data.
    pub(crate) fn tells_of_rule(&self) -> bool {
        self.pieces.iter().any(|piece| match piece {
            Piece::Variable(Variable::Rule, Some(key)) => {
                key.eq_ignore_ascii_case(b"msg") || key.eq_ignore_ascii_case(b"logdata")
            }
            _ => false,
        })
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

fn check_macro_of_rule(one: &parse::Macro) -> Result<(), Fault> {
    if one.key.as_ref().is_some_and(|key| is_told(key)) {
        return Ok(());
    }
    let reason = "write %{RULE.x} with one of id, msg, logdata, rev, ver, severity";
    let problem = Problem::Refused { name: "this macro of RULE".to_owned(), reason };
    Err(Fault { place: one.place.clone(), rule: None, problem })
}
