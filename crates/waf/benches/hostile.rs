//! What does a byte cost that was made to cost much?
//!
//! Bodies from 1 to 128 KiB under the Core Rule Set at paranoia level 1, in one thread, with the
//! budgets that ship. Nanoseconds of the processor for each byte, beyond what the same request
//! costs without a body; the last columns are of the largest: how many of its bytes the rules were
//! shown, how many rules had to be looked at, and what became of it. It fails
//!
//! * where the rules were shown less than they were given, and no verdict says so;
//! * where a byte of a larger body costs more than GROWTH times that of a smaller one, which tells
//!   what is not linear by far: between 1 and 128 KiB a square grows by 128;
//! * where a byte costs more than FACTOR times the target of TARGET nanoseconds on a machine of
//!   3 GHz. It is counted in steps of a yardstick, which multiplies, looks into a table and branches
//!   by chance, and is measured in the same moments, so that a slow or busy machine makes no
//!   difference; on that one a step takes STEP nanoseconds.
//!
//!     cargo bench -p tidegate-waf --bench hostile [-- PART OF A NAME]

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod clock;
mod core_rules;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;

use tidegate_waf::{Connection, RequestHead, RuleSet, Transaction, Verdict};

use crate::clock::cpu;

#[global_allocator]
static ALLOCATOR: tidegate_memory::Allocator = tidegate_memory::Allocator;

const KIB: [usize; 5] = [1, 4, 16, 64, 128];
const ROUNDS: usize = 5;
const TARGET: f64 = 100.0;
const STEP: f64 = 3.1;
const FACTOR: f64 = 4.0;
const GROWTH: f64 = 3.0;
/// Below so many steps for a byte, growth is noise.
const NOISE: f64 = 8.0;
/// Cases that are named again at the end.
const WORST: usize = 6;
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=b";

struct Case {
    name: &'static str,
    media_type: &'static str,
    /// A body of at most so many bytes.
    body: fn(usize) -> Vec<u8>,
}

struct Cost {
    nanoseconds: f64,
    inspected: u64,
    evaluated: usize,
    verdict: Verdict,
}

fn main() -> ExitCode {
    let Some(crs) = core_rules::find() else { return ExitCode::SUCCESS };
    let rules = Arc::new(core_rules::load(&crs, ""));
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let sizes = KIB.map(|kib| format!("{kib} KiB")).join(" | ");
    println!("| ns/byte | {sizes} | most steps | inspected | rules | verdict |");
    println!("|---|{}", "---:|".repeat(KIB.len() + 4));
    let (mut faults, mut worst) = (Vec::new(), Vec::new());
    for case in CASES.iter().filter(|case| case.name.contains(&wanted)) {
        let bytes = measure(&rules, case);
        let steps = bytes.iter().map(|byte| byte.steps).fold(0.0, f64::max);
        worst.push((steps * STEP, case.name));
        check(case.name, &bytes, &mut faults);
        print_row(case.name, &bytes);
    }
    worst.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    println!("\nThe worst, in ns/byte on a machine of 3 GHz, of which {TARGET} are wanted:");
    for (nanoseconds, name) in worst.iter().take(WORST) {
        println!("{nanoseconds:.0} {name}");
    }
    for fault in &faults {
        println!("{fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a byte of one body costs.
struct Byte {
    given: usize,
    nanoseconds: f64,
    steps: f64,
    last: Cost,
}

fn measure(rules: &Arc<RuleSet>, case: &Case) -> Vec<Byte> {
    let nothing = (0..ROUNDS).map(|_| times(rules, case, &[], 16).nanoseconds);
    let nothing = nothing.fold(f64::INFINITY, f64::min);
    let each = |kib: usize| {
        let body = (case.body)(kib << 10);
        let (mut nanoseconds, mut steps) = (f64::INFINITY, f64::INFINITY);
        let mut last = run(rules, case, &body);
        for _ in 0..ROUNDS {
            let before = yardstick();
            last = times(rules, case, &body, (16 / kib).max(1));
            let each = (last.nanoseconds - nothing).max(0.0) / body.len() as f64;
            nanoseconds = nanoseconds.min(each);
            // The machine may have become slower or faster between the two.
            steps = steps.min(each / before.max(yardstick()));
        }
        Byte { given: body.len(), nanoseconds, steps, last }
    };
    KIB.map(each).into()
}

fn check(name: &str, bytes: &[Byte], faults: &mut Vec<String>) {
    for Byte { given, steps, last, .. } in bytes {
        let is_told = matches!(last.verdict, Verdict::Exceeded(_));
        if !is_told && last.inspected != *given as u64 {
            faults.push(format!("{name}: {} of {given} bytes inspected", last.inspected));
        }
        if steps * STEP > FACTOR * TARGET {
            faults.push(format!("{name}: {steps:.0} steps for a byte of {given}"));
        }
    }
    for (place, smaller) in bytes.iter().enumerate() {
        for larger in bytes.iter().skip(place + 1) {
            let (before, after) = (smaller.steps, larger.steps);
            if after > GROWTH * before.max(NOISE) {
                faults.push(format!("{name}: grows from {before:.0} to {after:.0} steps a byte"));
            }
        }
    }
}

fn print_row(name: &str, bytes: &[Byte]) {
    let Some(Byte { given, last, .. }) = bytes.last() else { return };
    let Cost { inspected, evaluated, verdict, .. } = last;
    let row = bytes.iter().map(|byte| format!("{:.0} | ", byte.nanoseconds)).collect::<String>();
    let steps = bytes.iter().map(|byte| byte.steps).fold(0.0, f64::max);
    let verdict = match verdict {
        Verdict::Pass => "pass".to_owned(),
        Verdict::Refuse(refusal) => format!("refused by {}", refusal.rule.0),
        Verdict::Exceeded(overrun) => overrun.to_string(),
    };
    println!("| {name} | {row}{steps:.0} | {inspected} of {given} | {evaluated} | {verdict} |");
}

/// Nanoseconds of a step that hashes a byte and, by the hash, does something or not.
fn yardstick() -> f64 {
    const BYTES: usize = 1 << 18;
    const PLACES: usize = 1 << 16;
    let text = black_box(vec![b'a'; BYTES]);
    let table: Vec<bool> = black_box((0..PLACES).map(|place| place % 8 == 0).collect());
    let started = cpu();
    let (mut hash, mut sum) = (0xcbf2_9ce4_8422_2325_u64, 0_u64);
    for byte in &text {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        if table.get((hash >> 48) as usize) == Some(&true) {
            sum = black_box(sum ^ hash);
        }
    }
    black_box(sum);
    (cpu() - started).as_secs_f64() * 1e9 / BYTES as f64
}

/// The mean of so many transactions.
fn times(rules: &Arc<RuleSet>, case: &Case, body: &[u8], times: usize) -> Cost {
    let mut cost = run(rules, case, body);
    for _ in 1..times {
        cost.nanoseconds += run(rules, case, body).nanoseconds;
    }
    cost.nanoseconds /= times as f64;
    cost
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
    format!("a={}", text.repeat((bytes - 2) / text.len())).into_bytes()
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
    let text = "x".repeat(bytes.saturating_sub(depth * 6 + 2));
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

/// A tag whose name has nothing but zeros in it.
fn zeros(bytes: usize) -> Vec<u8> {
    format!("{{\"a\":\"<a on{}=1\"}}", "\\u0000".repeat((bytes - 20) / 6)).into_bytes()
}

/// They open the gate for most of the rules.
const WORDS: &str = "select+union+from+where+script+alert+eval+system+exec+php+etc+passwd+cmd+bash+\
    sleep+waitfor+onload+javascript+document+cookie+process+require+runtime+class+ldap+jndi+nslookup+\
    curl+wget+powershell+import+echo+print+include+http+file+data+like+having+order+group+insert+";

const CASES: [Case; 34] = [
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
    Case { name: "is.is.", media_type: FORM, body: |bytes| value("is.", bytes) },
    Case { name: "a=<a on", media_type: FORM, body: |bytes| value("<a+onab%3d1+", bytes) },
    Case { name: "words of attacks", media_type: FORM, body: |bytes| value(WORDS, bytes) },
    Case { name: "JSON \\u0000", media_type: JSON, body: zeros },
    Case { name: "../", media_type: FORM, body: |bytes| value("..%2f", bytes) },
];
