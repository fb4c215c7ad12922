//! What must hold whatever a server sends and a client asks for.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::policy::conditional::Stored;
use super::policy::no_vary_search::Search;
use super::policy::rules::{Clients, Rules, Strictness};
use super::policy::strip::{Shown, before_sending, before_storing};
use super::policy::terms::{Answer, Failure, Terms, Use, judge, judge_stored};
use super::policy::{encodings, groups, invalidate, merge, validate, vary};
use super::target::{Scheme, Target};
use tidegate_store::Moment;

const NOW: Moment = Moment::from_millis(1_795_737_600_000);

/// Reads a response in every way the room does; whether any profile stores it.
///
/// It panics where a profile stores what the response forbids in plain words,
/// uses it when it must not, or shows what is not for others.
pub(crate) fn exchange(status: StatusCode, request: &HeaderMap, response: &HeaderMap) -> bool {
    read_all(status, request, response);
    let mut is_stored = false;
    for strictness in [Strictness::Safe, Strictness::Rfc] {
        for clients in [Clients::PassedOver, Clients::Heeded] {
            for ttl in [None, Some(Duration::from_secs(60))] {
                let rules = Rules { strictness, clients, ttl, ..Rules::default() };
                let answer = Answer { status, headers: response, asked: NOW, received: NOW };
                let stored = Stored { status, headers: response, received: NOW };
                let update = Answer { headers: request, ..answer };
                merge::refreshed(&stored, request, update, &rules);
                if let Ok(terms) = judge(&Method::GET, request, answer, &rules) {
                    check(answer, &terms, &rules);
                    is_stored = true;
                }
            }
        }
    }
    is_stored
}

/// None of these may panic.
fn read_all(status: StatusCode, request: &HeaderMap, response: &HeaderMap) {
    let names = ["accept-language", "x-a"].map(HeaderName::from_static);
    vary::variant(&names, request);
    groups::labels("https://a.example:443", response);
    if let Some(search) = Search::read(response) {
        search.reduced(Some("a=1&%c3%a9=2&=&x-a"));
    }
    let stored = Stored { status, headers: response, received: NOW };
    stored.needed_by(request, NOW);
    stored.continues(request, NOW);
    let mut asking = request.clone();
    validate::ask_about(&mut asking, response, NOW);
    encodings::simplify(&mut asking);
    let scheme = Scheme::Https;
    let target = Target { scheme, host: "a.example", port: None, path: "/a/b", query: Some("c=d") };
    let worthless = invalidate::worthless(&Method::POST, &target, status, response);
    assert!(worthless.iter().all(|place| place.starts_with('/')), "{worthless:?}");
}

fn check(answer: Answer<'_>, terms: &Terms, rules: &Rules) {
    let (status, response) = (answer.status, answer.headers);
    assert!(status != StatusCode::PARTIAL_CONTENT && status != StatusCode::NOT_MODIFIED);
    if !is_targeted(response) {
        let is_understood = says_plainly(response, "must-understand");
        assert!(is_understood || !says_plainly(response, "no-store"));
        assert!(!says_plainly(response, "private"));
        let at_once = terms.use_for(&HeaderMap::new(), rules, NOW);
        assert!(!says_plainly(response, "no-cache") || at_once == Use::Validate);
    }
    // Once everything has run out, nothing is used any more.
    let end = terms.keep_until();
    assert_eq!(terms.use_for(&HeaderMap::new(), rules, end), Use::Validate);
    assert!(!terms.stands_in(Failure::Unreachable, end));
    // What is stored is as old when it is read again, and shows no more to others.
    let mut kept = response.clone();
    before_storing(&mut kept, NOW);
    let again = Answer { headers: &kept, asked: terms.born(), ..answer };
    if let Ok(again) = judge_stored(again, rules) {
        assert_eq!(again.born(), terms.born());
    }
    before_sending(&mut kept, terms, Shown::Hit);
    let hidden = terms.private_fields().iter().chain(terms.unvalidated_fields());
    let mut shown = hidden.filter(|name| kept.contains_key(*name));
    assert_eq!(shown.find(|name| **name != http::header::CONTENT_LENGTH), None);
}

/// A plain reading of a list: whoever writes no quotes means each member.
fn says_plainly(headers: &HeaderMap, word: &str) -> bool {
    let lines = headers.get_all("cache-control").into_iter().map(HeaderValue::as_bytes);
    let lines = lines.filter(|line| !line.contains(&b'"'));
    let mut members = lines.flat_map(|line| line.split(|byte| *byte == b','));
    members.any(|member| member.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

fn is_targeted(headers: &HeaderMap) -> bool {
    ["cdn-cache-control", "tidegate-cache-control"].iter().any(|name| headers.contains_key(*name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: usize = 1_500;
    const NAMES: [&str; 24] = [
        "accept-encoding",
        "age",
        "authorization",
        "cache-control",
        "cache-control",
        "cache-groups",
        "cdn-cache-control",
        "connection",
        "date",
        "etag",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "last-modified",
        "location",
        "no-vary-search",
        "pragma",
        "set-cookie",
        "surrogate-key",
        "tidegate-cache-control",
        "vary",
        "x-a",
    ];
    const PIECES: [&str; 44] = [
        "no-store",
        "no-cache",
        "private",
        "public",
        "max-age",
        "max-age=60",
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
        "https://a.example/",
        "//",
        "?#",
        "\u{e9}",
        "a",
    ];

    fn spoilt(random: &mut fastrand::Rng) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for _ in 0..random.usize(..6) {
            let mut piece = || PIECES[random.usize(..PIECES.len())];
            let value = [piece(), piece(), piece(), piece(), piece()];
            let value = value.into_iter().take(random.usize(..=5)).collect::<String>();
            let name = HeaderName::from_static(NAMES[random.usize(..NAMES.len())]);
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        headers
    }

    #[test]
    fn whatever_servers_send_what_they_forbid_is_not_done() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut stored = 0;
        for _ in 0..ROUNDS {
            let (request, response) = (spoilt(&mut random), spoilt(&mut random));
            let statuses: [u16; 7] = [200, 206, 301, 304, 404, 503, 599];
            let status = StatusCode::from_u16(statuses[random.usize(..7)]).expect("a status");
            stored += usize::from(exchange(status, &request, &response));
        }
        assert!(stored > ROUNDS / 50 && stored < ROUNDS, "{stored}");
    }
}
