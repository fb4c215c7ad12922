//! Rules as they run: a tree of directives compiled once, immutable, shared by all transactions.

mod names;
mod text;
mod target;
mod select;
mod set;
mod notice;
mod effect;
mod settings;
mod chain;
mod folded;
mod pairs;
mod finder;
mod gate;
mod group;
mod rule;
mod program;
mod logs;
mod stock;
mod draft;
mod chosen;
mod compile;
mod spares;

use std::sync::Arc;

use crate::parse::{Fault, Faults, Files, Notice, OverLimit, Tree, Warning};

pub(crate) use chain::{Chain, ChainId, Step};
use compile::PHASES;
pub(crate) use effect::{Change, Ctl, Effect, Key};
pub(crate) use gate::{
    Block, Gate, SEAM, add_all, contains as is_candidate, insert as add_candidate,
};
#[cfg(test)]
pub(crate) use gate::{Gated, Needed};
use group::Grouping;
pub(crate) use group::{ElementId, GroupId, SourceId};
pub use logs::Logs;
pub(crate) use names::{CAPTURES, Mentioned, Slot, TxNames};
pub(crate) use program::{Check, Instruction};
pub(crate) use rule::{Bound, Comparison, Condition, Outcome, Rule, Skip};
pub(crate) use set::Rules;
pub(crate) use settings::Settings;
use spares::Spares;
use stock::Caches;
pub use stock::Stock;
pub(crate) use target::{ATTRIBUTES, Element, TEXT, Targets, Which, has_names_in_any_case};
pub(crate) use text::{Piece, Text};

/// A compiled rule set.
///
/// It never changes; transactions share it through an `Arc`, so that a reload leaves those under
/// way with the rules they began with.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    /// For each phase the rules that run in it, in the order of the files.
    pub(crate) phases: [Vec<Instruction>; 5],
    pub(crate) names: TxNames,
    pub(crate) chains: Vec<Chain>,
    /// How many different transformations they have.
    pub(crate) transformations: usize,
    pub(crate) gate: Gate,
    pub(crate) grouping: Grouping,
    pub(crate) settings: Settings,
    signatures: Vec<Vec<u8>>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) spares: Spares,
    warnings: Vec<Warning>,
}

/// What directives say of bodies of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// SecResponseBodyAccess.
    pub are_read: bool,
    /// SecResponseBodyLimit, bytes.
    pub limit: u64,
    /// SecResponseBodyLimitAction: a larger one is refused, instead of judged as far as that.
    pub refuses_larger: bool,
}

impl RuleSet {
    /// Compiles a tree; `files` are where data files of operators come from.
    ///
    /// A fault for which `skip` says true becomes a warning, and the rule or directive is left out.
    ///
    /// # Errors
    /// All that the engine cannot enforce, each with its place.
    pub fn compile(
        tree: &Tree,
        files: &dyn Files,
        skip: &dyn Fn(&Fault) -> bool,
    ) -> Result<Self, Faults> {
        Self::compile_with(tree, files, skip, &mut Stock::default())
    }

    /// The same, but what is in `stock` already is not compiled again; `files` have to be those
    /// of the sets before.
    ///
    /// # Errors
    /// As above.
    pub fn compile_with(
        tree: &Tree,
        files: &dyn Files,
        skip: &dyn Fn(&Fault) -> bool,
        stock: &mut Stock,
    ) -> Result<Self, Faults> {
        let mut warnings = tree.warnings.clone();
        let mut faults = Vec::new();
        let mut report = |fault: Fault| match skip(&fault) {
            true => warnings
                .push(Warning { place: fault.place, notice: Notice::Skipped(fault.problem) }),
            false => faults.push(fault),
        };
        let mut drafts = draft::Drafts::read(tree, &mut report);
        let notices = std::mem::take(&mut drafts.notices);
        let mut compiler = compile::Compiler::new(&drafts, files, &mut stock.known);
        let mut rules = Vec::with_capacity(drafts.drafts.len());
        let mut kept = Vec::with_capacity(drafts.drafts.len());
        for (number, draft) in std::mem::take(&mut drafts.drafts).into_iter().enumerate() {
            match compiler.rule(number, &draft) {
                Ok(rule) => {
                    rules.push(rule);
                    kept.push(draft);
                }
                Err(fault) => report(Fault { rule: fault.rule.or(Some(draft.rule.id)), ..fault }),
            }
        }
        let phases = PHASES.map(|phase| {
            let of_phase = kept.iter().enumerate().filter(|(_, draft)| draft.phase == phase);
            let of_phase: Vec<_> = of_phase.map(|(index, draft)| (draft.number, index)).collect();
            for (_, index) in &of_phase {
                let (Some(draft), Some(rule)) = (kept.get(*index), rules.get_mut(*index)) else {
                    continue;
                };
                match compile::skip_of(draft, &drafts, &of_phase) {
                    Ok(skip) => rule.skip = skip,
                    Err(fault) => report(fault),
                }
            }
            of_phase.into_iter().map(|(_, index)| index).collect()
        });
        for rule in &mut rules {
            for condition in rule.links.iter_mut().filter_map(|link| link.condition.as_mut()) {
                condition.targets.settle(&compiler.names);
            }
        }
        warnings.extend(notices);
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        let gate = std::mem::take(&mut compiler.needed).build();
        compiler.grouping.settle(&rules);
        let phases = phases.map(|of_phase: Vec<usize>| {
            let of_phase = of_phase.into_iter();
            of_phase.filter_map(|at| Some(Instruction::new(at, rules.get(at)?))).collect()
        });
        Ok(Self {
            rules,
            phases,
            names: compiler.names,
            chains: compiler.chains,
            transformations: compiler.transformations.len(),
            gate,
            grouping: compiler.grouping,
            settings: drafts.settings,
            signatures: drafts.signatures,
            caches: Arc::clone(&stock.caches),
            spares: Spares::default(),
            warnings,
        })
    }

    /// What was skipped or has no effect.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// What SecComponentSignature says, for logs.
    #[must_use]
    pub fn signatures(&self) -> &[Vec<u8>] {
        &self.signatures
    }

    /// Whether any rule runs when an answer comes.
    #[must_use]
    pub fn has_rules_for_answers(&self) -> bool {
        let [_, _, head, body, _] = &self.phases;
        !head.is_empty() || !body.is_empty()
    }

    /// When the rules of phase 5 are to run.
    #[must_use]
    pub fn logs(&self) -> Logs {
        let [.., of_logs] = &self.phases;
        Logs::of(of_logs.iter().filter_map(|one| self.rules.get(one.rule as usize)))
    }

    /// Whether bodies of answers are judged, as directives say; and how many bytes of each.
    #[must_use]
    pub fn answers(&self) -> Answers {
        Answers {
            are_read: self.settings.reads_response_body,
            limit: self.settings.response_body_limit,
            refuses_larger: self.settings.over_response_limit == OverLimit::Reject,
        }
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}

impl RuleSet {
    /// The same rules, each of them judging each of its values: what shortcuts are held against.
    pub(crate) fn without_shortcuts(mut self) -> Self {
        for link in self.rules.iter_mut().flat_map(|rule| &mut rule.links) {
            if let Some(condition) = &mut link.condition {
                (condition.gated, condition.group, condition.number) = (None, None, None);
                condition.needed = Box::default();
            }
        }
        for instruction in self.phases.iter_mut().flatten() {
            instruction.check = Check::Nothing;
        }
        self
    }

    /// The transformations of a chain.
    pub(crate) fn chain(&self, chain: ChainId) -> Option<&Chain> {
        self.chains.get(chain.0 as usize)
    }

    pub(crate) fn effects(&self, rule: usize, link: usize) -> Option<&[Effect]> {
        let link = self.rules.get(rule)?.links.get(link)?;
        Some(&link.effects)
    }

    /// The elements that the exclusion written at `effect` takes from `rule`.
    pub(crate) fn exclusion<'a>(&self, effect: &'a Effect, rule: usize) -> &'a [Element] {
        match effect {
            Effect::Ctl(Ctl::Exclude(rules, elements)) if rules.contains(rule) => elements,
            _ => &[],
        }
    }
}
