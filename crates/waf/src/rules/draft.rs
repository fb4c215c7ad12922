//! Directives in their order to the rules that are left, with all that changes them applied.
//!
//! Removals and updates concern the rules before them; defaults those after.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::parse::bounds::REPORTED;
use crate::parse::{
    self, Action, ActionName, Directive, Fault, LinkRange, Mode, Notice, Phase, Place, Placed,
    Problem, RuleId, Target, Tree, Warning, is_starters,
};
use crate::rules::notice;
use crate::rules::select::{Selected, range_contains};
use crate::rules::settings::Settings;

/// The rules of a tree, not yet compiled.
#[derive(Default)]
pub(crate) struct Drafts {
    pub(crate) drafts: Vec<Draft>,
    /// Where each marker stands: before the draft with this number, counted before removals.
    pub(crate) markers: HashMap<Vec<u8>, Vec<u32>>,
    pub(crate) settings: Settings,
    /// The component signatures, for logs.
    pub(crate) signatures: Vec<Vec<u8>>,
    /// What is accepted without its effect, each kind once.
    pub(crate) notices: Vec<Warning>,
    defaults: HashMap<Phase, Arc<[Placed<Action>]>>,
    ids: HashMap<RuleId, Place>,
    written: u32,
}

#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) rule: parse::Rule,
    pub(crate) phase: Phase,
    /// How many rules stand before it in the files.
    pub(crate) number: u32,
    /// What SecDefaultAction says of its phase.
    pub(crate) defaults: Arc<[Placed<Action>]>,
}

impl Drafts {
    /// What a tree says; each fault goes to `report`, and what it concerns is left out.
    pub(crate) fn read(tree: &Tree, report: &mut dyn FnMut(Fault)) -> Self {
        let mut drafts = Self::default();
        for directive in &tree.directives {
            if let Err(fault) = drafts.apply(directive) {
                report(fault);
            }
        }
        drafts
    }

    fn apply(&mut self, directive: &Placed<Directive>) -> Result<(), Fault> {
        let place = &directive.place;
        match &directive.value {
            Directive::Rule(rule) => self.add(rule)?,
            Directive::Marker(name) => {
                self.markers.entry(name.clone()).or_default().push(self.written);
            }
            Directive::DefaultAction(actions) => {
                check_defaults(actions)?;
                self.note_actions(actions);
                let phase = phase_of(actions).unwrap_or(Phase::RequestBody);
                self.defaults.insert(phase, actions.clone().into());
            }
            Directive::ComponentSignature(signature) => self.signatures.push(signature.clone()),
            Directive::Remove(selection) => {
                let selected = Selected::new(selection, place)?;
                self.note_none(|rule| selected.contains(rule), place);
                self.drafts.retain(|draft| !selected.contains(&draft.rule));
            }
            Directive::UpdateTargets { rules, targets, replaced } => {
                let selected = Selected::new(rules, place)?;
                self.note_none(|rule| selected.contains(rule), place);
                for draft in &mut self.drafts {
                    if selected.contains(&draft.rule) {
                        update_targets(&mut draft.rule, targets, replaced);
                    }
                }
            }
            Directive::UpdateActions { rules, actions } => {
                let is_meant = |rule: &parse::Rule| {
                    let mut meant = rules.iter().filter(|range| range_contains(range.ids, rule.id));
                    meant.any(|range| range.link < rule.links.len())
                };
                self.note_none(is_meant, place);
                self.note_actions(actions);
                self.update_actions(rules, actions)?;
            }
            Directive::Setting(setting) => {
                self.note(notice::of_setting(setting), place);
                self.settings.apply(setting);
            }
        }
        Ok(())
    }

    fn note_actions(&mut self, actions: &[Placed<Action>]) {
        for action in actions {
            self.note(notice::of_action(&action.value), &action.place);
        }
    }

    /// Notes what was not noted before; kinds of notices are few.
    fn note(&mut self, notice: Option<Notice>, place: &Place) {
        let known = |notice: &Notice| self.notices.iter().any(|told| told.notice == *notice);
        if let Some(notice) = notice.filter(|notice| !known(notice)) {
            self.notices.push(Warning { place: place.clone(), notice });
        }
    }

    /// Notes that a directive about rules is about none.
    fn note_none(&mut self, is_meant: impl Fn(&parse::Rule) -> bool, place: &Place) {
        let is_none = !self.drafts.iter().any(|draft| is_meant(&draft.rule));
        if is_none && self.notices.len() < REPORTED {
            self.notices.push(Warning { place: place.clone(), notice: Notice::NoRule });
        }
    }

    fn add(&mut self, rule: &parse::Rule) -> Result<(), Fault> {
        if let Some(first) = self.ids.get(&rule.id) {
            let problem = Problem::SameId { first: first.clone() };
            return Err(Fault { place: rule.place.clone(), rule: Some(rule.id), problem });
        }
        self.ids.insert(rule.id, rule.place.clone());
        let starter = rule.links.first().map_or(&[][..], |link| &link.actions);
        let phase = phase_of(starter).unwrap_or(Phase::RequestBody);
        let defaults = self.defaults.get(&phase).cloned().unwrap_or_else(|| Arc::new([]));
        for link in &rule.links {
            self.note_actions(&link.actions);
        }
        let number = self.written;
        self.written += 1;
        self.drafts.push(Draft { rule: rule.clone(), phase, number, defaults });
        Ok(())
    }

    fn update_actions(
        &mut self,
        rules: &[LinkRange],
        actions: &[Placed<Action>],
    ) -> Result<(), Fault> {
        for action in actions {
            if matches!(action.value.name(), ActionName::Id | ActionName::Phase | ActionName::Chain)
            {
                let name = action.value.name().name().to_owned();
                let reason = "an update cannot change which rule it is, nor when it runs";
                let problem = Problem::Refused { name, reason };
                return Err(Fault { place: action.place.clone(), rule: None, problem });
            }
        }
        check_links(rules, actions)?;
        for draft in &mut self.drafts {
            for range in rules.iter().filter(|range| range_contains(range.ids, draft.rule.id)) {
                if let Some(link) = draft.rule.links.get_mut(range.link) {
                    replace_actions(&mut link.actions, actions);
                }
            }
        }
        Ok(())
    }
}

/// Refuses what later rules would not inherit.
fn check_defaults(actions: &[Placed<Action>]) -> Result<(), Fault> {
    use ActionName as Name;
    let reason = "rules do not inherit it: write it in each of them";
    for action in actions {
        let name = action.value.name();
        if matches!(
            name,
            Name::Id
                | Name::Chain
                | Name::Skip
                | Name::SkipAfter
                | Name::Capture
                | Name::MultiMatch
        ) {
            let name = format!("{} in SecDefaultAction", name.name());
            let problem = Problem::Refused { name, reason };
            return Err(Fault { place: action.place.clone(), rule: None, problem });
        }
    }
    Ok(())
}

/// In a link after the first, what only counts in the first would do nothing.
fn check_links(rules: &[LinkRange], actions: &[Placed<Action>]) -> Result<(), Fault> {
    if rules.iter().all(|range| range.link == 0) {
        return Ok(());
    }
    match actions.iter().find(|action| is_starters(action.value.name())) {
        Some(action) => {
            let problem = Problem::InLink { action: action.value.name().name() };
            Err(Fault { place: action.place.clone(), rule: None, problem })
        }
        None => Ok(()),
    }
}

pub(crate) fn phase_of(actions: &[Placed<Action>]) -> Option<Phase> {
    actions.iter().rev().find_map(|action| match action.value {
        Action::Phase(phase) => Some(phase),
        _ => None,
    })
}

/// What is left out is left out by every link, what is added is inspected by the starter.
fn update_targets(rule: &mut parse::Rule, targets: &[Target], replaced: &[Target]) {
    let excluded = targets.iter().filter(|target| target.mode == Mode::Exclude);
    for (number, link) in rule.links.iter_mut().enumerate() {
        let Some(condition) = &mut link.condition else { continue };
        condition.targets.extend(excluded.clone().cloned());
        if number == 0 {
            condition.targets.retain(|target| {
                !replaced.iter().any(|old| {
                    old.mode == target.mode
                        && old.variable == target.variable
                        && old.selector.value == target.selector.value
                })
            });
            let added = targets.iter().filter(|target| target.mode != Mode::Exclude);
            condition.targets.extend(added.cloned());
        }
    }
}

/// One of a kind takes the place of the old one; those that may stand often are added.
fn replace_actions(actions: &mut Vec<Placed<Action>>, new: &[Placed<Action>]) {
    for action in new {
        let name = action.value.name();
        let replaces = |old: &Placed<Action>| match class_of(name) {
            Class::Many => false,
            Class::One => old.value.name() == name,
            class => class_of(old.value.name()) == class,
        };
        actions.retain(|old| !replaces(old));
        actions.push(action.clone());
    }
}

/// Which actions of a rule exclude each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    Disruptive,
    Logging,
    Auditing,
    Flow,
    One,
    Many,
}

pub(crate) const fn class_of(name: ActionName) -> Class {
    use ActionName as Name;
    match name {
        Name::Allow
        | Name::Block
        | Name::Deny
        | Name::Drop
        | Name::Pass
        | Name::Proxy
        | Name::Redirect => Class::Disruptive,
        Name::Log | Name::NoLog => Class::Logging,
        Name::AuditLog | Name::NoAuditLog => Class::Auditing,
        Name::Skip | Name::SkipAfter => Class::Flow,
        Name::Ctl
        | Name::DeprecateVar
        | Name::ExpireVar
        | Name::InitCol
        | Name::SanitiseArg
        | Name::SanitiseRequestHeader
        | Name::SanitiseResponseHeader
        | Name::SetEnv
        | Name::SetVar
        | Name::T
        | Name::Tag
        | Name::XmlNs => Class::Many,
        _ => Class::One,
    }
}
