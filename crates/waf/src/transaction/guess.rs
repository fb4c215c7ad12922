//! What servers find in a body that read it as JSON or XML whatever its type is said to be.
//!
//! `json_decode` of what came asks for no type, and what `curl -d` sends is a form by its type. A
//! body that begins like JSON or XML is read so besides what its type makes of it. It may be none:
//! a fault is told to nobody, and what is no JSON from there on is a text.

use crate::body::json::JsonError;
use crate::body::xml::XmlError;
use crate::body::{Limits, json, xml};
use crate::parse::{BodyProcessor, Variable};
use crate::rules::{ATTRIBUTES, Settings, TEXT};
use crate::transaction::body::{Unread, json_argument, json_limits};
use crate::transaction::request::argument;
use crate::transaction::state::State;

/// The name of what begins like JSON, and is none.
const UNREAD: &[u8] = b"json";

/// Whether a body is looked at that its type leaves to this processor.
pub(super) fn is_for(processor: Option<BodyProcessor>, state: &State) -> bool {
    state.guesses_request_body && matches!(processor, None | Some(BodyProcessor::UrlEncoded))
}

/// Reads what a body may be; what is told is that not all of it was read.
pub(super) fn read(bytes: &[u8], settings: &Settings, state: &mut State) -> Option<Unread> {
    match bytes.strip_prefix(json::MARK).unwrap_or(bytes).trim_ascii_start().first()? {
        b'{' | b'[' => read_json(bytes, settings, state),
        b'<' => read_xml(bytes, state),
        _ => None,
    }
}

/// One document behind the other, as in NDJSON.
fn read_json(bytes: &[u8], settings: &Settings, state: &mut State) -> Option<Unread> {
    let mut limits = json_limits(bytes, settings);
    let mut rest = bytes;
    loop {
        let mut names_bytes = 0;
        let read = json::flatten(rest, &limits, &mut |name, value| {
            names_bytes += name.len();
            json_argument(name, value, settings, state);
        });
        limits.names_bytes = limits.names_bytes.saturating_sub(names_bytes);
        match read {
            // There is a document before it: each turn goes on.
            Err(JsonError::Trailing(at)) if at > 0 => {
                rest = rest.get(at..).unwrap_or_default();
                continue;
            }
            Err(error) if error.is_bound() => return Some(Unread::new(&error, true)),
            // Some servers read what we do not: they take bytes that are no UTF-8, or `NaN`.
            Err(_) => argument(Variable::ArgsPost, UNREAD, rest, settings, state),
            Ok(()) => {}
        }
        return None;
    }
}

fn read_xml(bytes: &[u8], state: &mut State) -> Option<Unread> {
    let document = xml::read(bytes, &Limits::default());
    let fault = document.fault;
    // Much begins with a `<`: what is no XML is none to any server. What has entities of its own
    // may be well-formed, and nobody here knows what it says.
    let is_refused = fault.filter(|fault| fault.is_bound() || *fault == XmlError::DocumentType);
    if fault.is_none() || is_refused.is_some() {
        state.push(Variable::Xml, TEXT, &document.text);
        for attribute in &document.attributes {
            state.push(Variable::Xml, ATTRIBUTES, attribute);
        }
    }
    is_refused.map(|fault| Unread::new(&fault, fault.is_bound()))
}
