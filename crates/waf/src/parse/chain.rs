//! Links to rules: a starter with what its chains add, complete or at fault as a whole.

use crate::parse::action::ActionName;
use crate::parse::bounds::LINKS;
use crate::parse::fault::{Fault, Problem};
use crate::parse::ids::RuleId;
use crate::parse::place::Place;
use crate::parse::rule::{Link, Written};

/// A rule: the starter, and in a chain all that must match after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub place: Place,
    pub id: RuleId,
    // Invariant: never empty; the first is the starter.
    pub links: Vec<Link>,
}

/// The chain that is being read, if there is one.
#[derive(Default)]
pub(crate) struct Chain {
    open: Option<Open>,
}

impl Chain {
    /// Adds a link; returns the rule, or its first fault, when this link is the last.
    pub(crate) fn add(&mut self, written: Written) -> Option<Result<Rule, Fault>> {
        let chained = written.chained;
        let mut open = match self.open.take() {
            Some(mut open) => {
                open.follow(written.link);
                open
            }
            None => Open::start(written),
        };
        if chained {
            if open.links.len() == LINKS {
                let problem = Problem::TooMany { what: "rules in one chain", limit: LINKS };
                open.fault.get_or_insert_with(|| Fault::new(open.place.clone(), problem));
            }
            self.open = Some(open);
            return None;
        }
        Some(open.close())
    }

    /// Ends the chain because something else than a rule follows; that is a fault.
    pub(crate) fn interrupt(&mut self) -> Option<Fault> {
        let open = self.open.take()?;
        let missing = Fault::new(open.place, Problem::ChainWithoutEnd);
        Some(open.fault.unwrap_or(missing).with_rule(open.id))
    }
}

struct Open {
    place: Place,
    id: Option<RuleId>,
    links: Vec<Link>,
    fault: Option<Fault>,
}

impl Open {
    fn start(written: Written) -> Self {
        let Written { place, id, link, .. } = written;
        match link {
            Ok(link) => {
                let fault = id.is_none().then(|| Fault::new(place.clone(), Problem::NoId));
                Self { place, id, links: vec![link], fault }
            }
            Err(fault) => Self { place, id, links: Vec::new(), fault: Some(fault) },
        }
    }

    fn follow(&mut self, link: Result<Link, Fault>) {
        // The first fault says it all; what follows is only passed over.
        if self.fault.is_some() {
            return;
        }
        match link.and_then(check_later) {
            Ok(link) => self.links.push(link),
            Err(fault) => self.fault = Some(fault),
        }
    }

    fn close(self) -> Result<Rule, Fault> {
        let Self { place, id, links, fault } = self;
        match (fault, id) {
            (Some(fault), id) => Err(fault.with_rule(id)),
            (None, Some(id)) => Ok(Rule { place, id, links }),
            (None, None) => Err(Fault::new(place, Problem::NoId)),
        }
    }
}

/// Refuses what ModSecurity allows only in a starter.
fn check_later(link: Link) -> Result<Link, Fault> {
    for action in &link.actions {
        let name = action.value.name();
        if is_starters(name) {
            let problem = Problem::InLink { action: name.name() };
            return Err(Fault::new(action.place.clone(), problem));
        }
    }
    Ok(link)
}

pub(crate) const fn is_starters(action: ActionName) -> bool {
    use ActionName as Name;
    matches!(
        action,
        Name::Allow
            | Name::Block
            | Name::Deny
            | Name::Drop
            | Name::Id
            | Name::Pass
            | Name::Pause
            | Name::Phase
            | Name::Redirect
            | Name::Skip
            | Name::SkipAfter
    )
}
