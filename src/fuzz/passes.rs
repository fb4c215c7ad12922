//! What the field Cookie says: passes of the challenge, and cookies as such.

use aws_lc_rs::digest::{SHA256, digest};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::{reference, spell};
use crate::access::{AskForWork, Challenged, Pressure, Unproven, Work, show_pass, strip_passes};
use crate::balance;
use crate::limit;
use crate::listen::Channel;
use crate::networks::ClientKey;
use crate::units::Period;

/// In seconds since 1970.
const NOW: u64 = 1_800_000_000;
const LASTS: u64 = 3600;
/// Bits of work: as few as can be that are not the fewest.
const DIFFICULTY: u8 = 2;
const SOLUTION: HeaderName = HeaderName::from_static("tidegate-solution");
/// Digits of a puzzle, and of the part of it that is hashed.
const DIGITS: usize = 68;
const HASHED: usize = 32;
/// Passes of one request that are looked at, if they have as many digits.
const MOST: usize = 64;

/// Who asks, when, and for which host.
#[derive(Clone, Copy)]
struct Visit {
    host: &'static str,
    address: [u8; 4],
    now: u64,
}

const HERE: Visit = Visit { host: "a.example", address: [192, 0, 2, 1], now: NOW };

/// What somebody has who solved a puzzle.
struct Solved {
    puzzle: String,
    solution: String,
    pass: String,
}

impl Visit {
    fn ask(self, headers: &HeaderMap) -> AskForWork<'_> {
        AskForWork {
            method: &Method::GET,
            host: self.host,
            path: "/",
            headers,
            network: ClientKey::V4(self.address.into()),
            channel: Channel::Plain,
            pressure: Pressure::Calm,
            now: self.now,
        }
    }

    fn solve(self, work: &Work) -> Solved {
        let html = HeaderValue::from_static("text/html");
        let page = work.check(&self.ask(&HeaderMap::from_iter([(header::ACCEPT, html)])));
        let Err(Challenged::Unproven(Unproven { puzzle: Some(shown), .. })) = page else {
            panic!("no puzzle: {page:?}");
        };
        let mut all = (0_u32..).map(|chosen| format!("{}{chosen:08x}", shown.digits));
        let is_solved = |solution: &String| is_work_done(solution.as_bytes(), shown.difficulty);
        let solution = all.find(is_solved).expect("some digits will do");
        let value = HeaderValue::try_from(&solution).expect("digits");
        let answer = work.check(&self.ask(&HeaderMap::from_iter([(SOLUTION, value)])));
        let Err(Challenged::Solved(set)) = answer else {
            panic!("no pass: {answer:?}");
        };
        Solved { puzzle: shown.digits, solution, pass: pass_of(&set) }
    }
}

fn pass_of(set: &HeaderValue) -> String {
    let set = set.to_str().expect("text");
    let pair = set.split(';').next().expect("a pair");
    pair.strip_prefix("tg_pass=").expect("a pass").to_owned()
}

/// Whether as many bits are zeros; at most eight can be asked for.
fn is_work_done(solution: &[u8], difficulty: u8) -> bool {
    let work = solution.get(DIGITS - HASHED..).expect("a solution");
    digest(&SHA256, work).as_ref()[0].leading_zeros() >= u32::from(difficulty)
}

fn work(difficulty: u8, seal: &str) -> Work {
    Work::new(difficulty, Period::from_secs(LASTS), &seal.repeat(64))
}

/// A Cookie and, in a second line, a solution; bytes below 9 are the passes and
/// puzzles of somebody who did the work, here or elsewhere.
pub fn challenge(bytes: &[u8]) -> bool {
    let (here, easy) = (work(DIFFICULTY, "7"), work(DIFFICULTY - 1, "7"));
    let ours = HERE.solve(&here);
    let oldest = Visit { now: NOW - LASTS, ..HERE }.solve(&here).pass;
    let bad = [
        Visit { host: "b.example", ..HERE }.solve(&here).pass,
        Visit { address: [192, 0, 2, 2], ..HERE }.solve(&here).pass,
        Visit { now: NOW - LASTS - 1, ..HERE }.solve(&here).pass,
        HERE.solve(&easy).pass,
        HERE.solve(&work(DIFFICULTY, "8")).pass,
    ];
    let [host, network, over, easy, sealed] = bad.each_ref().map(String::as_bytes);
    let (good, puzzle) = (ours.pass.as_bytes(), ours.puzzle.as_bytes());
    let words = [good, oldest.as_bytes(), host, network, over, easy, sealed, puzzle];
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n').map(|line| spell(line, &words));
    let Ok(cookie) = HeaderValue::from_bytes(&lines.next().unwrap_or_default()) else {
        return false;
    };
    let mut headers = HeaderMap::from_iter([(header::COOKIE, cookie.clone())]);
    let mut has_pass = false;
    let mut is_shown = false;
    for (channel, name) in [(Channel::Plain, &b"tg_pass"[..]), (Channel::Tls, b"__Host-tg_pass")] {
        let shown = reference::cookies(cookie.as_bytes(), &[name]);
        is_shown |= !shown.is_empty();
        let mut looked_at = shown.iter().filter(|pass| pass.len() == DIGITS).take(MOST);
        let is_good = looked_at.any(|pass| [good, oldest.as_bytes()].contains(pass));
        let found = here.check(&AskForWork { channel, ..HERE.ask(&headers) });
        assert_eq!(found.is_ok(), is_good, "{channel:?}: {found:?}");
        has_pass |= is_good;
    }
    assert_eq!(show_pass(&headers), is_shown);

    let mut stripped = headers.clone();
    strip_passes(&mut stripped);
    assert!(!show_pass(&stripped), "{stripped:?}");

    let Some(solution) = lines.next() else {
        return has_pass;
    };
    let Ok(value) = HeaderValue::from_bytes(&solution) else {
        return false;
    };
    headers.insert(SOLUTION, value);
    let is_solved = solution.strip_prefix(puzzle).is_some_and(|chosen| {
        let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
        chosen.len() == 8 && chosen.iter().all(is_digit) && is_work_done(&solution, DIFFICULTY)
    });
    let found = here.check(&HERE.ask(&headers));
    match found {
        Err(Challenged::Solved(set)) => {
            assert!(is_solved, "{}", solution.escape_ascii());
            assert_eq!(pass_of(&set), ours.pass, "another pass for the same work");
            assert_eq!(solution.len(), ours.solution.len());
        }
        Err(Challenged::Unproven(unproven)) => {
            assert!(!is_solved && unproven.puzzle.is_none(), "{unproven:?}");
        }
        Ok(()) => panic!("a solution is no visit"),
    }
    is_solved
}

/// The name of a cookie and, in further lines, fields Cookie.
pub fn cookie(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    // A token, as a cookie's name is (RFC 6265 §4.1.1).
    let name = lines.next().filter(|name| HeaderName::from_bytes(name).is_ok());
    let Some(name) = name.and_then(|name| std::str::from_utf8(name).ok()) else {
        return false;
    };
    let fields: Option<Vec<HeaderValue>> =
        lines.map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let Some(fields) = fields else {
        return false;
    };
    let mut headers = HeaderMap::new();
    for field in &fields {
        headers.append(header::COOKIE, field.clone());
    }
    let values: Vec<&[u8]> = fields.iter().map(HeaderValue::as_bytes).collect();
    let all: Vec<&[u8]> =
        values.iter().flat_map(|field| reference::cookies(field, &[name.as_bytes()])).collect();
    let expected = all.first().copied();
    let of_limit = |headers: &HeaderMap| -> Vec<Vec<u8>> {
        limit::cookies(headers, name.as_bytes()).map(<[u8]>::to_vec).collect()
    };
    let unquoted: Vec<Vec<u8>> = all.iter().map(|value| reference::unquoted(value)).collect();
    assert_eq!(of_limit(&headers), unquoted, "as the key of a limit");
    assert_eq!(balance::cookie(&headers, name), expected, "as the name of a server");

    // HTTP/2 may cut one field into several (RFC 9113 §8.2.3).
    let joined = HeaderValue::from_bytes(&values.join(&b"; "[..])).expect("a value");
    let joined = HeaderMap::from_iter([(header::COOKIE, joined)]);
    assert_eq!(of_limit(&joined), unquoted, "in one field");

    // A pass is taken out, and nothing else.
    let is_pass = matches!(name, "tg_pass" | "__Host-tg_pass");
    let is_any = expected.is_some();
    let mut stripped = headers.clone();
    strip_passes(&mut stripped);
    let left = if is_pass { Vec::new() } else { unquoted };
    assert_eq!(of_limit(&stripped), left, "beside passes");
    is_any
}
