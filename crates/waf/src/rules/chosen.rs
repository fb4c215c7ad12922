//! Expressions with a macro. They are compiled at load, once for each value that the macro can
//! have, so that it must be an element of TX to which rules give nothing but fixed texts.

use crate::parse::{
    Action, Change, Collection, Fault, Macro, Operator, Piece, Placed, Problem, SetVar, Template,
    Variable,
};

/// Values of one element; each is an expression of its own.
const VALUES: usize = 16;

/// Operators without a macro, for one that has it.
#[derive(Debug)]
pub(crate) struct Choices {
    /// The macro.
    pub(crate) argument: Template,
    pub(crate) of_values: Vec<(Vec<u8>, Operator)>,
}

/// What rules write into TX, whatever the request.
#[derive(Debug, Default)]
pub(crate) struct Written {
    sets: Vec<SetVar>,
}

impl Written {
    pub(crate) fn add(&mut self, actions: &[Placed<Action>]) {
        for action in actions {
            if let Action::SetVar(set) = &action.value
                && set.collection == Collection::Tx
            {
                self.sets.push(set.clone());
            }
        }
    }

    /// The operator with each value that its macro can have.
    pub(crate) fn choices(&self, operator: &Operator) -> Result<Choices, Fault> {
        let macros = || {
            operator.argument.pieces.iter().filter_map(|piece| match piece {
                Piece::Macro(one) => Some(one),
                Piece::Text(_) => None,
            })
        };
        let Some(first) = macros().next() else { return Err(refuse(operator, None)) };
        let is_same = |one: &Macro| (one.variable, &one.key) == (first.variable, &first.key);
        let values = match &first.key {
            Some(key) if first.variable == Variable::Tx && macros().all(is_same) => {
                self.values(key).ok_or_else(|| refuse(operator, Some(first)))?
            }
            _ => return Err(refuse(operator, Some(first))),
        };
        let argument =
            Template { place: first.place.clone(), pieces: vec![Piece::Macro(first.clone())] };
        let of_values = values.into_iter().map(|value| {
            let filled = fill(operator, &value);
            (value, filled)
        });
        Ok(Choices { argument, of_values: of_values.collect() })
    }

    /// All that the element can be; None if a request has a say in it.
    fn values(&self, key: &[u8]) -> Option<Vec<Vec<u8>>> {
        // What `capture` fills.
        if key.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let mut values = vec![Vec::new()];
        for set in self.sets.iter().filter(|set| may_name(&set.key, key)) {
            set.key.literal()?;
            let value = match &set.change {
                Change::Set(value) => value.literal()?,
                Change::One => b"1",
                Change::Unset => b"",
                Change::Add(_) | Change::Subtract(_) => return None,
            };
            if !values.iter().any(|known| known == value) {
                values.push(value.to_vec());
            }
        }
        (values.len() <= VALUES).then_some(values)
    }
}

/// Whether a name that may have macros can be this one.
fn may_name(name: &Template, key: &[u8]) -> bool {
    match (name.literal(), name.pieces.first()) {
        (Some(name), _) => name.eq_ignore_ascii_case(key),
        (None, Some(Piece::Text(start))) => {
            key.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
        }
        (None, _) => true,
    }
}

fn fill(operator: &Operator, value: &[u8]) -> Operator {
    let mut text = Vec::new();
    for piece in &operator.argument.pieces {
        match piece {
            Piece::Text(bytes) => text.extend_from_slice(bytes),
            Piece::Macro(_) => text.extend_from_slice(value),
        }
    }
    let place = operator.argument.place.clone();
    let argument = Template { place, pieces: vec![Piece::Text(text)] };
    Operator { argument, ..operator.clone() }
}

fn refuse(operator: &Operator, one: Option<&Macro>) -> Fault {
    let reason = "patterns are compiled when rules are loaded, so it must be an element of TX that \
                  rules set to fixed texts; else write @contains, @streq or @within";
    let name = one.map_or("", |one| one.variable.name());
    let problem = Problem::Refused { name: format!("the macro of {name} in a pattern"), reason };
    let place = one.map_or(&operator.place, |one| &one.place);
    Fault { place: place.clone(), rule: None, problem }
}
