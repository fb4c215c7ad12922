//! SecRule and SecAction: one link, by itself or in a chain.

use crate::parse::action::Action;
use crate::parse::actions;
use crate::parse::fault::{Fault, Problem};
use crate::parse::ids::RuleId;
use crate::parse::operator::{self, Operator};
use crate::parse::place::{Place, Placed};
use crate::parse::targets::{self, Target};
use crate::parse::text::{Part, Text};

/// One SecRule or SecAction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub place: Place,
    /// None in a SecAction, which always matches.
    pub condition: Option<Condition>,
    pub actions: Vec<Placed<Action>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    // Invariant: never empty.
    pub targets: Vec<Target>,
    pub operator: Operator,
}

/// A link as far as it could be read; a faulty one still has its part in a chain.
pub(crate) struct Written {
    pub(crate) place: Place,
    pub(crate) id: Option<RuleId>,
    pub(crate) chained: bool,
    pub(crate) link: Result<Link, Fault>,
}

impl Written {
    fn new(directive: Part<'_>, fault: Fault) -> Self {
        Self { place: directive.place(), id: None, chained: false, link: Err(fault) }
    }
}

/// A SecRule from the words after it.
pub(crate) fn parse_rule(directive: Part<'_>, arguments: &[Text]) -> Written {
    let (targets, operator, list) = match arguments {
        [targets, operator] => (targets, operator, None),
        [targets, operator, list] => (targets, operator, Some(list)),
        _ => {
            let want =
                "VARIABLES \"@OPERATOR ARGUMENT\" \"ACTIONS\", in quotes if they have blanks";
            let problem = Problem::Arguments { name: "SecRule", got: arguments.len(), want };
            return Written::new(directive, Fault::at(directive, problem));
        }
    };
    let condition = || -> Result<Option<Condition>, Fault> {
        let targets = targets::parse(targets.whole())?;
        Ok(Some(Condition { targets, operator: operator::parse(operator.whole())? }))
    };
    assemble(directive, list, condition)
}

/// A SecAction from the words after it.
pub(crate) fn parse_action(directive: Part<'_>, arguments: &[Text]) -> Written {
    let [list] = arguments else {
        let want = "\"ACTIONS\" in quotes";
        let problem = Problem::Arguments { name: "SecAction", got: arguments.len(), want };
        return Written::new(directive, Fault::at(directive, problem));
    };
    assemble(directive, Some(list), || Ok(None))
}

fn assemble(
    directive: Part<'_>,
    list: Option<&Text>,
    condition: impl FnOnce() -> Result<Option<Condition>, Fault>,
) -> Written {
    let items = match list.map_or_else(|| Ok(Vec::new()), |list| actions::split(list.whole())) {
        Ok(items) => items,
        Err(fault) => return Written::new(directive, fault),
    };
    let place = directive.place();
    let id = actions::find_id(&items);
    let link = condition().and_then(|condition| {
        let actions = actions::parse(&items)?;
        Ok(Link { place: place.clone(), condition, actions })
    });
    Written { place, id, chained: actions::has_chain(&items), link }
}
