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
        let (by, what) = chosen(part);
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
                let (by, what) = chosen(part);
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

/// How the rules are chosen; a tag as an expression that is that tag.
fn chosen(part: &Part) -> (&'static str, String) {
    match (part.rule, &part.tag) {
        (Some(id), _) => ("ById", id.to_string()),
        (None, tag) => {
            let tag = tag.as_deref().unwrap_or_default();
            ("ByTag", format!("^{}$", tag.replace('.', "[.]")))
        }
    }
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
        let (id, tag) = match exclude {
            Exclude::Rule(id) => (Some(*id), None),
            Exclude::Part(part) => (part.rule, part.tag.as_deref()),
        };
        let found = rules(tree).any(|rule| match (id, tag) {
            (Some(id), _) => rule.id.0 == id,
            (None, tag) => tags(rule).any(|found| Some(found) == tag.map(str::as_bytes)),
        });
        if !found {
            let what = match (id, tag) {
                (Some(id), _) => format!("there is no rule {id} in these rules"),
                (None, tag) => {
                    format!("no rule has the tag `{}`", tag.unwrap_or_default())
                }
            };
            let found = match exclude {
                Exclude::Rule(_) => Faults::at(index, what),
                Exclude::Part(_) if id.is_some() => Faults::at("rule", what).under(index),
                Exclude::Part(_) => Faults::at("tag", what).under(index),
            };
            faults.extend(found);
        }
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
