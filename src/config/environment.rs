//! Replaces `${NAME}` and `${NAME:-default}` inside scalars, after parsing.
//!
//! A value from the environment never changes the structure of the file and
//! never appears in a fault: there it is called by the variable's name.

use std::borrow::Cow;
use std::ffi::OsString;

use super::tree::{Finding, Node, Scalar, Value};
use crate::fault::KeyPath;

/// Where variables come from; `&|name| std::env::var_os(name)` in production.
pub(crate) type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// A value shorter than this is hidden only where it stands alone in
/// quotes; hiding every `1` would only garble the fault.
const SHORTEST_SECRET: usize = 4;

/// Stand-ins for the braces of `${NAME}`: noncharacters, so no file may hold them.
const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';

/// The values that came from the environment, each with what a fault says instead.
#[derive(Default)]
pub(super) struct Secrets(Vec<(String, String)>);

impl Secrets {
    /// The text with every value replaced by the name of its variable.
    pub(super) fn hide(&self, what: &str) -> String {
        // The longest first, as one value may be a part of another.
        let mut secrets: Vec<_> = self.0.iter().collect();
        secrets.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        secrets.into_iter().fold(what.to_owned(), |text, (value, name)| {
            if value.len() < SHORTEST_SECRET {
                let text = text.replace(&format!("`{value}`"), &format!("`{name}`"));
                return text.replace(&format!("\"{value}\""), &format!("\"{name}\""));
            }
            let text = text.replace(value, name);
            text.replace(&value.escape_debug().to_string(), name)
        })
    }

    fn add(&mut self, value: &str, name: &str) {
        if !value.is_empty() {
            self.0.push((value.to_owned(), name.to_owned()));
        }
    }
}

/// Replaces every variable in the scalars of a tree.
pub(super) struct Substitution<'a> {
    pub environment: &'a Environment<'a>,
    pub secrets: &'a mut Secrets,
    pub findings: &'a mut Vec<Finding>,
}

impl Substitution<'_> {
    pub(super) fn replace(&mut self, node: &mut Node, at: &KeyPath) {
        match &mut node.value {
            Value::Broken => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.replace(item, &at.child(index));
                }
            }
            Value::Mapping(entries) => {
                for entry in entries {
                    self.replace(&mut entry.node, &at.child(entry.key.as_str()));
                }
            }
            Value::Scalar(scalar) if !scalar.text.contains("${") => {}
            Value::Scalar(scalar) => {
                if let Err(what) = self.scalar(scalar) {
                    let place = node.place.clone();
                    self.findings.push(Finding { place, at: at.clone(), what });
                    node.value = Value::Broken;
                }
            }
        }
    }

    fn scalar(&mut self, scalar: &mut Scalar) -> Result<(), String> {
        let before = self.secrets.0.len();
        let mut references = 0;
        let mut text = String::new();
        let mut rest = scalar.text.as_str();
        while let Some((literal, after)) = rest.split_once("${") {
            if let Some(literal) = literal.strip_suffix('$') {
                text.push_str(literal);
                text.push_str("${");
                rest = after;
                continue;
            }
            let (reference, after) = after
                .split_once('}')
                .ok_or_else(|| "`${` without its `}`; write `$${` for a plain `${`".to_owned())?;
            text.push_str(literal);
            text.push_str(&self.value_of(reference)?);
            references += 1;
            rest = after;
        }
        text.push_str(rest);
        if references > 0 {
            if self.secrets.0.len() > before {
                self.secrets.add(&text, &scalar.text);
            }
            scalar.written = Some(std::mem::take(&mut scalar.text));
        }
        scalar.text = text;
        Ok(())
    }

    /// The value of what stands between the braces.
    fn value_of(&mut self, reference: &str) -> Result<String, String> {
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        if !is_name(name) {
            return Err(format!(
                "`${{{reference}}}` names no variable; write `$${{` for a plain `${{`"
            ));
        }
        let value = match (self.environment)(name) {
            None => None,
            Some(value) => Some(
                value.into_string().map_err(|_| format!("the variable `{name}` is not UTF-8"))?,
            ),
        };
        match (value, default) {
            // As in a shell, `:-` also stands in for an empty value.
            (Some(value), None) => self.remember(name, value),
            (Some(value), Some(_)) if !value.is_empty() => self.remember(name, value),
            (_, Some(default)) => Ok(default.to_owned()),
            (None, None) => Err(format!(
                "the variable `{name}` is not set; set it or write `${{{name}:-default}}`"
            )),
        }
    }

    fn remember(&mut self, name: &str, value: String) -> Result<String, String> {
        self.secrets.add(&value, &format!("${{{name}}}"));
        Ok(value)
    }
}

/// Hides the braces of every `${NAME}` from the parser, one character for one.
///
/// Inside `{ }` and `[ ]` YAML would take them for a mapping.
pub(super) fn shield(text: &str) -> Cow<'_, str> {
    if !text.contains("${") {
        return Cow::Borrowed(text);
    }
    let mut shielded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        shielded.push_str(before);
        shielded.push('$');
        match after.split_once('}').filter(|(inside, _)| is_reference(inside)) {
            Some((inside, after)) => {
                shielded.extend([OPEN]);
                shielded.push_str(inside);
                shielded.push(CLOSE);
                rest = after;
            }
            None => {
                shielded.push('{');
                rest = after;
            }
        }
    }
    shielded.push_str(rest);
    Cow::Owned(shielded)
}

/// Gives the braces back.
pub(super) fn unshield(text: Cow<'_, str>) -> String {
    if text.contains(is_shield) {
        text.replace(OPEN, "{").replace(CLOSE, "}")
    } else {
        text.into_owned()
    }
}

pub(super) fn is_shield(c: char) -> bool {
    c == OPEN || c == CLOSE
}

fn is_reference(inside: &str) -> bool {
    let (name, default) = inside.split_once(":-").unwrap_or((inside, ""));
    is_name(name) && !default.contains(['{', '\n', '\r'])
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
