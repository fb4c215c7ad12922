//! Expressions that no automaton matches, tried out as PCRE does, within a number of steps.
//!
//! They refer back to groups, look ahead, or hold what never gives back. What is tried depends on
//! the value: the steps are counted and bounded by its length, and where they do not suffice, that
//! is told. Until a group is set to which something refers, no step is tried twice at one place.

mod program;
mod search;

pub(crate) use crate::operator::backtrack::program::{Program, STEPS};
pub(crate) use crate::operator::backtrack::search::search;

#[cfg(test)]
mod tests;
