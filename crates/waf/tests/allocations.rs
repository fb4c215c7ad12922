//! How much memory rules take, and one transaction beside the space that transactions leave to each
//! other.
//!
//! A transaction keeps its body once more while it comes in; all else is to stay within a few KiB,
//! however large the rule set is.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]
#![expect(clippy::print_stdout, reason = "what was counted is told")]

#[path = "../benches/core_rules/mod.rs"]
mod core_rules;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use tidegate_suite::case;
use tidegate_suite::exchange::{Exchange, Headers};
use tidegate_waf::{Connection, RequestHead, ResponseHead, RuleSet, Transaction, Verdict};

/// What the Core Rule Set may hold once it is loaded, with nothing left of loading it.
const LOADED: isize = 11 << 20;
/// The same after ordinary requests in two threads, and after every test of it.
const WARM: isize = 16 << 20;
const HOT: isize = 32 << 20;
const THREADS: usize = 2;
/// So that every rule runs, and none ends a transaction.
const ALL_RULES: &str = "SecRuleEngine DetectionOnly\nSecResponseBodyAccess On\nSecAction \
    \"id:900005,phase:1,pass,nolog,t:none,setvar:tx.blocking_paranoia_level=4\"";
/// What a transaction may hold at once beyond its body.
const HELD: isize = 8 << 10;
/// Transactions that come before the one that is counted, and leave their space to it.
const BEFORE: usize = 20;

#[derive(Clone, Copy, Default)]
struct Count {
    /// Bytes that are held now, and the most that were.
    held: isize,
    most: isize,
    /// Bytes and allocations, also of what is freed by now.
    bytes: usize,
    times: usize,
}

impl Count {
    fn add(mut self, taken: usize, given: usize) -> Self {
        self.held += taken as isize - given as isize;
        self.most = self.most.max(self.held);
        self.bytes += taken.saturating_sub(given);
        self.times += usize::from(taken > 0);
        self
    }
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { held: 0, most: 0, bytes: 0, times: 0 }) };
}

/// The system's allocator, which notes what each thread asks for.
struct Counting;

// SAFETY: every call is handed to the system's allocator as it is; a thread-local Cell of plain
// numbers needs no allocation and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get().add(layout.size(), 0));
        // SAFETY: the caller's promises are those that the system asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        COUNT.set(COUNT.get().add(0, layout.size()));
        // SAFETY: the memory came from the same allocator with this layout.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get().add(size, layout.size()));
        // SAFETY: the memory came from the same allocator with this layout.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Request {
    name: &'static str,
    target: &'static str,
    media_type: Option<&'static str>,
    body: Vec<u8>,
}

#[test]
fn a_rule_set_holds_no_more_than_is_promised() {
    let (Some(crs), Some(_)) = (core_rules::find(), tidegate_suite::crs()) else { return };
    let stages = case::read(&crs.join("tests/regression"));
    COUNT.set(Count::default());
    let rules = Arc::new(core_rules::load(&crs, ALL_RULES));
    let Count { held: loaded, most, .. } = COUNT.replace(Count::default());
    let work = || {
        requests().iter().for_each(|request| run(&rules, request));
        let ordinary = COUNT.get().held;
        stages.iter().for_each(|stage| exchange(&rules, &stage.exchange));
        (ordinary, COUNT.get().held)
    };
    let held: Vec<(isize, isize)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let warm = loaded + held.iter().map(|(ordinary, _)| ordinary).sum::<isize>();
    let hot = loaded + held.iter().map(|(_, all)| all).sum::<isize>();
    println!(
        "CRS: {} KiB, at most {} while it is loaded; {} after ordinary requests in {THREADS} \
         threads, {} after {} tests",
        loaded >> 10,
        most >> 10,
        warm >> 10,
        hot >> 10,
        stages.len()
    );
    assert!(loaded <= LOADED && warm <= WARM && hot <= HOT, "{loaded}, {warm}, {hot} bytes");
}

/// All phases of a request and its answer, which rules only look at.
fn exchange(rules: &Arc<RuleSet>, exchange: &Exchange) {
    let mut transaction = Transaction::new(Arc::clone(rules), &connection());
    let headers = fields(&exchange.headers);
    let head = transaction.request_head(&RequestHead {
        method: &exchange.method,
        target: &exchange.target,
        protocol: &exchange.protocol,
        headers: &headers,
    });
    transaction.request_body(&exchange.body);
    let request = transaction.request_end();
    let response = &exchange.response;
    let headers = fields(&response.headers);
    let (status, protocol) = (response.status, &b"HTTP/1.1"[..]);
    let answer = transaction.response_head(&ResponseHead { status, protocol, headers: &headers });
    transaction.response_body(&response.body);
    let verdicts = [head, request, answer, transaction.response_end()];
    assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Pass), "{verdicts:?}");
    transaction.finish();
}

fn fields(headers: &Headers) -> Vec<(&[u8], &[u8])> {
    headers.iter().map(|(name, value)| (&name[..], &value[..])).collect()
}

fn connection() -> Connection<'static> {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 }
}

#[test]
fn a_transaction_takes_little_beside_its_body() {
    let Some(crs) = core_rules::find() else { return };
    let rules = Arc::new(core_rules::load(&crs, ""));
    let mut faults = Vec::new();
    for request in requests() {
        for _ in 0..BEFORE {
            run(&rules, &request);
        }
        let before = COUNT.replace(Count::default());
        run(&rules, &request);
        let Count { held, most, bytes, times } = COUNT.replace(before);
        let body = request.body.len() as isize;
        let beyond = most - body;
        println!(
            "{}: at most {most} bytes at once for a body of {body}; {times} times {bytes}, {held} kept",
            request.name
        );
        if beyond > HELD || held > 0 {
            faults.push(format!("{}: {beyond} bytes beyond its body, {held} kept", request.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn transactions_that_wait_for_their_answers_find_space_however_many_they_are() {
    const AT_ONCE: usize = 100;
    let Some(crs) = core_rules::find() else { return };
    let rules = Arc::new(core_rules::load(&crs, ""));
    let requests = requests();
    let request = requests.first().expect("one");
    let begin_all = || {
        COUNT.set(Count::default());
        let all: Vec<_> = (0..AT_ONCE).map(|_| begin(&rules, request)).collect();
        let held = COUNT.get().held / AT_ONCE as isize;
        drop(all);
        held
    };
    let held = [begin_all(), begin_all(), begin_all()];
    println!("{held:?} bytes held for each of {AT_ONCE}, with what was left from the second on");
    assert!(held[2] <= HELD, "{held:?}");
}

fn run(rules: &Arc<RuleSet>, request: &Request) {
    begin(rules, request).finish();
}

/// As far as its answer.
fn begin(rules: &Arc<RuleSet>, request: &Request) -> Transaction {
    let length = request.body.len().to_string();
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b"Host", b"www.example.com"),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (b"Accept", b"*/*"),
        (b"Accept-Language", b"en-GB,en;q=0.7,de;q=0.3"),
        (b"Cookie", b"session=f3a9c1d27b5e4a60; theme=light; cart=1884-22"),
    ];
    if let Some(media_type) = request.media_type {
        headers.push((b"Content-Type", media_type.as_bytes()));
        headers.push((b"Content-Length", length.as_bytes()));
    }
    let head = RequestHead {
        method: if request.media_type.is_some() { b"POST" } else { b"GET" },
        target: request.target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
    };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection());
    assert_eq!(transaction.request_head(&head), Verdict::Pass, "{}", request.name);
    for piece in request.body.chunks(8 << 10) {
        transaction.request_body(piece);
    }
    assert_eq!(transaction.request_end(), Verdict::Pass, "{}", request.name);
    transaction
}

fn requests() -> Vec<Request> {
    let prose = "The+ferry+leaves+at+nine+and+takes+about+two+hours.+Bring+warm+clothes%2C+since+";
    let values =
        (0..20).map(|number| format!("\"key{number}\":\"value {number}\"")).collect::<Vec<_>>();
    let upload = format!(
        "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA photo\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jpg\"\r\n\
         Content-Type: image/jpeg\r\n\r\n{}\r\n--b--\r\n",
        "\u{1}\u{2}JPEG".repeat(10_000)
    );
    let form = Some("application/x-www-form-urlencoded");
    let request = |name, media_type, body: String| Request {
        name,
        target: "/catalog/shoes?color=dark+blue&size=42&ref=newsletter-2024",
        media_type,
        body: body.into_bytes(),
    };
    vec![
        request("GET of a browser", None, String::new()),
        request("form", form, "first=Anna&city=Berlin&note=please+ring+twice".to_owned()),
        request("JSON", Some("application/json"), format!("{{{}}}", values.join(","))),
        request("10 KB form value", form, format!("text={}", prose.repeat(10_240 / prose.len()))),
        request("upload", Some("multipart/form-data; boundary=b"), upload),
    ]
}
