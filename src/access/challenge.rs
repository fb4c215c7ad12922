//! A challenge that browsers solve and floods of simple clients do not: some
//! work (SHA-256) for a pass, which is a cookie.
//!
//! Puzzles and passes are sealed instead of being kept, so that nobody can fill
//! our memory with them. How the puzzle is shown is for `respond`.

mod cookie;
mod token;

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use http::header::ACCEPT;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::encoding::{Weight, weighted};
use crate::fault::Faults;
use crate::listen::Channel;
use crate::networks::ClientKey;
use crate::units::Period;

use super::Screened;

use self::token::{DIGITS, Purpose, SEAL_DIGITS, Token};

pub(crate) use self::cookie::{show_pass, strip_passes};
pub(crate) use self::token::Seal;

/// The field that a solution is sent in: the digits of the puzzle, and eight
/// more that are the work.
const SOLUTION: HeaderName = HeaderName::from_static("tidegate-solution");
/// Digits that a client is free to choose.
const CHOSEN: usize = 8;
/// How long a puzzle may take, in seconds: a slow phone with the hardest one.
const TO_SOLVE: u64 = 600;
/// How far the clocks of two processes with one secret may be apart, in seconds.
const CLOCKS: u64 = 60;
/// Beyond these, a puzzle is no work, or takes minutes.
const DIFFICULTIES: RangeInclusive<u8> = 1..=24;
/// The shortest that a pass may last, in seconds: with less, people solve
/// puzzles all the time.
const SHORTEST: u64 = 10;

/// The most passes of the right length that are looked at: in the clear, pages
/// of other paths and domains can plant some before ours, and each costs a hash.
const MOST_PASSES: usize = 64;

/// Paths that machines ask for and never solve anything, though their owners
/// want to be found, or to get certificates.
const FREE: [&str; 1] = ["/robots.txt"];
const FREE_BELOW: [&str; 1] = ["/.well-known/acme-challenge/"];

/// When a route asks for work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum When {
    #[default]
    Off,
    Always,
    Shedding,
}

/// How much work, in bits: each one doubles it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub(crate) struct Difficulty(u8);

impl Default for Difficulty {
    /// An old phone takes a second or two.
    fn default() -> Self {
        Difficulty(16)
    }
}

/// How long a pass lets its client through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub(crate) struct Lasts(Period);

impl Default for Lasts {
    fn default() -> Self {
        Lasts(Period::from_secs(12 * 3600))
    }
}

/// Whether a route gets more than it can take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pressure {
    #[default]
    Calm,
    Shedding,
}

/// The challenge of one route.
#[derive(Debug, Clone)]
pub(crate) struct Challenge {
    when: When,
    difficulty: u8,
    /// In seconds.
    lasts: u64,
}

/// What a challenge looks at.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub method: &'a Method,
    /// As it was asked for, without its port.
    pub host: &'a str,
    /// In normal form.
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub network: ClientKey,
    pub channel: Channel,
    pub pressure: Pressure,
    /// In seconds since 1970.
    pub now: u64,
}

impl<'a> Ask<'a> {
    pub(super) fn of(screened: &Screened<'a>, now: SystemTime) -> Self {
        let head = screened.head;
        Ask {
            method: head.method,
            host: &head.host,
            path: &head.path,
            headers: head.headers,
            network: ClientKey::from(screened.address),
            channel: screened.channel,
            pressure: screened.pressure,
            // While the clock is plainly wrong, there are no passes.
            now: now.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX).as_secs(),
        }
    }
}

/// Why a request does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenged {
    Unproven(Unproven),
    /// It is a solution: the client gets this Set-Cookie, and asks again.
    Solved(HeaderValue),
}

impl Challenged {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Challenged::Unproven(unproven) => unproven.why.tag(),
            Challenged::Solved(_) => "challenge_solved",
        }
    }

    /// Whether a puzzle of ours was sent back without the work: no page does
    /// that, while passes of before and of elsewhere are shown in good faith.
    pub(crate) fn is_lie(&self) -> bool {
        matches!(self, Challenged::Unproven(Unproven { why: Why::Unsolved, .. }))
    }
}

/// Why a request needs to solve a puzzle first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unproven {
    pub why: Why,
    /// What a browser is shown; none where nobody would see it.
    pub puzzle: Option<Puzzle>,
    pub pressure: Pressure,
}

/// What is wrong with what a request shows; closed, for it is a word of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    NoPass,
    Malformed,
    /// Not sealed by us, for that host.
    Forged,
    Expired,
    OtherNetwork,
    /// Less work than the route asks for, or another puzzle.
    Difficulty,
    /// The work is not done.
    Unsolved,
}

impl Why {
    fn tag(self) -> &'static str {
        match self {
            Why::NoPass => "challenge",
            Why::Malformed => "challenge_malformed",
            Why::Forged => "challenge_forged",
            Why::Expired => "challenge_expired",
            Why::OtherNetwork => "challenge_other_network",
            Why::Difficulty => "challenge_difficulty",
            Why::Unsolved => "challenge_unsolved",
        }
    }
}

/// Work for one client: find eight hexadecimal digits so that SHA-256 over
/// [`Puzzle::work`] and them begins with so many zero bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Puzzle {
    /// Hexadecimal digits.
    pub digits: String,
    /// Bits.
    pub difficulty: u8,
}

impl Challenge {
    /// Checks the keys of a route; none if it asks for nothing.
    pub(crate) fn new(
        when: When,
        Difficulty(difficulty): Difficulty,
        Lasts(lasts): Lasts,
    ) -> Result<Option<Challenge>, Faults> {
        let mut faults = Faults::none();
        if !DIFFICULTIES.contains(&difficulty) {
            let (least, most) = (DIFFICULTIES.start(), DIFFICULTIES.end());
            let what = format!("is not from {least} to {most} bits");
            faults.extend(Faults::at("challenge_difficulty", what));
        }
        let lasts = lasts.0.as_secs();
        if lasts < SHORTEST {
            let what = format!("is shorter than {SHORTEST}s");
            faults.extend(Faults::at("challenge_lasts", what));
        }
        let challenge = (when != When::Off).then_some(Challenge { when, difficulty, lasts });
        faults.into_result(|| Some(challenge))
    }

    /// Lets a request through, or says what is to be done about it.
    pub(crate) fn check(&self, ask: &Ask<'_>, seal: &Seal) -> Result<(), Challenged> {
        let unproven = |why, puzzle| {
            Err(Challenged::Unproven(Unproven { why, puzzle, pressure: ask.pressure }))
        };
        let mut solutions = ask.headers.get_all(SOLUTION).into_iter();
        if let Some(solution) = solutions.next() {
            let is_alone = solutions.next().is_none();
            let solution = is_alone.then_some(solution.as_bytes()).ok_or(Why::Malformed);
            return match solution.and_then(|solution| self.judge(solution, ask, seal)) {
                Ok(cookie) => Err(Challenged::Solved(cookie)),
                Err(why) => unproven(why, None),
            };
        }
        let is_due = match self.when {
            When::Off => false,
            When::Always => true,
            When::Shedding => ask.pressure == Pressure::Shedding,
        };
        if !is_due || is_free(ask.path) {
            return Ok(());
        }
        match self.find_pass(ask, seal) {
            Ok(()) => Ok(()),
            Err(why) => unproven(why, is_navigation(ask).then(|| self.puzzle(ask, seal))),
        }
    }

    fn find_pass(&self, ask: &Ask<'_>, seal: &Seal) -> Result<(), Why> {
        let mut first = Err(Why::NoPass);
        let mut sealed = 0;
        for pass in cookie::shown(ask.headers, ask.channel) {
            sealed += usize::from(pass.len() == DIGITS);
            if sealed > MOST_PASSES {
                break;
            }
            match self.check_pass(pass, ask, seal) {
                Ok(()) => return Ok(()),
                Err(why) if first == Err(Why::NoPass) => first = Err(why),
                Err(_) => {}
            }
        }
        first
    }

    fn check_pass(&self, pass: &[u8], ask: &Ask<'_>, seal: &Seal) -> Result<(), Why> {
        let token = seal.read(Purpose::Pass, pass, ask.host)?;
        check_made(&token, ask, self.lasts)?;
        // A route that is easier than the one it was made for takes it, too.
        if token.difficulty < self.difficulty { Err(Why::Difficulty) } else { Ok(()) }
    }

    /// The Set-Cookie for a solution.
    fn judge(&self, solution: &[u8], ask: &Ask<'_>, seal: &Seal) -> Result<HeaderValue, Why> {
        let (puzzle, chosen) = solution.split_at_checked(DIGITS).ok_or(Why::Malformed)?;
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if chosen.len() != CHOSEN || !chosen.iter().all(is_digit) {
            return Err(Why::Malformed);
        }
        let token = seal.read(Purpose::Puzzle, puzzle, ask.host)?;
        check_made(&token, ask, TO_SOLVE)?;
        if token.difficulty != self.difficulty {
            return Err(Why::Difficulty);
        }
        let (_, work) = solution.split_at(DIGITS - SEAL_DIGITS);
        if zero_bits(digest(&SHA256, work).as_ref()) < u32::from(self.difficulty) {
            return Err(Why::Unsolved);
        }
        let pass = seal.write(Purpose::Pass, &Token { made: ask.now, ..token }, ask.host);
        Ok(cookie::set(&pass, self.lasts, ask.channel))
    }

    fn puzzle(&self, ask: &Ask<'_>, seal: &Seal) -> Puzzle {
        let difficulty = self.difficulty;
        let token = Token { made: ask.now, difficulty, network: ask.network };
        Puzzle { digits: seal.write(Purpose::Puzzle, &token, ask.host), difficulty }
    }
}

fn check_made(token: &Token, ask: &Ask<'_>, lasts: u64) -> Result<(), Why> {
    let latest = token.made.saturating_add(lasts);
    if ask.now > latest || token.made > ask.now.saturating_add(CLOCKS) {
        return Err(Why::Expired);
    }
    if token.network == ask.network { Ok(()) } else { Err(Why::OtherNetwork) }
}

fn is_free(path: &str) -> bool {
    FREE.contains(&path) || FREE_BELOW.iter().any(|folder| path.starts_with(folder))
}

/// Whether somebody would see a page: what a browser shows in its window.
/// Programs, images, scripts' requests and forms would only be confused by one.
fn is_navigation(ask: &Ask<'_>) -> bool {
    let says = |name: &str, wanted: &[u8]| {
        ask.headers.get(name).is_none_or(|value| value.as_bytes() == wanted)
    };
    matches!(*ask.method, Method::GET | Method::HEAD)
        && takes_html(ask.headers)
        && says("sec-fetch-mode", b"navigate")
        && says("sec-fetch-dest", b"document")
}

fn takes_html(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT).into_iter();
    let mut ranges = lines.filter_map(|line| line.to_str().ok()).flat_map(weighted);
    ranges.any(|(range, weight)| {
        range.eq_ignore_ascii_case("text/html") && weight != Weight::UNWANTED
    })
}

/// The zero bits that something begins with.
fn zero_bits(bytes: &[u8]) -> u32 {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let next = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros());
    zeros as u32 * u8::BITS + next
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http::header::COOKIE;

    use super::token::SECRET;
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";
    const US: ClientKey = ClientKey::V4(Ipv4Addr::new(192, 0, 2, 1));
    const OTHERS: ClientKey = ClientKey::V4(Ipv4Addr::new(192, 0, 2, 2));

    fn challenge(when: When) -> Challenge {
        let built = Challenge::new(when, Difficulty(8), Lasts(Period::from_secs(3600)));
        built.expect("good").expect("on")
    }

    fn seal() -> Seal {
        Seal::new(&[7; SECRET])
    }

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        fields.iter().map(field).collect()
    }

    fn ask(headers: &HeaderMap) -> Ask<'_> {
        Ask {
            method: &Method::GET,
            host: "a.example",
            path: "/",
            headers,
            network: US,
            channel: Channel::Plain,
            pressure: Pressure::Calm,
            now: NOW,
        }
    }

    /// Does the work.
    fn solve(puzzle: &Puzzle) -> String {
        let solutions = (0_u32..).map(|chosen| format!("{}{chosen:08x}", puzzle.digits));
        let is_solved = |solution: &String| {
            let work = &solution.as_bytes()[DIGITS - SEAL_DIGITS..];
            zero_bits(digest(&SHA256, work).as_ref()) >= u32::from(puzzle.difficulty)
        };
        solutions.into_iter().find(is_solved).expect("some digits will do")
    }

    /// Why a request does not go on, and what it is shown.
    #[track_caller]
    fn refused(challenge: &Challenge, ask: &Ask<'_>) -> Unproven {
        match challenge.check(ask, &seal()) {
            Err(Challenged::Unproven(unproven)) => unproven,
            other => panic!("{other:?}"),
        }
    }

    fn why(challenge: &Challenge, ask: &Ask<'_>) -> Option<Why> {
        match challenge.check(ask, &seal()) {
            Err(Challenged::Unproven(unproven)) => Some(unproven.why),
            Ok(()) | Err(Challenged::Solved(_)) => None,
        }
    }

    fn puzzle(challenge: &Challenge) -> Puzzle {
        let headers = headers(&[("accept", BROWSER)]);
        let refused = refused(challenge, &ask(&headers));
        assert_eq!(refused.why, Why::NoPass);
        refused.puzzle.expect("a browser is shown one")
    }

    /// The Cookie of a client that has solved a puzzle.
    fn pass(challenge: &Challenge) -> String {
        let headers = headers(&[("tidegate-solution", &solve(&puzzle(challenge)))]);
        let Err(Challenged::Solved(set)) = challenge.check(&ask(&headers), &seal()) else {
            panic!("a good solution is refused");
        };
        let set = set.to_str().expect("text").to_owned();
        set.split(';').next().expect("a pair").to_owned()
    }

    #[test]
    fn work_is_worth_a_pass_and_the_pass_lets_everything_through() {
        let challenge = challenge(When::Always);
        let pass = pass(&challenge);
        for (method, fields) in [
            (Method::GET, &[("accept", BROWSER)][..]),
            (Method::GET, &[("range", "bytes=0-9"), ("accept", "video/*")]),
            (Method::POST, &[]),
            (Method::OPTIONS, &[("upgrade", "websocket")]),
        ] {
            let fields = [fields, &[("cookie", &pass)]].concat();
            let headers = headers(&fields);
            let ask = Ask { method: &method, ..ask(&headers) };
            assert_eq!(challenge.check(&ask, &seal()), Ok(()));
        }
    }

    #[test]
    fn only_navigations_see_the_puzzle() {
        let challenge = challenge(When::Always);
        let navigation = &[("accept", BROWSER), ("sec-fetch-mode", "navigate")];
        for (method, fields, is_shown) in [
            (Method::GET, &[("accept", BROWSER)][..], true),
            (Method::HEAD, &[("accept", BROWSER)], true),
            (Method::GET, navigation, true),
            (Method::GET, &[navigation, &[("sec-fetch-dest", "document")][..]].concat(), true),
            (Method::GET, &[navigation, &[("sec-fetch-dest", "iframe")][..]].concat(), false),
            (Method::GET, &[("accept", BROWSER), ("sec-fetch-mode", "cors")], false),
            (Method::POST, &[("accept", BROWSER)], false),
            (Method::GET, &[("accept", "*/*")], false),
            (Method::GET, &[("accept", "text/*")], false),
            (Method::GET, &[("accept", "text/html;q=0, */*")], false),
            (Method::GET, &[("accept", "application/json")], false),
            (Method::GET, &[], false),
        ] {
            let headers = headers(fields);
            let ask = Ask { method: &method, ..ask(&headers) };
            let refused = refused(&challenge, &ask);
            assert_eq!(refused.why, Why::NoPass);
            assert_eq!(refused.puzzle.is_some(), is_shown, "{method} {fields:?}");
        }
    }

    #[test]
    fn machines_that_sites_need_are_not_asked() {
        let (challenge, none) = (challenge(When::Always), HeaderMap::new());
        for (path, is_free) in [
            ("/robots.txt", true),
            ("/.well-known/acme-challenge/x", true),
            ("/.well-known/acme-challenge", false),
            ("/.well-known/x", false),
            ("/x/.well-known/acme-challenge/x", false),
            ("/robots.txt/x", false),
            ("/favicon.ico", false),
        ] {
            let ask = Ask { path, ..ask(&none) };
            assert_eq!(challenge.check(&ask, &seal()).is_ok(), is_free, "{path}");
        }
    }

    #[test]
    fn shedding_asks_only_under_pressure_and_takes_solutions_after_it() {
        let challenge = challenge(When::Shedding);
        let fields = headers(&[("accept", BROWSER)]);
        let calm = ask(&fields);
        assert_eq!(challenge.check(&calm, &seal()), Ok(()));
        let shedding = Ask { pressure: Pressure::Shedding, ..ask(&fields) };
        let refused = refused(&challenge, &shedding);
        assert_eq!((refused.why, refused.pressure), (Why::NoPass, Pressure::Shedding));
        let solution = solve(&refused.puzzle.expect("shown"));
        let fields = headers(&[("tidegate-solution", &solution)]);
        let solved = challenge.check(&ask(&fields), &seal());
        assert!(matches!(solved, Err(Challenged::Solved(_))), "{solved:?}");
    }

    #[test]
    fn passes_of_others_old_ones_and_easier_ones_are_refused() {
        let own = challenge(When::Always);
        let cookie = pass(&own);
        let fields = headers(&[("cookie", &cookie)]);
        let harder = Challenge { difficulty: 9, ..own };
        let easier = Challenge { difficulty: 7, ..own };
        let shorter = Challenge { lasts: 10, ..own };
        let good = ask(&fields);
        for (challenge, asked, expected) in [
            (&own, Ask { now: NOW, ..ask(&fields) }, None),
            (&own, Ask { now: NOW + 3600, ..ask(&fields) }, None),
            (&own, Ask { now: NOW + 3601, ..ask(&fields) }, Some(Why::Expired)),
            (&own, Ask { now: NOW - 60, ..ask(&fields) }, None),
            (&own, Ask { now: NOW - 61, ..ask(&fields) }, Some(Why::Expired)),
            (&own, Ask { network: OTHERS, ..ask(&fields) }, Some(Why::OtherNetwork)),
            (&own, Ask { network: ClientKey::V6(1), ..ask(&fields) }, Some(Why::OtherNetwork)),
            (&own, Ask { host: "b.example", ..ask(&fields) }, Some(Why::Forged)),
            (&harder, Ask { now: NOW, ..ask(&fields) }, Some(Why::Difficulty)),
            (&easier, Ask { now: NOW, ..ask(&fields) }, None),
            (&shorter, Ask { now: NOW + 10, ..ask(&fields) }, None),
            (&shorter, Ask { now: NOW + 11, ..ask(&fields) }, Some(Why::Expired)),
        ] {
            assert_eq!(why(challenge, &asked), expected, "{challenge:?} {asked:?}");
        }
        let Err(Challenged::Unproven(refused)) = own.check(&good, &Seal::random()) else {
            panic!("a pass of another secret");
        };
        assert_eq!(refused.why, Why::Forged);
    }

    #[test]
    fn a_pass_lasts_from_when_it_was_earned() {
        let own = challenge(When::Always);
        let solution = headers(&[("tidegate-solution", &solve(&puzzle(&own)))]);
        let late = Ask { now: NOW + TO_SOLVE, ..ask(&solution) };
        let Err(Challenged::Solved(set)) = own.check(&late, &seal()) else {
            panic!("a good solution is refused");
        };
        let pass = set.to_str().expect("text").split(';').next().expect("a pair");
        let fields = headers(&[("cookie", pass)]);
        let ends = NOW + TO_SOLVE + own.lasts;
        assert_eq!(why(&own, &Ask { now: ends, ..ask(&fields) }), None);
        assert_eq!(why(&own, &Ask { now: ends + 1, ..ask(&fields) }), Some(Why::Expired));
    }

    #[test]
    fn one_good_pass_among_planted_ones_is_enough() {
        let challenge = challenge(When::Always);
        let cookie = pass(&challenge);
        for (line, expected) in [
            (format!("tg_pass=x; {cookie}"), None),
            (format!("{cookie}; tg_pass=x"), None),
            ("tg_pass=x; tg_pass=".to_owned(), Some(Why::Malformed)),
        ] {
            let headers = HeaderMap::from_iter([(COOKIE, line.parse().expect("a value"))]);
            assert_eq!(why(&challenge, &ask(&headers)), expected, "{line}");
        }
    }

    #[test]
    fn solutions_that_are_none_are_refused() {
        let own = challenge(When::Always);
        let puzzle = puzzle(&own);
        let good = solve(&puzzle);
        let pass = pass(&own);
        let pass = pass.strip_prefix("tg_pass=").expect("a pass");
        let harder = Challenge { difficulty: 9, ..own };
        let easier = Challenge { difficulty: 7, ..own };
        let tried = (0_u32..).map(|chosen| format!("{}{chosen:08x}", puzzle.digits));
        let unsolved = tried.into_iter().find(|solution| {
            zero_bits(digest(&SHA256, &solution.as_bytes()[DIGITS - SEAL_DIGITS..]).as_ref()) == 7
        });
        let unsolved = unsolved.expect("a bit too few");
        for (challenge, solution, now, network, expected) in [
            (&own, good.clone(), NOW + TO_SOLVE, US, None),
            (&own, good.clone(), NOW + TO_SOLVE + 1, US, Some(Why::Expired)),
            (&own, good.clone(), NOW, OTHERS, Some(Why::OtherNetwork)),
            (&harder, good.clone(), NOW, US, Some(Why::Difficulty)),
            (&easier, good.clone(), NOW, US, Some(Why::Difficulty)),
            (&own, unsolved, NOW, US, Some(Why::Unsolved)),
            // A pass is no puzzle.
            (&own, format!("{pass}00000000"), NOW, US, Some(Why::Forged)),
            (&own, good.replace('0', "1"), NOW, US, Some(Why::Forged)),
            (&own, good.to_uppercase(), NOW, US, Some(Why::Malformed)),
            (&own, format!("{good}0"), NOW, US, Some(Why::Malformed)),
            (&own, format!("{}0000000g", puzzle.digits), NOW, US, Some(Why::Malformed)),
            (&own, puzzle.digits.clone(), NOW, US, Some(Why::Malformed)),
            (&own, String::new(), NOW, US, Some(Why::Malformed)),
        ] {
            let fields = headers(&[("accept", BROWSER), ("tidegate-solution", &solution)]);
            let ask = Ask { now, network, ..ask(&fields) };
            assert_eq!(why(challenge, &ask), expected, "{solution}");
            // What a script is answered, nobody sees.
            assert!(expected.is_none() || refused(challenge, &ask).puzzle.is_none());
        }
        let twice = headers(&[("tidegate-solution", &good), ("tidegate-solution", &good)]);
        assert_eq!(why(&own, &ask(&twice)), Some(Why::Malformed));
    }

    #[test]
    fn spoilt_solutions_and_passes_never_pass() {
        let own = challenge(When::Always);
        let good = solve(&puzzle(&own));
        let cookie = pass(&own);
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let field = if dice.bool() { "tidegate-solution" } else { "cookie" };
            let is_solution = field == "tidegate-solution";
            let original = if is_solution { &good } else { &cookie };
            let mut spoilt = original.clone().into_bytes();
            for _ in 0..dice.usize(1..4) {
                if spoilt.is_empty() {
                    break;
                }
                let at = dice.usize(0..spoilt.len());
                match dice.u8(0..4) {
                    0 => spoilt[at] = dice.u8(..),
                    1 => drop(spoilt.remove(at)),
                    2 => spoilt.insert(at, b"0123456789abcdefg=;,"[dice.usize(0..20)]),
                    _ => spoilt.truncate(at.max(1)),
                }
            }
            let Ok(value) = HeaderValue::from_bytes(&spoilt) else { continue };
            let is_changed = match is_solution {
                // Other digits may by chance be a solution, too.
                true => spoilt.get(..DIGITS) != original.as_bytes().get(..DIGITS),
                false => !spoilt
                    .split(|byte| *byte == b';')
                    .any(|pair| pair.trim_ascii() == original.as_bytes()),
            };
            let headers = HeaderMap::from_iter([(field.parse().expect("a name"), value)]);
            let is_refused = why(&own, &ask(&headers)).is_some();
            assert!(is_refused || !is_changed, "{}", spoilt.escape_ascii());
        }
    }

    #[test]
    fn counts_zero_bits() {
        for (bytes, expected) in
            [(&[0x80][..], 0), (&[0x7f], 1), (&[0, 1], 15), (&[0, 0], 16), (&[], 0)]
        {
            assert_eq!(zero_bits(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn says_which_keys_are_out_of_bounds() {
        let new = |difficulty, lasts| {
            let lasts = Lasts(Period::from_secs(lasts));
            let faults = Challenge::new(When::Always, Difficulty(difficulty), lasts).err();
            let at = |faults: &Faults| faults.iter().map(|fault| fault.at.to_string()).collect();
            faults.as_ref().map_or_else(Vec::<String>::new, at)
        };
        assert_eq!(new(1, 10), [""; 0]);
        assert_eq!(new(24, 10), [""; 0]);
        assert_eq!(new(0, 10), ["challenge_difficulty"]);
        assert_eq!(new(25, 9), ["challenge_difficulty", "challenge_lasts"]);
    }
}
