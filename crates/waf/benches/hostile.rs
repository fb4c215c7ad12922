//! What does a byte cost that was made to cost much?
//!
//! Bodies from 1 to 128 KiB under the Core Rule Set at paranoia level 1, in one thread, with the
//! budgets that ship. Nanoseconds of the processor for each byte: where they do not grow with the
//! size, the time is linear. The last columns are of the largest body: how many of its bytes the
//! rules were shown, how many rules had to be looked at, and what became of it. A body that was
//! not shown as a whole, and of which nobody was told, fails the bench.
//!
//!     cargo bench -p tidegate-waf --bench hostile [-- PART OF A NAME]

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use tidegate_waf::parse::{Disk, Fault, Reader};
use tidegate_waf::{Connection, RequestHead, RuleSet, Transaction, Verdict};

const KIB: [usize; 5] = [1, 4, 16, 64, 127];
const ROUNDS: usize = 3;
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=b";

struct Case {
    name: &'static str,
    media_type: &'static str,
    /// A body of about so many bytes.
    body: fn(usize) -> Vec<u8>,
}

struct Cost {
    nanoseconds: f64,
    inspected: u64,
    evaluated: usize,
    verdict: Verdict,
}

fn main() -> ExitCode {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let crs = std::env::var_os("TIDEGATE_CRS").map_or(beside, PathBuf::from);
    if !crs.is_dir() {
        println!("no CRS in {}: not run", crs.display());
        return ExitCode::SUCCESS;
    }
    let rules = Arc::new(load(&crs));
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let sizes = KIB.map(|kib| format!("{kib} KiB")).join(" | ");
    println!("| ns/byte | {sizes} | inspected | rules | verdict |");
    println!("|---|{}", "---:|".repeat(KIB.len() + 3));
    let mut is_whole = true;
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        let mut costs = Vec::new();
        let mut last = None;
        for kib in KIB {
            let body = (case.body)(kib << 10);
            let cost = cheapest(&rules, case, &body);
            let told = matches!(cost.verdict, Verdict::Exceeded(_));
            is_whole &= told || cost.inspected == body.len() as u64;
            costs.push(format!("{:.0}", cost.nanoseconds / body.len() as f64));
            last = Some(format!(
                "{} of {} | {} | {}",
                cost.inspected,
                body.len(),
                cost.evaluated,
                match cost.verdict {
                    Verdict::Pass => "pass".to_owned(),
                    Verdict::Refuse(refusal) => format!("refused by {}", refusal.rule.0),
                    Verdict::Exceeded(overrun) => overrun.to_string(),
                }
            ));
        }
        println!("| {} | {} | {} |", case.name, costs.join(" | "), last.unwrap_or_default());
    }
    if is_whole {
        return ExitCode::SUCCESS;
    }
    println!("a body was not inspected as a whole, and nobody was told");
    ExitCode::FAILURE
}

fn load(crs: &Path) -> RuleSet {
    let skip = |fault: &Fault| fault.rule.is_some_and(|id| id.0 == 901_320);
    let mut reader = Reader::new(&Disk, &skip);
    let text = "SecRuleEngine On\nSecRequestBodyNoFilesLimit 131072\n\
        Include crs-setup.conf.example\nInclude rules/*.conf\n";
    reader.text(&crs.join("all.conf"), text.as_bytes());
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"))
}

/// What this thread has used.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn cheapest(rules: &Arc<RuleSet>, case: &Case, body: &[u8]) -> Cost {
    let mut best = run(rules, case, body);
    for _ in 1..ROUNDS {
        let cost = run(rules, case, body);
        if cost.nanoseconds < best.nanoseconds {
            best = cost;
        }
    }
    best
}

fn run(rules: &Arc<RuleSet>, case: &Case, body: &[u8]) -> Cost {
    let started = cpu();
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let length = body.len().to_string();
    let headers: [(&[u8], &[u8]); 5] = [
        (b"Host", b"www.example.com"),
        (b"User-Agent", b"Mozilla/5.0"),
        (b"Accept", b"*/*"),
        (b"Content-Type", case.media_type.as_bytes()),
        (b"Content-Length", length.as_bytes()),
    ];
    let head =
        RequestHead { method: b"POST", target: b"/", protocol: b"HTTP/1.1", headers: &headers };
    let mut verdict = transaction.request_head(&head);
    transaction.request_body(body);
    let inspected = transaction.inspected_bytes();
    if verdict == Verdict::Pass {
        verdict = transaction.request_end();
    }
    transaction.finish();
    let nanoseconds = (cpu() - started).as_secs_f64() * 1e9;
    Cost { nanoseconds, inspected, evaluated: transaction.evaluated_rules(), verdict }
}

fn value(text: &str, bytes: usize) -> Vec<u8> {
    format!("a={}", text.repeat(bytes / text.len())).into_bytes()
}

/// Numbers that are the same in every run (xorshift64*).
fn printable(bytes: usize) -> Vec<u8> {
    let mut state = 0x5eed_f00d_u64;
    let mut text = b"a=".to_vec();
    while text.len() < bytes {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let byte = b' ' + ((state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % 95) as u8;
        text.push(if b"&=%+".contains(&byte) { b'_' } else { byte });
    }
    text
}

fn arguments(bytes: usize) -> Vec<u8> {
    let each = (bytes / 1000).max(8);
    let pairs = (0..bytes / each)
        .map(|number| format!("{:a<1$}", format!("n{number}=v{number}"), each - 1));
    pairs.collect::<Vec<_>>().join("&").into_bytes()
}

fn deep(bytes: usize) -> Vec<u8> {
    let depth = 400.min(bytes / 8);
    let open = "{\"a\":".repeat(depth);
    let text = "x".repeat(bytes.saturating_sub(depth * 6));
    format!("{open}\"{text}\"{}", "}".repeat(depth)).into_bytes()
}

/// The name of each value has the names of all objects around it.
fn long_names(bytes: usize) -> Vec<u8> {
    let count = 400.min(bytes / 64).max(1);
    let name = "n".repeat(bytes / count - 11);
    let open: String = (0..count).map(|_| format!("{{\"b\":1,\"{name}\":")).collect();
    format!("{open}1{}", "}".repeat(count)).into_bytes()
}

fn parts(bytes: usize) -> Vec<u8> {
    let count = 1000.min(bytes / 64).max(1);
    let text = "x".repeat((bytes / count).saturating_sub(62));
    let part = |number: usize| {
        format!("--b\r\nContent-Disposition: form-data; name=\"f{number}\"\r\n\r\n{text}\r\n")
    };
    let all: String = (0..count).map(part).collect();
    format!("{all}--b--\r\n").into_bytes()
}

const CASES: [Case; 30] = [
    Case { name: "random printable", media_type: FORM, body: printable },
    Case { name: "aaaa", media_type: FORM, body: |bytes| value("a", bytes) },
    Case { name: "1000 arguments", media_type: FORM, body: arguments },
    Case { name: "JSON 400 deep", media_type: JSON, body: deep },
    Case { name: "JSON long names", media_type: JSON, body: long_names },
    Case { name: "1000 parts", media_type: PARTS, body: parts },
    Case { name: "<<<", media_type: FORM, body: |bytes| value("<", bytes) },
    Case { name: "||", media_type: FORM, body: |bytes| value("|", bytes) },
    Case { name: "a.a.", media_type: FORM, body: |bytes| value("a.", bytes) },
    Case { name: "'''", media_type: FORM, body: |bytes| value("'", bytes) },
    Case { name: "(((", media_type: FORM, body: |bytes| value("(", bytes) },
    Case { name: "/*", media_type: FORM, body: |bytes| value("/*", bytes) },
    Case { name: "1 or ", media_type: FORM, body: |bytes| value("1+or+", bytes) },
    Case { name: "a b ", media_type: FORM, body: |bytes| value("ab+", bytes) },
    Case { name: "-a+b", media_type: FORM, body: |bytes| value("-1%2b", bytes) },
    Case { name: "%25%25", media_type: FORM, body: |bytes| value("%25", bytes) },
    Case { name: "\\u0061", media_type: FORM, body: |bytes| value("\\u0061", bytes) },
    Case { name: "&lt;", media_type: FORM, body: |bytes| value("%26lt;", bytes) },
    Case { name: "<a b=c ", media_type: FORM, body: |bytes| value("<a+b%3dc+", bytes) },
    Case { name: "<!--", media_type: FORM, body: |bytes| value("<!--", bytes) },
    Case { name: "</a ", media_type: FORM, body: |bytes| value("</a+", bytes) },
    Case { name: "--", media_type: FORM, body: |bytes| value("--", bytes) },
    Case { name: "# ;", media_type: FORM, body: |bytes| value("%23+;", bytes) },
    Case { name: "@a", media_type: FORM, body: |bytes| value("@a", bytes) },
    Case { name: "a`", media_type: FORM, body: |bytes| value("a`", bytes) },
    Case { name: "0x1 ", media_type: FORM, body: |bytes| value("0x1+", bytes) },
    Case { name: "1.e", media_type: FORM, body: |bytes| value("1.e", bytes) },
    Case { name: "{[", media_type: FORM, body: |bytes| value("{[", bytes) },
    Case { name: "= =", media_type: FORM, body: |bytes| value("%3d+", bytes) },
    Case { name: "../", media_type: FORM, body: |bytes| value("..%2f", bytes) },
];
