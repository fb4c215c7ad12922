//! Any bytes, for every reader of rules and of requests, and what must hold then.
//!
//! Each function panics where one of its promises is broken. `tests` drives them with the same
//! bytes in every run; the targets in `fuzz/` with what a fuzzer finds.

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use crate::body::decoded::{DecodeError, Decoder};
use crate::body::multipart::{Form, Multipart};
use crate::body::{Limits, cookies, json, urlencoded, xml};
use crate::operator::{Cache, Compiler, Groups, Known, Operator};
use crate::parse::{
    self, CookieFormat, Fault, NoFiles, OperatorName, Piece, Place, Reader, Template,
};
use crate::transform::{self, Transformation};
use crate::{Connection, Match, RequestHead, ResponseHead, RuleSet, Transaction, Verdict};

/// A little of everything that rules can do.
const RULES: &str = include_str!("rules.conf");
const FORM: &[u8] = b"multipart/form-data; boundary=b";
const CODINGS: [&[u8]; 5] = [b"gzip", b"deflate", b"br", b"zstd", b"gzip, deflate"];

/// A text of rules: whatever it is, it ends in rules or in faults that have a place in it.
pub fn rules(bytes: &[u8]) {
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let mut reader = Reader::new(&NoFiles, &|_: &Fault| false);
    reader.text(Path::new("f"), bytes);
    if let Err(faults) = reader.finish() {
        for fault in &faults.0 {
            assert!((1..=lines).contains(&(fault.place.line as usize)), "{fault}");
            assert!(!fault.problem.to_string().is_empty());
        }
    }
    // With every fault skipped there are always rules, and a request runs through them.
    let skip = |_: &Fault| true;
    let mut reader = Reader::new(&NoFiles, &skip);
    reader.text(Path::new("f"), bytes);
    let tree = reader.finish().expect("all is skipped");
    let rules = RuleSet::compile(&tree, &NoFiles, &skip).expect("all is skipped");
    judge(&Arc::new(rules), b"/?a=b\nCookie: c=d\n\ne=f", usize::MAX);
}

/// A body, a line of cookies or a content coding: the first byte says which, the second where
/// it is cut.
pub fn bodies(bytes: &[u8]) {
    let [kind, cut, rest @ ..] = bytes else { return };
    let cut = usize::from(*cut);
    match kind % 6 {
        0 => {
            let pairs = urlencoded::split(rest, b'&');
            let told: usize = pairs.map(|pair| pair.name.len() + pair.value.len()).sum();
            assert!(told <= rest.len(), "more than was sent");
        }
        1 => {
            for format in [CookieFormat::Netscape, CookieFormat::Version1] {
                assert!(cookies::cookies(rest, format).count() <= rest.len(), "more than was sent");
            }
        }
        2 => {
            assert_eq!(form(rest, cut), form(rest, usize::MAX), "the cut {cut} shows");
        }
        3 => {
            let (mut count, mut bytes) = (0, 0);
            let limits = Limits::default();
            json::flatten(rest, &limits, &mut |_, value| {
                count += 1;
                bytes += value.len();
            })
            .ok();
            // An array tells its length, and an escape is longer than what it stands for.
            assert!(count <= rest.len() && bytes <= 4 * rest.len(), "{count} of {bytes}");
        }
        4 => {
            let read = xml::read(rest, &Limits::default());
            let attributes: usize = read.attributes.iter().map(Vec::len).sum();
            assert!(read.text.len() + attributes <= 3 * rest.len(), "more than was sent");
        }
        _ => {
            let coding = CODINGS[cut % CODINGS.len()];
            let (whole, cut_up) = (decode(coding, rest, usize::MAX), decode(coding, rest, cut));
            assert_eq!(whole.1.is_ok(), cut_up.1.is_ok(), "the cut {cut} shows");
            if whole.1.is_ok() {
                assert_eq!(whole.0, cut_up.0, "the cut {cut} shows");
            }
            let limits = Limits::default();
            let most = (64 << 10).max(limits.ratio * rest.len()).min(limits.decoded_bytes);
            assert!(whole.0.len() <= most && cut_up.0.len() <= most, "more than is allowed");
        }
    }
}

fn form(bytes: &[u8], cut: usize) -> Form {
    let mut form = Multipart::new(FORM, &Limits::default()).expect("a boundary");
    for piece in bytes.chunks(cut.max(1)) {
        form.feed(piece);
    }
    assert!(form.inspected() <= bytes.len() as u64);
    form.finish()
}

fn decode(coding: &[u8], bytes: &[u8], cut: usize) -> (Vec<u8>, Result<(), DecodeError>) {
    let mut decoder = Decoder::new(coding, &Limits::default()).expect("known").expect("one");
    let mut decoded = Vec::new();
    for piece in bytes.chunks(cut.max(1)) {
        if let Err(error) = decoder.feed(piece, &mut decoded) {
            return (decoded, Err(error));
        }
    }
    (decoded, decoder.finish())
}

/// A value: none of the transformations makes much more of it, and what leaves it as it is, or
/// has nothing in it to change, leaves the same bytes.
pub fn transformations(bytes: &[u8]) {
    for transformation in transform::NAMES.iter().filter_map(|(_, one)| *one) {
        check_transformation(transformation, bytes);
    }
}

fn check_transformation(transformation: Transformation, bytes: &[u8]) {
    let name = transformation.name();
    let made = transformation.apply(bytes);
    assert!(made.len() <= 6 * bytes.len() + 64, "{name} makes {} bytes", made.len());
    if let Cow::Borrowed(same) = &made {
        assert_eq!(*same, bytes, "{name} says that nothing changes");
    }
    if let Some(changes) = transformation.triggers()
        && !bytes.iter().any(|byte| changes(*byte))
    {
        assert_eq!(*made, *bytes, "{name} has nothing to change");
    }
}

/// An expression in the first line, and a value: it has what the expression needs if it matches,
/// and is not tried out for longer than it may be.
pub fn patterns(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (pattern, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let place = Place { file: Arc::from(Path::new("f")), line: 1, column: 1 };
    let pieces = match pattern {
        b"" => Vec::new(),
        pattern => vec![Piece::Text(pattern.to_vec())],
    };
    let argument = Template { place: place.clone(), pieces };
    let tree = parse::Operator { place, negated: false, name: OperatorName::Rx, argument };
    let mut known = Known::default();
    let mut compiler = Compiler::new(&NoFiles, &mut known);
    let Ok(operator) = Operator::compile(&tree, Groups::All, &mut compiler) else { return };
    let mut cache = Cache::new();
    let is_match = operator.is_match(value, b"", &mut cache);
    let effort = cache.forget_effort();
    let captures = operator.captures(value, b"", &mut cache);
    assert_eq!(captures.is_some(), is_match, "it matches, or it does not");
    assert_eq!(cache.forget_effort().steps, effort.steps, "it takes as long again");
    assert!(effort.steps <= 4_096 + 128 * value.len(), "{} steps", effort.steps);
    assert!(!is_match || operator.needs().are_met(value), "it needs {:?}", operator.needs());
    let groups = (0..10).map_while(|index| captures.as_ref()?.get(index, value));
    assert!(groups.map(<[u8]>::len).all(|length| length <= value.len()));
}

/// A small set of rules, with and without its shortcuts.
#[derive(Debug)]
pub struct Rules {
    quick: Arc<RuleSet>,
    plain: Arc<RuleSet>,
}

impl Rules {
    #[must_use]
    pub fn new() -> Self {
        let load = || {
            let mut reader = Reader::new(&NoFiles, &|_: &Fault| false);
            reader.text(Path::new("rules.conf"), RULES.as_bytes());
            let tree = reader.finish().expect("rules without a fault");
            RuleSet::compile(&tree, &NoFiles, &|_: &Fault| false).expect("rules without a fault")
        };
        Self { quick: Arc::new(load()), plain: Arc::new(load().without_shortcuts()) }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

/// A target, lines of header fields, an empty line, and a body: however it is cut, and with or
/// without shortcuts, rules say the same of it.
pub fn transaction(rules: &Rules, bytes: &[u8]) {
    let told = judge(&rules.quick, bytes, usize::MAX);
    let cut = bytes.first().map_or(1, |byte| usize::from(*byte) + 1);
    assert_eq!(judge(&rules.quick, bytes, cut), told, "the cut {cut} shows");
    assert_eq!(judge(&rules.plain, bytes, usize::MAX), told, "a shortcut shows");
}

fn judge(rules: &Arc<RuleSet>, bytes: &[u8], cut: usize) -> (Vec<Verdict>, Vec<Match>) {
    let end = memchr::memmem::find(bytes, b"\n\n").unwrap_or(bytes.len());
    let mut lines = bytes.get(..end).unwrap_or_default().split(|byte| *byte == b'\n');
    let body = bytes.get(end + 2..).unwrap_or_default();
    let target = lines.next().unwrap_or_default();
    let headers: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
        })
        .collect();
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Connection { client: address(1), server: address(2), id: b"1", time: 1 };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let head = RequestHead { method: b"POST", target, protocol: b"HTTP/1.1", headers: &headers };
    let mut verdicts = vec![transaction.request_head(&head)];
    for piece in body.chunks(cut.max(1)) {
        // Pieces after it is enough do no harm.
        transaction.request_body(piece);
    }
    verdicts.push(transaction.request_end());
    let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/html")];
    let head = ResponseHead { status: 200, protocol: b"HTTP/1.1", headers: &headers };
    verdicts.push(transaction.response_head(&head));
    for piece in body.chunks(cut.max(1)) {
        transaction.response_body(piece);
    }
    verdicts.push(transaction.response_end());
    transaction.finish();
    (verdicts, transaction.matches().to_vec())
}
