//! How much memory one transaction takes beside the space that transactions leave to each other.
//!
//! A transaction keeps its body once more while it comes in; all else is to stay within a few KiB,
//! however large the rule set is.

#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tidegate_waf::parse::{Disk, Fault, Reader};
use tidegate_waf::{Connection, RequestHead, RuleSet, Transaction, Verdict};

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
fn a_transaction_takes_little_beside_its_body() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/crs-4.28.0");
    let crs = std::env::var_os("TIDEGATE_CRS").map_or(beside, PathBuf::from);
    if !crs.is_dir() {
        println!("no CRS in {}: not run", crs.display());
        return;
    }
    let rules = Arc::new(load(&crs));
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

fn load(crs: &Path) -> RuleSet {
    let skip = |fault: &Fault| fault.rule.is_some_and(|id| id.0 == 901_320);
    let mut reader = Reader::new(&Disk, &skip);
    let text = "SecRuleEngine On\nSecRequestBodyNoFilesLimit 131072\n\
        Include crs-setup.conf.example\nInclude rules/*.conf\n";
    reader.text(&crs.join("all.conf"), text.as_bytes());
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"))
}

fn run(rules: &Arc<RuleSet>, request: &Request) {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection =
        Connection { client: address(40_000), server: address(80), id: b"1", time: 1_700_000_000 };
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
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    assert_eq!(transaction.request_head(&head), Verdict::Pass, "{}", request.name);
    for piece in request.body.chunks(8 << 10) {
        transaction.request_body(piece);
    }
    assert_eq!(transaction.request_end(), Verdict::Pass, "{}", request.name);
    transaction.finish();
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
