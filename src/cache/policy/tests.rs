//! What must hold whatever servers send: fields made of what readers stumble over.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::conditional::Stored;
use super::moment::Moment;
use super::no_vary_search::Search;
use super::rules::{Clients, Rules, Strictness};
use super::strip::{Shown, before_sending, before_storing};
use super::terms::{Answer, Failure, Use, judge, judge_stored};
use super::{groups, merge, validate, vary};

const ROUNDS: usize = 6_000;
const NOW: Moment = Moment::from_millis(1_795_737_600_000);
const NAMES: [&str; 22] = [
    "age",
    "authorization",
    "cache-control",
    "cache-groups",
    "cdn-cache-control",
    "connection",
    "cookie",
    "date",
    "etag",
    "expires",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "last-modified",
    "no-vary-search",
    "pragma",
    "set-cookie",
    "surrogate-key",
    "tidegate-cache-control",
    "vary",
    "x-a",
];
const PIECES: [&str; 40] = [
    "no-store",
    "no-cache",
    "private",
    "public",
    "max-age",
    "s-maxage",
    "must-revalidate",
    "must-understand",
    "stale-while-revalidate",
    "stale-if-error",
    "=",
    "=",
    "=",
    "\"",
    "\"",
    "\\",
    ",",
    ",",
    ", ",
    " ",
    ";",
    "(",
    ")",
    "0",
    "1",
    "60",
    "99999999999999999999",
    "-",
    "*",
    "W/",
    "x-a",
    "params",
    "except",
    "key-order",
    "?1",
    "%c3%a9",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "Thursday, 18-Aug-50 02:01:18 GMT",
    "\u{e9}",
    "a",
];

fn spoilt(random: &mut fastrand::Rng) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for _ in 0..random.usize(..6) {
        let value: String =
            (0..random.usize(..7)).map(|_| PIECES[random.usize(..PIECES.len())]).collect();
        let name = HeaderName::from_static(NAMES[random.usize(..NAMES.len())]);
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
    }
    headers
}

/// A plain reading of a list: whoever writes no quotes means each member.
fn says_plainly(headers: &HeaderMap, word: &str) -> bool {
    let lines: Vec<&[u8]> =
        headers.get_all("cache-control").into_iter().map(HeaderValue::as_bytes).collect();
    let lines = lines.iter().filter(|line| !line.contains(&b'"'));
    let mut members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn is_targeted(headers: &HeaderMap) -> bool {
    ["cdn-cache-control", "tidegate-cache-control"].iter().any(|name| headers.contains_key(*name))
}

fn check(random: &mut fastrand::Rng, is_stored: &mut usize) {
    let (request, response) = (spoilt(random), spoilt(random));
    let rules = Rules {
        strictness: if random.bool() { Strictness::Safe } else { Strictness::Rfc },
        clients: if random.bool() { Clients::Heeded } else { Clients::PassedOver },
        ttl: random.bool().then_some(Duration::from_secs(60)),
        ..Rules::default()
    };
    let status = StatusCode::from_u16([200, 206, 301, 404, 503, 599][random.usize(..6)]);
    let status = status.expect("a status");
    let answer = Answer { status, headers: &response, asked: NOW, received: NOW };
    let told = format!("{status} {request:?} {response:?} {rules:?}");
    // None of these may panic.
    let names = [HeaderName::from_static("x-a"), HeaderName::from_static("accept")];
    vary::variant(&names, &request);
    groups::labels("https://a:443", &response);
    _ = Search::read(&response).map(|search| search.reduced(Some("a=1&%c3%a9=2&=&x-a")));
    let stored = Stored { status, headers: &response, received: NOW };
    stored.needed_by(&request, NOW);
    stored.continues(&request, NOW);
    let mut asking = request.clone();
    validate::ask_about(&mut asking, &response, NOW);
    let update = Answer { headers: &request, ..answer };
    merge::refreshed(&stored, &request, update, &rules);

    let Ok(terms) = judge(&Method::GET, &request, answer, &rules) else { return };
    *is_stored += 1;
    if !is_targeted(&response) {
        let is_understood = says_plainly(&response, "must-understand");
        assert!(is_understood || !says_plainly(&response, "no-store"), "{told}");
        assert!(!says_plainly(&response, "private"), "{told}");
        let at_once = terms.use_for(&HeaderMap::new(), &rules, NOW);
        assert!(!says_plainly(&response, "no-cache") || at_once == Use::Validate, "{told}");
    }
    assert!(status != StatusCode::PARTIAL_CONTENT, "{told}");
    // Once everything has run out, nothing is used any more.
    let end = terms.keep_until();
    let used = terms.use_for(&HeaderMap::new(), &rules, end);
    assert!(matches!(used, Use::Validate), "{told}");
    assert!(!terms.stands_in(Failure::Unreachable, end), "{told}");
    // What is stored reads the same again, and shows no more to others.
    let mut kept = response.clone();
    before_storing(&mut kept, NOW);
    let again = Answer { headers: &kept, asked: terms.born(), ..answer };
    if let Ok(again) = judge_stored(again, &rules) {
        assert_eq!(again.born(), terms.born(), "{told}");
    }
    before_sending(&mut kept, &terms, Shown::Hit);
    assert!(terms.private_fields().iter().all(|name| !kept.contains_key(name)), "{told}");
}

#[test]
fn whatever_servers_send_what_they_forbid_is_not_done() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut is_stored = 0;
    for _ in 0..ROUNDS {
        check(&mut random, &mut is_stored);
    }
    assert!(is_stored > ROUNDS / 50, "{is_stored}");
}
