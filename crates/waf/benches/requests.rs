//! What does one request cost under the Core Rule Set at paranoia level 1?
//!
//! Ordinary requests and one attack, in one thread and without a network; the rules are those of
//! the directory in TIDEGATE_CRS, else those beside the project. Microseconds, medians of
//! interleaved rounds; time of the processor, since others may use the machine.
//!
//!     cargo bench -p tidegate-waf --bench requests [-- PART OF A NAME]

#![expect(clippy::print_stdout, reason = "a bench prints what it found")]

mod clock;
mod core_rules;

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tidegate_waf::{Connection, RequestHead, RuleSet, Transaction, Verdict};

use crate::clock::cpu;

#[global_allocator]
static ALLOCATOR: tidegate_memory::Allocator = tidegate_memory::Allocator;

const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(60);

struct Request {
    name: &'static str,
    method: &'static str,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_refused: bool,
}

fn main() {
    let Some(crs) = core_rules::find() else { return };
    let (started, before) = (cpu(), resident());
    let rules = Arc::new(core_rules::load(&crs, ""));
    let (time, bytes) = ((cpu() - started).as_millis(), resident().saturating_sub(before));
    println!("{} rules, loaded in {time} ms and {} MiB", rules.len(), bytes >> 20);
    let wanted = std::env::args().skip(1).find(|word| !word.starts_with('-')).unwrap_or_default();
    let requests: Vec<_> =
        requests().into_iter().filter(|request| request.name.contains(&wanted)).collect();
    let mut times = vec![Vec::new(); requests.len()];
    for _ in 0..ROUNDS {
        for (request, times) in requests.iter().zip(&mut times) {
            times.push(round(&rules, request));
        }
    }
    println!("| request | us |\n|---|---:|");
    for (request, times) in requests.iter().zip(&mut times) {
        times.sort_by(f64::total_cmp);
        println!("| {} | {:.1} |", request.name, times[times.len() / 2]);
    }
}

/// Bytes of memory that this process has, with what loading took and gave back.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

fn round(rules: &Arc<RuleSet>, request: &Request) -> f64 {
    let (mut runs, started) = (0_u32, cpu());
    while cpu() - started < ROUND {
        for _ in 0..10 {
            assert_eq!(run(rules, request), request.is_refused, "{}", request.name);
        }
        runs += 10;
    }
    (cpu() - started).as_secs_f64() * 1e6 / f64::from(runs)
}

fn run(rules: &Arc<RuleSet>, request: &Request) -> bool {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let headers: Vec<_> =
        request.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let head = RequestHead {
        method: request.method.as_bytes(),
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
    };
    let mut verdict = transaction.request_head(&head);
    if verdict == Verdict::Pass {
        if !request.body.is_empty() {
            transaction.request_body(&request.body);
        }
        verdict = transaction.request_end();
    }
    transaction.finish();
    black_box(transaction.matches().len());
    verdict != Verdict::Pass
}

fn requests() -> Vec<Request> {
    let base = [("Host", "www.example.com"), ("User-Agent", FIREFOX), ("Accept", "*/*")];
    let with = |more: &[(&str, &str)]| -> Vec<(String, String)> {
        let all = base.iter().chain(more);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let get = |name, target: &str, headers| Request {
        name,
        method: "GET",
        target: target.to_owned(),
        headers,
        body: Vec::new(),
        is_refused: false,
    };
    let post = |name, media_type: &str, body: &str| Request {
        name,
        method: "POST",
        target: "/account/profile".to_owned(),
        headers: with(&[("Content-Type", media_type), ("Content-Length", &body.len().to_string())]),
        body: body.as_bytes().to_vec(),
        is_refused: false,
    };
    let form = "application/x-www-form-urlencoded";
    vec![
        get("GET static css", "/static/css/main.4f2a.css", with(&[])),
        get("GET simple, 2 args", "/search?q=running+shoes&page=2", with(&[])),
        get(
            "GET API, 4 args + bearer",
            "/api/v2/orders?limit=50&offset=100&sort=created_at&status=open",
            with(&[("Authorization", BEARER), ("Accept-Encoding", "gzip")]),
        ),
        get(
            "GET browser, 9 headers, 3 cookies, 3 args",
            "/catalog/shoes?color=dark+blue&size=42&ref=newsletter-2024",
            with(&[
                ("Accept-Language", "en-GB,en;q=0.7,de;q=0.3"),
                ("Accept-Encoding", "gzip, deflate, br"),
                ("Referer", "https://www.example.com/catalog?page=1"),
                ("Connection", "keep-alive"),
                ("Cookie", "session=f3a9c1d27b5e4a60; theme=light; cart=1884-22"),
                ("Upgrade-Insecure-Requests", "1"),
            ]),
        ),
        post("POST form, 8 args, 133 B", form, FORM),
        post(
            "POST 10 KB form value",
            form,
            &format!("text={}", PROSE.repeat(10_240 / PROSE.len())),
        ),
        post("POST JSON, 20 values", "application/json", JSON),
        Request {
            is_refused: true,
            ..get(
                "GET SQLi (blocked)",
                "/item?id=1%27%20UNION%20SELECT%20password%20FROM%20users--%20",
                with(&[]),
            )
        },
    ]
}

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const BEARER: &str = "Bearer eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln";
const FORM: &str = "first=Anna&last=Schmidt&street=Hauptstrasse+12&city=Berlin&zip=10115&country=DE\
    &email=anna%40example.com&note=please+ring+twice";
const PROSE: &str = "The+ferry+leaves+at+nine+and+takes+about+two+hours.+Bring+warm+clothes%2C+since+\
    it+is+windy+on+deck%2C+and+something+to+read.+";
const JSON: &str = r#"{"order":{"id":18842,"currency":"EUR","lines":[{"sku":"A-1","count":2,"price":19.9},
{"sku":"B-7","count":1,"price":149.0},{"sku":"C-3","count":12,"price":0.75}],"ship_to":{"name":
"Anna Schmidt","street":"Hauptstrasse 12","city":"Berlin"},"gift":false,"note":"please ring twice"}}"#;
