//! SecLang text to a syntax tree: what is written where, and faults that say what would be right.
//!
//! Files become joined lines, lines words, words targets, operators and actions, links rules. What
//! rules mean, whether arguments compile and what the engine can enforce is left to others.
//! Any bytes are safe: nothing panics, time is linear, and `bounds` limits every count and depth.

mod reader;
mod files;
mod glob;
mod lines;
mod text;
mod words;
mod directive;
mod settings;
mod unused;
mod chain;
mod rule;
mod targets;
mod variable;
mod operator;
mod template;
mod actions;
mod action;
mod setvar;
mod ctl;
mod transformation;
mod ids;
mod names;
mod place;
mod fault;
pub mod bounds;
#[cfg(test)]
mod fixture;

pub use crate::parse::action::{Action, ActionName, Allow, Phase, Severity};
pub use crate::parse::chain::Rule;
pub(crate) use crate::parse::chain::is_starters;
pub use crate::parse::ctl::{AuditMode, AuditParts, BodyProcessor, Ctl, CtlName};
pub use crate::parse::directive::{Directive, DirectiveName, Selection};
pub use crate::parse::fault::{Fault, Notice, Problem, Warning};
pub use crate::parse::files::{Disk, Files, NoFiles};
pub use crate::parse::ids::{IdRange, LinkRange, RuleId};
#[cfg(test)]
pub(crate) use crate::parse::names::Named;
pub(crate) use crate::parse::names::lookup;
pub use crate::parse::operator::{Operator, OperatorName};
pub use crate::parse::place::{Place, Placed};
pub use crate::parse::reader::{Faults, Reader, Tree};
pub use crate::parse::rule::{Condition, Link};
pub use crate::parse::settings::{
    CookieFormat, EngineMode, OverLimit, Setting, SettingName, Toggle,
};
pub use crate::parse::setvar::{
    Change, Collection, DeprecateVar, ExpireVar, InitCol, SetEnv, SetVar,
};
pub use crate::parse::targets::{Mode, Selector, Target};
pub use crate::parse::template::{Macro, Piece, Template};
pub use crate::parse::variable::Variable;
