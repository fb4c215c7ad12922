//! Reads the text of one YAML file into a tree of nodes with their places.
//!
//! A syntax error is one fault and leaves the whole file broken; a key given
//! twice is a fault and reading goes on.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::environment;
use super::tree::{Entry, Finding, Node, Place, Scalar, Value};
use crate::fault::{KeyPath, Step};

/// The most levels of nesting in a file; later walks may recurse.
const MAX_DEPTH: usize = 64;

/// Reads a file; adds what is wrong to `findings`, a broken node if it is all wrong.
///
/// `nodes_left` bounds the nodes of all files together, copies by aliases included.
/// An empty file is an empty mapping.
pub(super) fn parse(
    file: &Arc<str>,
    text: &str,
    nodes_left: &mut usize,
    findings: &mut Vec<Finding>,
) -> Node {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let shielded = environment::shield(text);
    let mut builder = Builder {
        end: end_of(file, text),
        nodes_left,
        findings,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
    };
    match builder.read(text, &shielded) {
        Ok(()) => builder.root.unwrap_or_else(|| Node {
            place: Place::start_of(file),
            value: Value::Mapping(Vec::new()),
        }),
        Err(Stop { place, what }) => {
            findings.push(Finding { place, at: KeyPath::root(), what });
            Node::broken(Place::start_of(file))
        }
    }
}

/// Why reading the file ends here.
struct Stop {
    place: Place,
    what: String,
}

struct Builder<'a> {
    /// The end of the file: the parser's own end may lie a line beyond it.
    end: Place,
    nodes_left: &'a mut usize,
    findings: &'a mut Vec<Finding>,
    /// The lists and mappings around the next event, outermost first.
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
}

struct Open {
    place: Place,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Mapping { entries: Vec<Entry>, seen: HashMap<String, Place>, key: Option<(String, Place)> },
}

impl Builder<'_> {
    fn read(&mut self, text: &str, shielded: &str) -> Result<(), Stop> {
        self.refuse_unprintable(text)?;
        for event in Parser::new_from_str(shielded) {
            match event {
                Ok((event, span)) => self.event(event, self.place(&span.start))?,
                Err(error) => return Err(self.syntax(&error)),
            }
        }
        Ok(())
    }

    fn event(&mut self, event: Event<'_>, place: Place) -> Result<(), Stop> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                stop(place, "a second document starts here; a file holds one")
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => {
                stop(place, "tags are not supported; quote a value to make it a string")
            }
            Event::Scalar(text, style, anchor, None) => self.scalar(text, style, anchor, place),
            Event::SequenceStart(anchor, None) => {
                self.start(Open { place, anchor, inside: Inside::List(Vec::new()) })
            }
            Event::MappingStart(anchor, None) => {
                let (entries, seen) = (Vec::new(), HashMap::new());
                let inside = Inside::Mapping { entries, seen, key: None };
                self.start(Open { place, anchor, inside })
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.close(open),
                None => stop(place, "an end without its start"),
            },
            Event::Alias(anchor) => self.alias(anchor, place),
            _ => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        place: Place,
    ) -> Result<(), Stop> {
        let text = environment::unshield(text);
        let quoted = style != ScalarStyle::Plain;
        if self.at_a_key() {
            return self.key(text, quoted, place);
        }
        self.spend(1, &place)?;
        let value = if self.open.is_empty() && text.is_empty() {
            Value::Mapping(Vec::new())
        } else {
            Value::Scalar(Scalar { text, quoted, written: None })
        };
        self.add(Node { place, value }, anchor)
    }

    fn key(&mut self, text: String, quoted: bool, place: Place) -> Result<(), Stop> {
        if text.is_empty() && !quoted {
            return stop(place, "a key is missing before the colon");
        }
        if text == "<<" && !quoted {
            return stop(place, "merge keys (`<<`) are not supported; write the keys out");
        }
        if let Some(Open { inside: Inside::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = Some((text, place));
        }
        Ok(())
    }

    fn start(&mut self, open: Open) -> Result<(), Stop> {
        if self.at_a_key() {
            return stop(open.place, "a key must be one word, not a list or a mapping");
        }
        self.refuse_depth(1, &open.place)?;
        self.spend(1, &open.place)?;
        self.open.push(open);
        Ok(())
    }

    fn close(&mut self, open: Open) -> Result<(), Stop> {
        let value = match open.inside {
            Inside::List(items) => Value::List(items),
            Inside::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.add(Node { place: open.place, value }, open.anchor)
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Stop> {
        if self.at_a_key() {
            return stop(place, "an alias cannot be a key");
        }
        let Some(node) = self.anchors.get(&anchor).cloned() else {
            return stop(place, "the anchor of this alias is not on a whole value before it");
        };
        self.refuse_depth(node.height(), &place)?;
        self.spend(node.size(), &place)?;
        self.add(node, 0)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, mut node: Node, anchor: usize) -> Result<(), Stop> {
        if anchor != 0 {
            self.spend(node.size(), &node.place)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.inside {
            Inside::List(items) => items.push(node),
            Inside::Mapping { entries, seen, key } => {
                let Some((key, place)) = key.take() else { return Ok(()) };
                if let Some(first) = seen.get(&key) {
                    let what = given_twice(first);
                    let at = self.path().child(key.as_str());
                    self.findings.push(Finding { place, at, what });
                    return Ok(());
                }
                if !node.is_visible_scalar() {
                    node.place = place.clone();
                }
                seen.insert(key.clone(), place.clone());
                entries.push(Entry { key, place, node });
            }
        }
        Ok(())
    }

    fn at_a_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { inside: Inside::Mapping { key: None, .. }, .. }))
    }

    /// The way to the innermost open list or mapping.
    fn path(&self) -> KeyPath {
        let parents = self.open.split_last().map_or(&[][..], |(_, parents)| parents);
        let step = |open: &Open| match &open.inside {
            Inside::List(items) => Step::Item(items.len()),
            Inside::Mapping { key, .. } => {
                Step::Key(key.as_ref().map(|(key, _)| key.clone()).unwrap_or_default())
            }
        };
        parents.iter().map(step).collect()
    }

    fn spend(&mut self, nodes: usize, place: &Place) -> Result<(), Stop> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) => {
                *self.nodes_left = left;
                Ok(())
            }
            None => stop(place.clone(), "the configuration has too many values"),
        }
    }

    fn refuse_depth(&self, more: usize, place: &Place) -> Result<(), Stop> {
        if self.open.len() + more > MAX_DEPTH {
            return stop(place.clone(), format!("nested deeper than {MAX_DEPTH} levels"));
        }
        Ok(())
    }

    /// The parser takes a NUL for the end of the file: what follows would be ignored.
    fn refuse_unprintable(&self, text: &str) -> Result<(), Stop> {
        let bad = |c: char| {
            (c.is_control() && !"\t\n\r".contains(c))
                || c == char::REPLACEMENT_CHARACTER
                || environment::is_shield(c)
        };
        for (line, content) in text.lines().enumerate() {
            if let Some(column) = content.chars().position(bad) {
                let file = Arc::clone(&self.end.file);
                let place = Place { file, line: line + 1, column: column + 1 };
                return stop(place, "a character here is unprintable or not UTF-8");
            }
        }
        Ok(())
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        Stop { place: self.place(error.marker()), what: error.info().to_owned() }
    }

    fn place(&self, marker: &Marker) -> Place {
        let file = Arc::clone(&self.end.file);
        Place { file, line: marker.line().max(1), column: marker.col() + 1 }.min(self.end.clone())
    }
}

/// What is said of a key, a name or a file that was there before.
pub(super) fn given_twice(first: &Place) -> String {
    format!("is given twice; first at {first}")
}

fn stop<T>(place: Place, what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop { place, what: what.into() })
}

fn end_of(file: &Arc<str>, text: &str) -> Place {
    let last = text.lines().last().unwrap_or_default();
    Place {
        file: Arc::clone(file),
        line: text.lines().count().max(1),
        column: last.chars().count() + 1,
    }
}
