//! What a profile excludes, as rules and directives of the engine.

use std::fmt::Write;

use tidegate_waf::parse::{Action, Directive, Piece, Rule, Tree};

use super::config::{Exclude, Part};
use crate::fault::Faults;

/// An element of TX: the path that routes are found by, with a slash at its end.
pub(super) const PATH: &str = "tidegate_path";

/// The id of the rule of the first exclusion; the Core Rule Set has others.
const FIRST_ID: usize = 9_891_000;
/// As many have an id.
const MOST: usize = 1000;

/// Rules for those that act below a path alone; they stand before all others.
pub(super) fn before(excluded: &[Exclude]) -> impl Iterator<Item = (String, String)> {
    excluded.iter().enumerate().filter_map(|(index, exclude)| {
        let Exclude::Part(part) = exclude else { return None };
        let below = part.path_prefix.as_ref()?.trim_end_matches('/');
        let (by, what) = Chosen::of(part).written();
        let action = match &part.target {
            Some(target) => format!("ctl:ruleRemoveTarget{by}={what};{target}"),
            None => format!("ctl:ruleRemove{by}={what}"),
        };
        let id = FIRST_ID + index;
        let rule = format!(
            "SecRule TX:{PATH} \"@beginsWith {below}/\" \"id:{id},phase:1,pass,nolog,{action}\"\n"
        );
        Some((name_of(index), rule))
    })
}

/// Directives for those that act everywhere; they stand behind all rules.
pub(super) fn after(excluded: &[Exclude]) -> impl Iterator<Item = (String, String)> {
    excluded.iter().enumerate().filter_map(|(index, exclude)| {
        let mut directive = String::new();
        match exclude {
            Exclude::Rule(id) => writeln!(directive, "SecRuleRemoveById {id}").ok()?,
            Exclude::Part(part) if part.path_prefix.is_some() => return None,
            Exclude::Part(part) => {
                let (by, what) = Chosen::of(part).written();
                match &part.target {
                    Some(target) => {
                        writeln!(directive, "SecRuleUpdateTarget{by} \"{what}\" \"!{target}\"")
                            .ok()?;
                    }
                    None => writeln!(directive, "SecRuleRemove{by} \"{what}\"").ok()?,
                }
            }
        }
        Some((name_of(index), directive))
    })
}

/// Which rules an exclusion is about.
enum Chosen<'a> {
    Id(u32),
    Tag(&'a str),
}

impl<'a> Chosen<'a> {
    fn of(part: &'a Part) -> Self {
        // A part without either does not come here: the section has refused it.
        part.rule.map_or_else(|| Chosen::Tag(part.tag.as_deref().unwrap_or_default()), Chosen::Id)
    }

    /// As the directives have it; a tag as an expression that is that tag.
    fn written(&self) -> (&'static str, String) {
        match self {
            Chosen::Id(id) => ("ById", id.to_string()),
            Chosen::Tag(tag) => ("ByTag", exactly(tag)),
        }
    }

    /// The fault that there is none in these rules, and the key that it is about.
    fn fault(&self) -> (&'static str, String) {
        match self {
            Chosen::Id(id) => ("rule", format!("there is no rule {id} in these rules")),
            Chosen::Tag(tag) => ("tag", format!("no rule has the tag `{tag}`")),
        }
    }

    fn is(&self, rule: &Rule) -> bool {
        match self {
            Chosen::Id(id) => rule.id.0 == *id,
            Chosen::Tag(tag) => tags(rule).any(|found| found == tag.as_bytes()),
        }
    }
}

/// An expression that matches this text alone.
fn exactly(text: &str) -> String {
    let mut exactly = String::from("^");
    for c in text.chars() {
        // What else means something in an expression the section has refused.
        if ".*+?()[]^$".contains(c) {
            exactly.push('\\');
        }
        exactly.push(c);
    }
    exactly.push('$');
    exactly
}

/// Under which name the engine reads the text of an exclusion.
fn name_of(index: usize) -> String {
    format!("exclude[{index}]")
}

/// The exclusion whose text has this name.
pub(super) fn index_of(name: &str) -> Option<usize> {
    name.strip_prefix("exclude[")?.strip_suffix(']')?.parse().ok()
}

/// Refuses exclusions of rules that there are not: they would exclude nothing.
pub(super) fn check(excluded: &[Exclude], tree: &Tree) -> Result<(), Faults> {
    let mut faults = Faults::none();
    if excluded.len() > MOST {
        faults.extend(Faults::one(format!("are {}; must be at most {MOST}", excluded.len())));
    }
    for (index, exclude) in excluded.iter().enumerate() {
        let chosen = match exclude {
            Exclude::Rule(id) => Chosen::Id(*id),
            Exclude::Part(part) => Chosen::of(part),
        };
        if rules(tree).any(|rule| chosen.is(rule)) {
            continue;
        }
        let (key, what) = chosen.fault();
        faults.extend(match exclude {
            Exclude::Rule(_) => Faults::at(index, what),
            Exclude::Part(_) => Faults::at(key, what).under(index),
        });
    }
    faults.into_result(|| Some(()))
}

fn rules(tree: &Tree) -> impl Iterator<Item = &Rule> {
    tree.directives.iter().filter_map(|directive| match &directive.value {
        Directive::Rule(rule) => Some(rule),
        _ => None,
    })
}

/// The tags of a rule that have no macros.
fn tags(rule: &Rule) -> impl Iterator<Item = &[u8]> {
    let actions = rule.links.iter().flat_map(|link| &link.actions);
    actions.filter_map(|action| match &action.value {
        Action::Tag(tag) => match tag.pieces.as_slice() {
            [Piece::Text(text)] => Some(text.as_slice()),
            _ => None,
        },
        _ => None,
    })
}
