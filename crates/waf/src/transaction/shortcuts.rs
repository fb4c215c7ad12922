//! The gate, groups of values and comparisons in short leave out only what cannot match: with and
//! without them, CRS says the same of attacks, of ordinary text and of what chance makes of both.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_yaml::Value;

use crate::parse::{Disk, Fault, Reader};
use crate::rules::RuleSet;
use crate::transaction::{Connection, Match, RequestHead, ResponseHead, Transaction, Verdict};

/// Requests that are judged; each is also spoilt once.
const REQUESTS: usize = 400;
const SCORES: [&str; 4] = [
    "blocking_inbound_anomaly_score",
    "detection_inbound_anomaly_score",
    "blocking_outbound_anomaly_score",
    "inbound_anomaly_score_pl1",
];
/// Stands in front of a value, up to 200 times.
const FILLERS: [&str; 6] =
    ["a word ", "Some-Text_0", "%20x%0a/", "<b>;\\", "../", "select 1 from sleep where "];
const FORM: &[u8] = b"application/x-www-form-urlencoded";

fn beside(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(name);
    if !path.is_dir() {
        eprintln!("no {}: not run", path.display());
        return None;
    }
    Some(path)
}

fn load(crs: &Path) -> RuleSet {
    let skip = |fault: &Fault| fault.rule.is_some_and(|id| id.0 == 901_320);
    let mut reader = Reader::new(&Disk, &skip);
    let text = "SecRuleEngine DetectionOnly\nSecResponseBodyAccess On\n\
        Include crs-setup.conf.example\n\
        SecAction \"id:900005,phase:1,pass,nolog,setvar:tx.blocking_paranoia_level=4,\
        setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_length=400\"\n\
        Include rules/*.conf";
    reader.text(&crs.join("all.conf"), text.as_bytes());
    let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
    RuleSet::compile(&tree, &Disk, &skip).unwrap_or_else(|faults| panic!("{faults}"))
}

#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A payload as an argument of the query, of a form, as a cookie and as text of JSON.
    fn of_payload(payload: &[u8], number: usize) -> Self {
        let escaped = payload.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let header = |name: &str, value: &[u8]| (name.as_bytes().to_vec(), value.to_vec());
        let mut request = Self {
            method: b"GET".to_vec(),
            target: b"/".to_vec(),
            headers: vec![header("Host", b"a.example"), header("User-Agent", b"Mozilla/5.0")],
            body: Vec::new(),
        };
        match number % 3 {
            0 => request.target = format!("/?q={escaped}").into_bytes(),
            1 => {
                request.headers.push(header("Content-Type", FORM));
                request.method = b"POST".to_vec();
                request.body = format!("q={escaped}").into_bytes();
            }
            _ => request.headers.push(header("Cookie", &[b"q=", payload].concat())),
        }
        request
    }

    fn of_stage(input: &Value) -> Self {
        let text = |key: &str| input.get(key).and_then(Value::as_str).map(str::as_bytes);
        let mut headers = Vec::new();
        for (name, value) in input.get("headers").and_then(Value::as_mapping).into_iter().flatten()
        {
            if let (Some(name), Some(value)) = (name.as_str(), value.as_str()) {
                headers.push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
            }
        }
        let body = text("data").unwrap_or_default().to_vec();
        let is_typed = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(b"content-type"));
        if !body.is_empty() && !is_typed {
            headers.push((b"Content-Type".to_vec(), FORM.to_vec()));
        }
        Self {
            method: text("method").unwrap_or(b"GET").to_vec(),
            target: text("uri").unwrap_or(b"/").to_vec(),
            headers,
            body,
        }
    }

    fn spoil(&mut self, dice: &mut Dice) {
        let header = dice.roll(self.headers.len());
        let text = match (dice.roll(3), self.body.is_empty()) {
            (0, _) | (1, true) => &mut self.target,
            (1, false) => &mut self.body,
            _ => match self.headers.get_mut(header) {
                Some((_, value)) => value,
                None => &mut self.target,
            },
        };
        // Long values are judged in other ways.
        if dice.roll(3) == 0 {
            let filler = FILLERS[dice.roll(FILLERS.len())].repeat(1 + dice.roll(200));
            let at = text.iter().position(|byte| *byte == b'=').map_or(text.len(), |at| at + 1);
            drop(text.splice(at..at, filler.bytes()));
        }
        for _ in 0..=dice.roll(4) {
            let at = dice.roll(text.len() + 1);
            match dice.roll(4) {
                0 => text.insert(at, dice.roll(256) as u8),
                1 => drop(text.drain(at..(at + 1 + dice.roll(6)).min(text.len()).max(at))),
                2 => text.splice(at..at, *b"/**/").for_each(drop),
                _ => {
                    if let Some(byte) = text.get_mut(at) {
                        // Another case of a letter.
                        *byte ^= 0x20;
                    }
                }
            }
        }
    }
}

/// Numbers that are the same in every run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % sides.max(1)
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Told {
    verdicts: Vec<Verdict>,
    pub(super) matches: Vec<Match>,
    scores: [Option<i64>; 4],
}

pub(super) fn judge(rules: &Arc<RuleSet>, request: &Request) -> Told {
    let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let connection = Connection { client: address(1), server: address(2), id: b"1", time: 1 };
    let mut transaction = Transaction::new(Arc::clone(rules), &connection);
    let headers: Vec<(&[u8], &[u8])> =
        request.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    let head = RequestHead {
        method: &request.method,
        target: &request.target,
        protocol: b"HTTP/1.1",
        headers: &headers,
    };
    let mut verdicts = vec![transaction.request_head(&head)];
    transaction.request_body(&request.body);
    verdicts.push(transaction.request_end());
    let headers: [(&[u8], &[u8]); 1] = [(b"Content-Type", b"text/html")];
    let head = ResponseHead { status: 500, protocol: b"HTTP/1.1", headers: &headers };
    verdicts.push(transaction.response_head(&head));
    // What a server might show of what it was sent.
    transaction.response_body(&request.body);
    verdicts.push(transaction.response_end());
    transaction.finish();
    let scores = SCORES.map(|name| transaction.tx_number(name));
    Told { verdicts, matches: transaction.matches().to_vec(), scores }
}

fn stages(tests: &Path, found: &mut Vec<Request>) {
    let mut entries: Vec<_> =
        std::fs::read_dir(tests).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            stages(&path, found);
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let file: Value = serde_yaml::from_str(&text).unwrap();
        let tests = file.get("tests").and_then(Value::as_sequence).into_iter().flatten();
        let stages = tests.filter_map(|test| test.get("stages")?.as_sequence()).flatten();
        found.extend(stages.filter_map(|stage| stage.get("input")).map(Request::of_stage));
    }
}

fn payloads(corpora: &Path, found: &mut Vec<Request>) {
    let mut lines = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(corpora.join("tests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let text = std::fs::read(file).unwrap();
        let start = memchr::memmem::find(&text, b"--INPUT--").map_or(0, |at| at + 9);
        let end = memchr::memmem::find(&text, b"--EXPECTED--").unwrap_or(text.len());
        lines.push(text.get(start..end).unwrap_or_default().trim_ascii().to_vec());
    }
    let ordinary = std::fs::read(corpora.join("data/false_positives.txt")).unwrap();
    lines.extend(ordinary.split(|byte| *byte == b'\n').map(<[u8]>::to_vec));
    for (number, line) in lines.iter().filter(|line| !line.is_empty()).enumerate() {
        found.push(Request::of_payload(line, number));
    }
}

/// Where transformations edit a long value, what they make there is looked for, and so is what
/// stands at the seams of a body and the value at its end.
#[test]
fn edits_of_long_values_are_judged() {
    let load = || {
        let mut reader = Reader::new(&Disk, &|_| false);
        let lists = ["replaceComments", "removeNulls", "lowercase,t:removeNulls", "normalizePath"];
        let mut text = "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\n".to_owned();
        for (number, list) in lists.iter().enumerate() {
            // Alone, an expression is not worth the gate.
            for (more, literal) in
                ["dro pper", "dropper", "a=dropper", "-pper", "x/dropper"].iter().enumerate()
            {
                let id = 10 * number + more + 1;
                text += &format!(
                    "SecRule ARGS|REQUEST_BODY \"@rx {literal}\" \"id:{id},phase:2,pass,t:{list}\"\n"
                );
            }
        }
        reader.text(Path::new("rules"), text.as_bytes());
        let tree = reader.finish().unwrap_or_else(|faults| panic!("{faults}"));
        RuleSet::compile(&tree, &Disk, &|_| false).unwrap_or_else(|faults| panic!("{faults}"))
    };
    let (rules, plain) = (Arc::new(load()), Arc::new(load().without_shortcuts()));
    let mut dice = Dice(0x5eed_f00d);
    let mut matched = 0;
    for round in 0..300 {
        let letters = b"abcdefghijklmnopqrstuvwxyzABCDEFG. ";
        let mut body: Vec<u8> =
            (0..1_500 + dice.roll(1_500)).map(|_| letters[dice.roll(letters.len())]).collect();
        for _ in 0..=dice.roll(2) {
            let split =
                ["dro/*y*/pper", "DRO\0pper", "drop\0\0per", "x/y/../dropper", "x/./dropper"];
            let at = [0, dice.roll(body.len()), body.len()][dice.roll(3)];
            body.splice(at..at, split[dice.roll(split.len())].bytes());
        }
        body.splice(0..0, *b"a=");
        let headers = vec![(b"Content-Type".to_vec(), FORM.to_vec())];
        let request = Request { method: b"POST".to_vec(), target: b"/".to_vec(), headers, body };
        let (told, expected) = (judge(&rules, &request), judge(&plain, &request));
        matched += told.matches.len();
        assert_eq!(told, expected, "{round}: {}", request.body.escape_ascii());
    }
    assert!(matched > 600, "{matched}");
}

#[test]
fn shortcuts_change_nothing() {
    let (Some(crs), Some(corpora)) = (beside("crs-4.28.0"), beside("libinjection")) else { return };
    let mut found = Vec::new();
    stages(&crs.join("tests/regression"), &mut found);
    payloads(&corpora, &mut found);
    let rules = Arc::new(load(&crs));
    let plain = Arc::new(load(&crs).without_shortcuts());
    let mut dice = Dice(0x5eed_f00d);
    let (mut judged, mut matched) = (0, 0);
    for _ in 0..REQUESTS {
        let mut request = found.swap_remove(dice.roll(found.len()));
        for _ in 0..2 {
            let (told, expected) = (judge(&rules, &request), judge(&plain, &request));
            matched += told.matches.len();
            judged += 1;
            let ids = |told: &Told| told.matches.iter().map(|one| one.id.0).collect::<Vec<_>>();
            assert_eq!(ids(&told), ids(&expected), "{}", request.target.escape_ascii());
            assert_eq!(told, expected, "{}", request.target.escape_ascii());
            request.spoil(&mut dice);
        }
    }
    println!("{judged} requests of {}, {matched} matches", found.len() + REQUESTS);
    assert!(matched > judged, "{matched}");
}
