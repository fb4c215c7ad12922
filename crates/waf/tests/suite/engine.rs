//! The engine under test; all that the runner knows of it is here.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tidegate_waf::parse::{Disk, Fault, Problem, Reader};
use tidegate_waf::{
    Connection, RefusalKind, RequestHead, ResponseHead, RuleSet, Transaction, Verdict,
};

use crate::case::Stage;
use crate::exchange::{Exchange, Headers};
use crate::outcome::{Outcome, SCORES};
use crate::rules::{Setup, Source};

/// Rules that only act with collections which last; the tests have none.
const WITHOUT: [u32; 1] = [901_320];

pub(crate) fn judge(setup: &Setup, stages: &[Stage]) -> Option<Vec<Outcome>> {
    let rules = Arc::new(load(setup));
    Some(stages.iter().map(|stage| run(&rules, &stage.exchange)).collect())
}

fn load(setup: &Setup) -> RuleSet {
    let skip = |fault: &Fault| {
        let is_known = fault.rule.is_some_and(|id| WITHOUT.contains(&id.0));
        is_known && matches!(fault.problem, Problem::Refused { .. })
    };
    let mut reader = Reader::new(&Disk, &skip);
    for source in &setup.sources {
        match source {
            Source::Text(text) => reader.text("inline".as_ref(), text.as_bytes()),
            Source::File(path) => reader.file(path),
        }
    }
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"))
}

fn run(rules: &Arc<RuleSet>, exchange: &Exchange) -> Outcome {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let refused = exchange_under(&mut transaction, exchange);
    transaction.finish();
    let mut outcome = Outcome {
        status: refused.unwrap_or(exchange.response.status),
        is_refused: refused.is_some(),
        scores: SCORES.map(|name| transaction.tx_number(name).unwrap_or(0)),
        ..Outcome::default()
    };
    for one in transaction.matches().iter().filter(|one| one.is_logged) {
        outcome.logged.push(one.id.0);
        let (message, data) = (printable(&one.message), printable(&one.data));
        let line = format!("[id \"{}\"] [msg \"{message}\"] [data \"{data}\"]", one.id);
        outcome.lines.push(line.into_bytes());
    }
    outcome
}

/// As it stands in a line of a log.
fn printable(text: &[u8]) -> String {
    text.iter().fold(String::new(), |mut line, byte| {
        match byte {
            b' '..=b'~' => line.push(char::from(*byte)),
            _ => line.push_str(&format!("\\x{byte:02x}")),
        }
        line
    })
}

/// The status of a refusal, if there is one.
fn exchange_under(transaction: &mut Transaction, exchange: &Exchange) -> Option<u16> {
    let sent = pairs(&exchange.headers);
    let head = RequestHead {
        method: &exchange.method,
        target: &exchange.target,
        protocol: &exchange.protocol,
        headers: &sent,
    };
    if let Some(status) = status(transaction.request_head(&head)) {
        return Some(status);
    }
    transaction.request_body(&exchange.body);
    if let Some(status) = status(transaction.request_end()) {
        return Some(status);
    }
    let response = &exchange.response;
    let sent = pairs(&response.headers);
    let head =
        ResponseHead { status: response.status, protocol: &exchange.protocol, headers: &sent };
    if let Some(status) = status(transaction.response_head(&head)) {
        return Some(status);
    }
    transaction.response_body(&response.body);
    status(transaction.response_end())
}

fn pairs(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (name.as_slice(), value.as_slice())).collect()
}

fn status(verdict: Verdict) -> Option<u16> {
    match verdict {
        Verdict::Pass => None,
        Verdict::Refuse(refusal) => match refusal.kind {
            RefusalKind::Status(status) | RefusalKind::Redirect { status, .. } => Some(status),
            RefusalKind::Drop => Some(0),
        },
        Verdict::Exceeded(overrun) => panic!("{overrun}"),
    }
}
