//! Judges requests as `scripts/waf/oracle.cpp` does by libmodsecurity: the same arguments, the
//! same lines in and out, so that `scripts/waf/bench.py --judge` can have both side by side.

#![expect(clippy::print_stdout, reason = "answers are lines of JSON")]

use std::error::Error;
use std::io::BufRead;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Map, Value, json};

use tidegate_waf::parse::{Disk, Fault, Reader};
use tidegate_waf::{
    Connection, Refusal, RefusalKind, RequestHead, ResponseHead, RuleSet, Transaction, Verdict,
};

/// The one rule of CRS with initcol, which is off unless a setting asks for it.
const KEEPS_STATE: u32 = 901_320;

type Headers = Vec<(Vec<u8>, Vec<u8>)>;

fn main() -> Result<(), Box<dyn Error>> {
    let mut tx = Vec::new();
    let rules = Arc::new(load(&mut tx)?);
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        println!("{}", answer(&rules, &request, &tx));
    }
    Ok(())
}

fn load(tx: &mut Vec<String>) -> Result<RuleSet, Box<dyn Error>> {
    let skips = |fault: &Fault| fault.rule.is_some_and(|rule| rule.0 == KEEPS_STATE);
    let mut reader = Reader::new(&Disk, &skips);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--lines" => {}
            "--tx" => tx.extend(arguments.next()),
            "--inline" => {
                let text = arguments.next().unwrap_or_default();
                reader.text(Path::new("inline"), text.as_bytes());
            }
            file => reader.file(Path::new(file)),
        }
    }
    let tree = reader.finish().map_err(|faults| faults.to_string())?;
    Ok(RuleSet::compile(&tree, &Disk, &skips).map_err(|faults| faults.to_string())?)
}

fn answer(rules: &Arc<RuleSet>, request: &Value, tx: &[String]) -> Value {
    let [method, target, body] = ["method", "target", "body"].map(|key| bytes(&request[key]));
    let protocol = match &request["protocol"] {
        Value::Null => b"HTTP/1.1".to_vec(),
        given => bytes(given),
    };
    let headers = headers(&request["headers"]);
    let headers = borrowed(&headers);
    let head =
        RequestHead { method: &method, target: &target, protocol: &protocol, headers: &headers };
    let connection = Connection {
        client: SocketAddr::from((Ipv4Addr::LOCALHOST, 40000)),
        server: SocketAddr::from((Ipv4Addr::LOCALHOST, 80)),
        id: b"judge",
        time: 0,
    };
    let before = cpu_ns();
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let refused = judge(&mut transaction, &head, &body, &request["response"]).err();
    transaction.finish();
    let mut spent = cpu_ns() - before;
    let logged = transaction.matches().iter().filter(|found| found.is_logged);
    let logged: Vec<u32> = logged.map(|found| found.id.0).collect();
    let set = tx.iter().filter_map(|name| Some((name.clone(), transaction.tx_number(name)?)));
    let set: Map<String, Value> = set.map(|(name, it)| (name, json!(it.to_string()))).collect();
    let before = cpu_ns();
    drop(transaction);
    spent += cpu_ns() - before;
    json!({ "logged": logged, "tx": set, "refused": refused, "cpu_ns": spent })
}

/// What refuses it, if anything does.
fn judge(
    transaction: &mut Transaction,
    head: &RequestHead<'_>,
    body: &[u8],
    response: &Value,
) -> Result<(), Value> {
    passed(transaction.request_head(head))?;
    let _wanted = transaction.request_body(body);
    passed(transaction.request_end())?;
    if response.is_null() {
        return Ok(());
    }
    let headers = headers(&response["headers"]);
    let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok());
    passed(transaction.response_head(&ResponseHead {
        status: status.unwrap_or(200),
        protocol: b"HTTP/1.1",
        headers: &borrowed(&headers),
    }))?;
    let _wanted = transaction.response_body(&bytes(&response["body"]));
    passed(transaction.response_end())
}

fn passed(verdict: Verdict) -> Result<(), Value> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Refuse(Refusal { rule, kind, .. }) => {
            let status = match kind {
                RefusalKind::Status(status) | RefusalKind::Redirect { status, .. } => status,
                RefusalKind::Drop => 0,
            };
            Err(json!({ "status": status, "rule": rule.0 }))
        }
        Verdict::Exceeded(overrun) => Err(json!({ "status": 0, "overrun": overrun.to_string() })),
    }
}

fn headers(value: &Value) -> Headers {
    let pairs = value.as_array().into_iter().flatten();
    pairs.map(|pair| (bytes(&pair[0]), bytes(&pair[1]))).collect()
}

fn borrowed(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn bytes(value: &Value) -> Vec<u8> {
    match (value.as_str(), value["base64"].as_str()) {
        (Some(text), _) => text.as_bytes().to_vec(),
        (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
        (None, None) => Vec::new(),
    }
}

fn cpu_ns() -> i64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}
