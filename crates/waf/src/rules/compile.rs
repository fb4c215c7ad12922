//! Drafts to rules that run.

use hashbrown::HashMap;

use crate::operator::{self, Groups, Operator, Relation};
use crate::parse::{self, Action, Fault, Files, Mode, OperatorName, Phase, Place, Placed, Problem};
use crate::rules::chain::{Chain, ChainId};
use crate::rules::chosen::{Choices, Written};
use crate::rules::draft::{Class, Draft, Drafts, class_of};
use crate::rules::effect::{Effect, refuse};
use crate::rules::gate::Needed;
use crate::rules::group::{ElementId, Grouping};
use crate::rules::names::TxNames;
use crate::rules::rule::{About, Bound, Comparison, Condition, Link, Outcome, Rule, Skip};
use crate::rules::target::{Targets, Which};
use crate::rules::text::Text;
use crate::transform::Transformation;

/// What an answer of `deny` has unless `status` says otherwise.
const DENIED: u16 = 403;
const REDIRECTED: u16 = 302;

/// Rules being compiled, and the tables that they share.
pub(crate) struct Compiler<'a> {
    operators: operator::Compiler<'a>,
    /// Every rule as it was written, for those that choose others.
    all: Vec<parse::Rule>,
    written: Written,
    pub(crate) names: TxNames,
    pub(crate) chains: Vec<Chain>,
    pub(crate) transformations: Vec<Transformation>,
    pub(crate) needed: Needed,
    pub(crate) grouping: Grouping,
    chain_ids: HashMap<Box<[Transformation]>, ChainId>,
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(
        drafts: &Drafts,
        files: &'a dyn Files,
        known: &'a mut operator::Known,
    ) -> Self {
        let mut written = Written::default();
        for draft in &drafts.drafts {
            written.add(&draft.defaults);
            draft.rule.links.iter().for_each(|link| written.add(&link.actions));
        }
        let mut compiler = Self {
            written,
            operators: operator::Compiler::new(files, known),
            all: drafts.drafts.iter().map(|draft| draft.rule.clone()).collect(),
            names: TxNames::new(),
            chains: Vec::new(),
            transformations: Vec::new(),
            needed: Needed::default(),
            grouping: Grouping::default(),
            chain_ids: HashMap::new(),
        };
        // The first is the empty one.
        compiler.chain(Vec::new());
        compiler
    }

    pub(crate) fn rule(&mut self, number: usize, draft: &Draft) -> Result<Rule, Fault> {
        let Draft { rule, defaults, .. } = draft;
        let links: Result<Vec<_>, _> =
            rule.links.iter().map(|link| self.link(link, defaults)).collect();
        let starter = rule.links.first().map_or(&[][..], |link| &link.actions);
        let (links, about) = (links?, self.about(starter, defaults)?);
        let outcome = self.outcome(starter, defaults)?;
        let is_silent = !about.is_logged
            && !about.is_audited
            && !matches!(outcome, Outcome::Redirect { .. })
            && matches!(links.as_slice(), [link]
                if !link.effects.iter().any(Effect::tells_of_a_match));
        Ok(Rule {
            id: rule.id,
            number,
            place: rule.place.clone(),
            links: links.into_boxed_slice(),
            outcome,
            skip: None,
            about,
            is_silent,
        })
    }

    fn link(&mut self, link: &parse::Link, defaults: &[Placed<Action>]) -> Result<Link, Fault> {
        let mut effects = Vec::new();
        for action in defaults.iter().chain(&link.actions) {
            effects.extend(Effect::new(action, &self.all, &mut self.names)?);
        }
        let condition = match &link.condition {
            Some(condition) => Some(self.condition(condition, &link.actions, defaults)?),
            None => None,
        };
        Ok(Link { condition, effects: effects.into_boxed_slice() })
    }

    fn condition(
        &mut self,
        condition: &parse::Condition,
        actions: &[Placed<Action>],
        defaults: &[Placed<Action>],
    ) -> Result<Condition, Fault> {
        if condition.targets.iter().all(|target| target.mode == Mode::Exclude) {
            let place = condition.targets.first().map_or(&condition.operator.place, |t| &t.place);
            let problem = Problem::NothingInspected;
            return Err(Fault { place: place.clone(), rule: None, problem });
        }
        let has = |wanted: &Action| actions.iter().any(|action| action.value == *wanted);
        let captures = has(&Action::Capture);
        let groups = if captures { Groups::All } else { Groups::Whole };
        let operator = self.operator(&condition.operator, groups)?;
        let argument = match operator.argument() {
            Some(template) => Some(Text::new(template, &mut self.names)?),
            None => None,
        };
        let needs = operator.needs();
        let mut compiled = Condition {
            targets: Targets::new(&condition.targets, &mut self.names)?,
            group: None,
            needed: needs.each.clone().into_boxed_slice(),
            gated: self.needed.add(needs),
            number: None,
            count: None,
            operator,
            is_negated: condition.operator.negated,
            argument,
            chain: self.chain(transformations(defaults.iter().chain(actions))),
            is_multi_match: has(&Action::MultiMatch),
            captures,
        };
        compiled.group = self.grouping.find(&compiled);
        compiled.number = Comparison::of(&compiled);
        compiled.count = self.count(&compiled);
        Ok(compiled)
    }

    fn operator(&mut self, tree: &parse::Operator, groups: Groups) -> Result<Operator, Fault> {
        if tree.name != OperatorName::Rx || tree.argument.literal().is_some() {
            return Operator::compile(tree, groups, &mut self.operators);
        }
        let Choices { argument, of_values } = self.written.choices(tree)?;
        let compiled: Result<Vec<_>, Fault> = of_values
            .into_iter()
            .map(|(value, one)| Ok((value, Operator::compile(&one, groups, &mut self.operators)?)))
            .collect();
        Ok(Operator::choice(argument, compiled?))
    }

    /// What a condition comes to, if it only compares how many there are of an element.
    fn count(&mut self, condition: &Condition) -> Option<(ElementId, Relation, i64)> {
        let [target] = condition.targets.inspected.as_slice() else { return None };
        let (relation, bound) = condition.operator.compares()?;
        let is_plain = target.is_counted
            && condition.targets.excluded.is_empty()
            && condition.chain == ChainId::EMPTY
            && !condition.is_multi_match;
        let element = if is_plain { self.grouping.counted(&target.element)? } else { return None };
        Some((element, relation, bound?))
    }

    fn chain(&mut self, transformations: Vec<Transformation>) -> ChainId {
        let list = transformations.into_boxed_slice();
        if let Some(id) = self.chain_ids.get(&list) {
            return *id;
        }
        let id = ChainId(self.chains.len() as u32);
        self.chains.push(Chain::new(&list, &mut self.transformations));
        self.chain_ids.insert(list, id);
        id
    }

    fn outcome(
        &mut self,
        actions: &[Placed<Action>],
        defaults: &[Placed<Action>],
    ) -> Result<Outcome, Fault> {
        let status = last(actions.iter(), status_of).or_else(|| last(defaults.iter(), status_of));
        let of = |action: &Action| {
            (class_of(action.name()) == Class::Disruptive).then(|| action.clone())
        };
        let own = last(actions.iter(), of).filter(|action| *action != Action::Block);
        let default = || last(defaults.iter(), of).filter(|action| *action != Action::Block);
        Ok(match own.or_else(default) {
            None | Some(Action::Pass) => Outcome::Pass,
            Some(Action::Deny) => Outcome::Deny(status.unwrap_or(DENIED)),
            Some(Action::Drop) => Outcome::Drop,
            Some(Action::Allow(scope)) => Outcome::Allow(scope),
            Some(Action::Redirect(to)) => {
                let status = status.filter(|status| (300..400).contains(status));
                let to = Text::new(&to, &mut self.names)?;
                Outcome::Redirect { status: status.unwrap_or(REDIRECTED), to }
            }
            Some(other) => {
                let place = actions.first().map(|action| action.place.clone());
                let place = place.unwrap_or_else(Place::nowhere);
                return Err(refuse(other.name().name(), "it is no outcome of a rule", &place));
            }
        })
    }

    fn about(
        &mut self,
        actions: &[Placed<Action>],
        defaults: &[Placed<Action>],
    ) -> Result<About, Fault> {
        let mut about = About::silent();
        for action in defaults.iter().chain(actions) {
            self.tell(&mut about, &action.value)?;
            // Else its expansion would have no end.
            let mut texts = about.message.iter().chain(&about.data);
            if texts.any(Text::tells_of_rule) {
                let reason = "msg and logdata cannot hold themselves";
                return Err(refuse("this macro of RULE", reason, &action.place));
            }
        }
        Ok(about)
    }

    fn tell(&mut self, about: &mut About, action: &Action) -> Result<(), Fault> {
        match action {
            Action::Msg(text) => about.message = Some(Text::new(text, &mut self.names)?),
            Action::LogData(text) => about.data = Some(Text::new(text, &mut self.names)?),
            Action::Tag(text) => about.tags.push(Text::new(text, &mut self.names)?),
            Action::Severity(severity) => about.severity = Some(*severity),
            Action::Ver(version) => about.version = version.clone().into(),
            Action::Rev(revision) => about.revision = revision.clone().into(),
            Action::Log => (about.is_logged, about.is_audited) = (true, true),
            Action::NoLog => (about.is_logged, about.is_audited) = (false, false),
            Action::AuditLog => about.is_audited = true,
            Action::NoAuditLog => about.is_audited = false,
            Action::SanitiseMatched | Action::SanitiseMatchedBytes(..) => about.is_masked = true,
            _ => {}
        }
        Ok(())
    }
}

impl Comparison {
    /// What a condition comes to, if it only compares an element of TX.
    fn of(condition: &Condition) -> Option<Self> {
        let [target] = condition.targets.inspected.as_slice() else { return None };
        let Which::Slot(slot) = target.element.which else { return None };
        let (relation, bound) = condition.operator.compares()?;
        let bound = match bound {
            Some(number) => Bound::Number(number),
            None => Bound::Slot(condition.argument.as_ref()?.slot()?),
        };
        let is_plain = condition.targets.excluded.is_empty()
            && condition.chain == ChainId::EMPTY
            && !condition.is_multi_match
            && !condition.captures;
        is_plain.then_some(Self { slot, is_counted: target.is_counted, relation, bound })
    }
}

impl About {
    /// Nothing is said, but that it matched, as in ModSecurity.
    fn silent() -> Self {
        Self {
            message: None,
            data: None,
            tags: Vec::new(),
            severity: None,
            version: Box::default(),
            revision: Box::default(),
            is_logged: true,
            is_audited: true,
            is_masked: false,
        }
    }
}

fn status_of(action: &Action) -> Option<u16> {
    match action {
        Action::Status(status) => Some(*status),
        _ => None,
    }
}

fn last<'a, T>(
    actions: impl DoubleEndedIterator<Item = &'a Placed<Action>>,
    of: impl Fn(&Action) -> Option<T>,
) -> Option<T> {
    actions.rev().find_map(|action| of(&action.value))
}

fn transformations<'a>(actions: impl Iterator<Item = &'a Placed<Action>>) -> Vec<Transformation> {
    let mut list = Vec::new();
    for action in actions {
        match action.value {
            Action::Transformation(Some(one)) => list.push(one),
            Action::Transformation(None) => list.clear(),
            _ => {}
        }
    }
    list
}

/// Where `skip` and `skipAfter` of a rule lead in the rules of its phase.
pub(crate) fn skip_of(
    draft: &Draft,
    drafts: &Drafts,
    in_phase: &[(u32, usize)],
) -> Result<Option<Skip>, Fault> {
    let starter = draft.rule.links.first().map_or(&[][..], |link| &link.actions);
    let Some(action) =
        starter.iter().rev().find(|action| class_of(action.value.name()) == Class::Flow)
    else {
        return Ok(None);
    };
    let name = match &action.value {
        Action::Skip(count) => return Ok(Some(Skip::Count(*count))),
        Action::SkipAfter(name) => name,
        _ => return Ok(None),
    };
    let after = drafts
        .markers
        .get(name)
        .and_then(|places| places.iter().copied().find(|number| *number > draft.number));
    let Some(after) = after else {
        let problem = Problem::NoMarker { name: String::from_utf8_lossy(name).into_owned() };
        return Err(Fault { place: action.place.clone(), rule: Some(draft.rule.id), problem });
    };
    let to = in_phase.partition_point(|(number, _)| *number < after);
    Ok(Some(Skip::To(to as u32)))
}

/// The phases in their order.
pub(crate) const PHASES: [Phase; 5] = [
    Phase::RequestHeaders,
    Phase::RequestBody,
    Phase::ResponseHeaders,
    Phase::ResponseBody,
    Phase::Logging,
];
