//! What is sent to each server through the proxy, and what must come of it.

mod bodies;
mod heads;
mod streams;
mod targets;

use percent_encoding::percent_decode_str;

use super::servers::{Kind, Line};

pub(super) use bodies::bodies;
pub(super) use heads::{heads, hosts, spliced};
pub(super) use streams::{Stream, streams};
pub(super) use targets::{passed_targets, targets};

/// A request of its own, hidden in another one.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: a.example\r\n\r\n";
const HOST: &str = "host: a.example";
/// Says which case a request is of; the braces are filled.
const CASE: &str = "x-case: {case}";

/// What must come of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// It is refused with this status, and no server has seen a byte of it.
    Refused(u16),
    /// It is refused on its way: a server saw no end of it, if anything.
    CutOff,
    /// A server saw exactly one request, and it means this.
    Once(Meaning),
    /// Either is good, as long as answer and server agree.
    RefusedOrOnce,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    method: String,
    target: String,
    host: String,
    body: String,
}

impl Meaning {
    pub(super) fn new(method: &str, target: &str, host: &str, body: &str) -> Meaning {
        let [method, target, host, body] = [method, target, host, body].map(str::to_owned);
        Meaning { method, target, host, body }
    }

    /// The line of a server that has understood it so.
    pub(super) fn line(&self, case: String) -> Line {
        let path = self.target.split('?').next().unwrap_or_default();
        Line {
            case,
            method: self.method.clone(),
            target: self.target.clone(),
            path: percent_decode_str(path).decode_utf8().unwrap().into_owned(),
            host: self.host.clone(),
            body: self.body.clone(),
            status: "200".to_owned(),
        }
    }
}

/// One request in HTTP/1.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Each character is a byte.
    text: String,
    pub(super) expected: Expected,
    /// Who takes no such request from anybody.
    pub(super) declined_by: &'static [Kind],
    /// The most bytes that are sent at once.
    pub(super) piece: usize,
}

impl Case {
    pub(super) fn new(text: String, expected: Expected) -> Case {
        Case { text, expected, declined_by: &[], piece: usize::MAX }
    }

    /// The same, sent a few bytes at a time: what is wrong comes after a server
    /// has seen how the request begins.
    pub(super) fn dripped(self) -> Case {
        let expected = match self.expected {
            Expected::Refused(_) => Expected::CutOff,
            other => other,
        };
        Case { expected, piece: 5, ..self }
    }

    /// The bytes to send, under this name.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        let text = self.text.replace("{case}", name);
        text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
    }

    pub(super) fn is_head(&self) -> bool {
        self.text.starts_with("HEAD ")
    }
}

fn refused(text: String) -> Case {
    Case::new(text, Expected::Refused(400))
}

fn refused_as(status: u16, text: String) -> Case {
    Case::new(text, Expected::Refused(status))
}

/// Seen as these: method, target, body, by the host that most cases have.
fn once(text: String, [method, target, body]: [&str; 3]) -> Case {
    Case::new(text, Expected::Once(Meaning::new(method, target, "a.example", body)))
}

/// These lines, and the empty one.
fn head(lines: &[&str]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    lines + "\r\n"
}

/// A GET with these lines besides.
fn get(more: &[&str]) -> String {
    head(&[&["GET /get HTTP/1.1", HOST, CASE], more].concat())
}

/// A POST with these lines besides, and what follows its head.
fn post(more: &[&str], body: &str) -> String {
    head(&[&["POST /post HTTP/1.1", HOST, CASE], more].concat()) + body
}
