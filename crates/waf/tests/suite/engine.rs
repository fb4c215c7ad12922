//! The engine under test; all that the runner knows of it is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;

use tidegate_suite::case::Stage;
use tidegate_suite::exchange::{Exchange, Headers};
use tidegate_suite::outcome::{Outcome, Scores};
use tidegate_waf::parse::{Disk, Fault, Reader};
use tidegate_waf::{
    Connection, RefusalKind, RequestHead, ResponseHead, RuleSet, Transaction, Verdict,
};

use crate::rules::{KEEP_STATE, Setup, Source};

/// What a refusal without an answer counts as, and one by a budget, which is the proxy's to name.
const NO_STATUS: u16 = 0;

pub(crate) fn judge(setup: &Setup, stages: &[Stage]) -> Vec<Outcome> {
    let exchanges: Vec<&Exchange> = stages.iter().map(|stage| &stage.exchange).collect();
    judge_exchanges(setup, &exchanges)
}

pub(crate) fn judge_exchanges(setup: &Setup, exchanges: &[&Exchange]) -> Vec<Outcome> {
    let rules = Arc::new(load(setup));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = exchanges.len().div_ceil(threads).max(1);
    let work = &|part: &[&Exchange]| -> Vec<Outcome> {
        part.iter().map(|exchange| judge_one(&rules, &setup.scores, exchange)).collect()
    };
    std::thread::scope(|scope| {
        let start = |part| scope.spawn(move || work(part));
        let parts: Vec<_> = exchanges.chunks(share).map(start).collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

fn load(setup: &Setup) -> RuleSet {
    let skips = |fault: &Fault| fault.rule.is_some_and(|rule| KEEP_STATE.contains(&rule.0));
    let mut reader = Reader::new(&Disk, &skips);
    for source in &setup.sources {
        match source {
            Source::Text(text) => reader.text(Path::new("suite.conf"), text.as_bytes()),
            Source::File(path) => reader.file(path),
        }
    }
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skips).unwrap_or_else(|faults| panic!("{faults}"))
}

fn judge_one(rules: &Arc<RuleSet>, scores: &Scores, exchange: &Exchange) -> Outcome {
    let connection = Connection {
        client: SocketAddr::from((Ipv4Addr::LOCALHOST, 40000)),
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        id: b"suite",
        time: 0,
    };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let refused = exchanged(&mut transaction, exchange).err();
    transaction.finish();
    let logged = || transaction.matches().iter().filter(|found| found.is_logged);
    Outcome {
        logged: logged().map(|found| found.id.0).collect(),
        lines: logged().map(|found| line(found.id.0, &found.message, &found.data)).collect(),
        status: refused.unwrap_or(exchange.response.status),
        is_refused: refused.is_some(),
        scores: scores.map(|name| (name, transaction.tx_number(name).unwrap_or(0))).to_vec(),
    }
}

/// The phases in their order, up to the one that refuses; what it refuses with.
fn exchanged(transaction: &mut Transaction, exchange: &Exchange) -> Result<(), u16> {
    let headers = borrowed(&exchange.headers);
    let head = RequestHead {
        method: &exchange.method,
        target: &exchange.target,
        protocol: &exchange.protocol,
        headers: &headers,
    };
    passed(transaction.request_head(&head))?;
    // Whether more is wanted is a question of who holds the body: here it is all there.
    if !exchange.body.is_empty() {
        let _wanted = transaction.request_body(&exchange.body);
    }
    passed(transaction.request_end())?;
    let response = &exchange.response;
    let headers = borrowed(&response.headers);
    let head = ResponseHead { status: response.status, protocol: b"HTTP/1.1", headers: &headers };
    passed(transaction.response_head(&head))?;
    if !response.body.is_empty() {
        let _wanted = transaction.response_body(&response.body);
    }
    passed(transaction.response_end())
}

fn passed(verdict: Verdict) -> Result<(), u16> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Refuse(refusal) => Err(match refusal.kind {
            RefusalKind::Status(status) | RefusalKind::Redirect { status, .. } => status,
            RefusalKind::Drop => NO_STATUS,
        }),
        Verdict::Exceeded(_) => Err(NO_STATUS),
    }
}

fn borrowed(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

/// As the logs of ModSecurity have it, which patterns of tests are written for.
fn line(id: u32, message: &[u8], data: &[u8]) -> Vec<u8> {
    let (message, data) = (printable(message), printable(data));
    format!("[id \"{id}\"] [msg \"{message}\"] [data \"{data}\"]").into_bytes()
}

fn printable(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        match byte {
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
        text
    })
}
