//! One directive: its name to the file that reads its words.

use crate::parse::action::Action;
use crate::parse::actions;
use crate::parse::chain::Rule;
use crate::parse::fault::{Fault, Notice, Problem, Warning};
use crate::parse::ids::{self, IdRange, LinkRange};
use crate::parse::names::{self, Named, names};
use crate::parse::place::{Place, Placed};
use crate::parse::rule::{self, Written};
use crate::parse::settings::{self, Setting, SettingName};
use crate::parse::targets::{self, Target};
use crate::parse::text::{Part, Text};
use crate::parse::unused::{self, REFUSED, UNUSED};
use crate::parse::words;

/// What the rule files say, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Directive {
    Rule(Rule),
    /// A position that skipAfter names.
    Marker(Vec<u8>),
    /// Actions that later rules of the same phase inherit.
    DefaultAction(Vec<Placed<Action>>),
    ComponentSignature(Vec<u8>),
    Remove(Selection),
    UpdateTargets {
        rules: Selection,
        targets: Vec<Target>,
        /// The targets that are replaced; none: `targets` are added.
        replaced: Vec<Target>,
    },
    UpdateActions {
        rules: Vec<LinkRange>,
        actions: Vec<Placed<Action>>,
    },
    Setting(Setting),
}

/// Rules that a directive chooses among those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    Ids(Vec<IdRange>),
    /// Patterns, of which a rule's tag must match one.
    Tags(Vec<Vec<u8>>),
    /// Patterns, of which a rule's message must match one.
    Messages(Vec<Vec<u8>>),
}

/// What one line says.
pub(crate) enum Statement {
    Rule(Written),
    Directive(Placed<Directive>),
    Include { place: Place, path: Vec<u8>, or: Absent },
    Unused(Warning),
}

/// What an Include without a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    Fault,
    Fine,
}

names! { "directive",
    /// Directives that are more than a setting.
    pub enum DirectiveName {
        Include = "Include",
        IncludeOptional = "IncludeOptional",
        Action = "SecAction",
        ComponentSignature = "SecComponentSignature",
        DefaultAction = "SecDefaultAction",
        Marker = "SecMarker",
        Rule = "SecRule",
        RuleRemoveById = "SecRuleRemoveById",
        RuleRemoveByMsg = "SecRuleRemoveByMsg",
        RuleRemoveByTag = "SecRuleRemoveByTag",
        RuleUpdateActionById = "SecRuleUpdateActionById",
        RuleUpdateTargetById = "SecRuleUpdateTargetById",
        RuleUpdateTargetByMsg = "SecRuleUpdateTargetByMsg",
        RuleUpdateTargetByTag = "SecRuleUpdateTargetByTag",
    }
}

/// Reads one joined line.
pub(crate) fn parse(line: Part<'_>) -> Result<Statement, Fault> {
    let words = words::split(line)?;
    let Some((first, arguments)) = words.split_first() else {
        return Err(Fault::wrong(line, "a directive", "a name like SecRule"));
    };
    let directive = first.whole();
    if let Some(name) = names::lookup::<DirectiveName>(directive.bytes()) {
        return Call { name, directive, arguments }.read();
    }
    if let Some(name) = names::lookup::<SettingName>(directive.bytes()) {
        let setting = settings::parse(name, directive, arguments)?;
        return Ok(placed(directive, Directive::Setting(setting)));
    }
    if let Some((name, reason)) = unused::find(UNUSED, directive.bytes()) {
        settings::check_unused(name, directive, arguments)?;
        let notice = Notice::Unused { name, reason };
        return Ok(Statement::Unused(Warning { place: directive.place(), notice }));
    }
    Err(unknown(directive))
}

fn unknown(directive: Part<'_>) -> Fault {
    if let Some((name, reason)) = unused::find(REFUSED, directive.bytes()) {
        return Fault::at(directive, Problem::Refused { name: name.to_owned(), reason });
    }
    if directive.byte(0) == Some(b'<') {
        let reason = "sections are Apache's; give a route its profile in Tidegate's configuration";
        return Fault::at(directive, Problem::Refused { name: directive.shown(), reason });
    }
    let names = DirectiveName::table().iter().map(|(name, _)| *name);
    let names = names.chain(SettingName::table().iter().map(|(name, _)| *name));
    let names: Vec<_> = names.chain(UNUSED.iter().map(|(name, _)| *name)).collect();
    names::unknown("directive", directive, &names)
}

/// A directive with its words.
#[derive(Clone, Copy)]
struct Call<'a> {
    name: DirectiveName,
    directive: Part<'a>,
    arguments: &'a [Text],
}

impl<'a> Call<'a> {
    fn read(self) -> Result<Statement, Fault> {
        use DirectiveName as Name;
        let read = match self.name {
            Name::Rule => {
                return Ok(Statement::Rule(rule::parse_rule(self.directive, self.arguments)));
            }
            Name::Action => {
                return Ok(Statement::Rule(rule::parse_action(self.directive, self.arguments)));
            }
            Name::Include => return self.include(Absent::Fault),
            Name::IncludeOptional => return self.include(Absent::Fine),
            Name::Marker => Directive::Marker(self.one("one name")?.bytes().to_vec()),
            Name::ComponentSignature => {
                Directive::ComponentSignature(self.one("one text in quotes")?.bytes().to_vec())
            }
            Name::DefaultAction => default_action(self.one("\"ACTIONS\" in quotes")?)?,
            Name::RuleRemoveById => Directive::Remove(Selection::Ids(self.ids()?)),
            Name::RuleRemoveByTag => Directive::Remove(Selection::Tags(self.patterns()?)),
            Name::RuleRemoveByMsg => Directive::Remove(Selection::Messages(self.patterns()?)),
            Name::RuleUpdateActionById => self.update_actions()?,
            Name::RuleUpdateTargetById
            | Name::RuleUpdateTargetByMsg
            | Name::RuleUpdateTargetByTag => self.update_targets()?,
        };
        Ok(placed(self.directive, read))
    }

    fn include(self, or: Absent) -> Result<Statement, Fault> {
        let path = self.one("one path")?.bytes().to_vec();
        Ok(Statement::Include { place: self.directive.place(), path, or })
    }

    fn ids(self) -> Result<Vec<IdRange>, Fault> {
        let mut ranges = Vec::new();
        for word in self.some("ids and ranges")? {
            ids::parse_list(word.whole(), &mut ranges)?;
        }
        Ok(ranges)
    }

    fn patterns(self) -> Result<Vec<Vec<u8>>, Fault> {
        self.some("patterns in quotes")?.iter().map(pattern).collect()
    }

    fn update_actions(self) -> Result<Directive, Fault> {
        let [links, list] = self.arguments else {
            return Err(self.wrong_count("ID \"ACTIONS\""));
        };
        let rules = ids::parse_links(links.whole())?;
        let items = actions::split(list.whole())?;
        Ok(Directive::UpdateActions { rules, actions: actions::parse(&items)? })
    }

    fn update_targets(self) -> Result<Directive, Fault> {
        let (which, targets, replaced) = match self.arguments {
            [which, targets] => (which, targets, None),
            [which, targets, replaced] => (which, targets, Some(replaced)),
            _ => return Err(self.wrong_count("RULES \"VARIABLES\"")),
        };
        let rules = match self.name {
            DirectiveName::RuleUpdateTargetByTag => Selection::Tags(vec![pattern(which)?]),
            DirectiveName::RuleUpdateTargetByMsg => Selection::Messages(vec![pattern(which)?]),
            _ => {
                let mut ranges = Vec::new();
                ids::parse_list(which.whole(), &mut ranges)?;
                Selection::Ids(ranges)
            }
        };
        let targets = targets::parse(targets.whole())?;
        let replaced =
            replaced.map_or_else(|| Ok(Vec::new()), |list| targets::parse(list.whole()))?;
        Ok(Directive::UpdateTargets { rules, targets, replaced })
    }

    /// The only word, not empty.
    fn one(self, want: &'static str) -> Result<Part<'a>, Fault> {
        match self.arguments {
            [argument] if !argument.whole().is_empty() => Ok(argument.whole()),
            _ => Err(self.wrong_count(want)),
        }
    }

    /// At least one word.
    fn some(self, want: &'static str) -> Result<&'a [Text], Fault> {
        if self.arguments.is_empty() { Err(self.wrong_count(want)) } else { Ok(self.arguments) }
    }

    fn wrong_count(self, want: &'static str) -> Fault {
        let problem =
            Problem::Arguments { name: self.name.name(), got: self.arguments.len(), want };
        Fault::at(self.directive, problem)
    }
}

fn placed(directive: Part<'_>, value: Directive) -> Statement {
    Statement::Directive(Placed { place: directive.place(), value })
}

fn pattern(word: &Text) -> Result<Vec<u8>, Fault> {
    let part = word.whole();
    if part.is_empty() {
        return Err(Fault::wrong(part, "a pattern", "what the tag or message must match"));
    }
    Ok(part.bytes().to_vec())
}

fn default_action(list: Part<'_>) -> Result<Directive, Fault> {
    let actions = actions::parse(&actions::split(list)?)?;
    if !actions.iter().any(|action| matches!(action.value, Action::Phase(_))) {
        return Err(Fault::wrong(list, "default actions", "phase:1 to phase:5 among them"));
    }
    Ok(Directive::DefaultAction(actions))
}
