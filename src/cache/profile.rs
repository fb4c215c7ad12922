//! A profile as it runs: its words, checked and made into rules and keys.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use http::header::{
    HOST, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName};
use regex::Regex;

use super::config::{KeyConfig, PaceConfig, Policy, PrefetchConfig, ProfileConfig, QueryConfig};
use super::key::{Choice, Pattern, Query, Shape};
use super::next;
use super::policy::rules::{Clients, Rules, Strictness};
use super::target::Target;
use crate::fault::{Faults, KeyPath};
use crate::units::{ByteSize, Period};

/// No response is fresh, or stands in, for longer.
const LONGEST: Period = Period::from_secs(365 * 86_400);
const SMALLEST_SLICE: ByteSize = ByteSize::kib(256);
const LARGEST_SLICE: ByteSize = ByteSize::mib(8);
/// Fields and patterns of one key; each costs every request.
const MOST_HEADERS: usize = 16;
const MOST_PATTERNS: usize = 64;
/// Segments fetched ahead: more would be guessing.
const LARGEST_BUDGET: u32 = 64;

/// What one of `cache.profiles` comes to.
#[derive(Debug, Clone)]
pub(crate) struct Profile {
    pub rules: Rules,
    /// Tells rules apart.
    pub of: u64,
    pub shape: Shape,
    /// Bytes of a slice, if parts come in slices. Invariant: a power of two.
    pub slice: Option<u64>,
    /// Bytes of the largest response that is stored.
    pub max_object: u64,
    pub prefetch: Prefetch,
    /// None where a response is sent as fast as can be.
    pub pace: Option<Pace>,
}

/// What is fetched before it is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Prefetch {
    /// Paths whose next one is known. Invariant: it has one group.
    pattern: Option<Regex>,
    is_by_link: bool,
    /// How many may be on their way at once.
    pub budget: usize,
}

impl Prefetch {
    pub(crate) fn is_off(&self) -> bool {
        self.pattern.is_none() && !self.is_by_link
    }

    /// What is asked for after `target`, whose response is at hand: of its origin, paths with
    /// queries as in a request of a client.
    pub(crate) fn after(&self, target: &Target<'_>, response: &HeaderMap) -> Vec<String> {
        let pattern = self.pattern.as_ref();
        let path = pattern.and_then(|pattern| next::counted_up(pattern, target.path));
        let by_pattern = path.map(|path| Target { path: &path, ..*target }.to_string());
        let by_link = match self.is_by_link {
            true => next::named(response, target),
            false => Vec::new(),
        };
        by_pattern.into_iter().chain(by_link).collect()
    }
}

/// How fast each response is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Bytes that are sent at once.
    pub burst: u64,
    /// Bytes per second after that. Invariant: more than none.
    pub rate: u64,
}

impl Profile {
    /// Checks everything, and tells all that is wrong.
    pub(crate) fn new(config: &ProfileConfig) -> Result<Profile, Faults> {
        let mut faults = Faults::none();
        let rules = rules(config, &mut faults);
        let shape = faults.collect("key", shape(&config.key));
        let prefetch = faults.collect("prefetch", prefetch(&config.prefetch));
        let pace = faults.collect("pace", pace(&config.pace));
        let slice = config.slice.set();
        if slice.is_some_and(|slice| !is_slice(slice)) {
            let what =
                format!("must be a power of two from {SMALLEST_SLICE} to {LARGEST_SLICE}, or off");
            faults.extend(Faults::at("slice", what));
        }
        if config.max_object == ByteSize(0) {
            faults.extend(Faults::at("max_object", "must be more than 0"));
        }
        faults.into_result(|| {
            Some(Profile {
                of: fingerprint(&rules),
                rules,
                shape: shape?,
                slice: slice.map(|slice| slice.0),
                max_object: config.max_object.0,
                prefetch: prefetch?,
                pace: pace?,
            })
        })
    }
}

/// A number of its own for rules that judge alike; it means nothing to other processes.
fn fingerprint(rules: &Rules) -> u64 {
    let mut hasher = DefaultHasher::new();
    rules.hash(&mut hasher);
    hasher.finish()
}

fn is_slice(size: ByteSize) -> bool {
    (SMALLEST_SLICE..=LARGEST_SLICE).contains(&size) && size.0.is_power_of_two()
}

fn rules(config: &ProfileConfig, faults: &mut Faults) -> Rules {
    let mut checked = |key: &str, period: Period| {
        if period > LONGEST {
            faults.extend(Faults::at(key, format!("must be at most {LONGEST}")));
        }
        period.0
    };
    let stale_while_revalidate = checked("stale_while_revalidate", config.stale_while_revalidate);
    let stale_if_error = checked("stale_if_error", config.stale_if_error);
    let ttl = config.ttl.map(|ttl| checked("ttl", ttl));
    if ttl.is_some_and(|ttl| ttl.is_zero()) {
        let what = "must be longer than 0; leave it out where only the server says";
        faults.extend(Faults::at("ttl", what));
    }
    let mut statuses = BTreeMap::new();
    for (status, period) in &config.statuses {
        let read = read_status(status, *period).map_err(Faults::one);
        let read = faults.collect("statuses", read.map_err(|fault| fault.under(status.as_str())));
        statuses.extend(read);
    }
    Rules {
        strictness: match config.policy {
            Policy::Safe => Strictness::Safe,
            Policy::StrictRfc => Strictness::Rfc,
        },
        clients: match config.client_directives.0 {
            true => Clients::Heeded,
            false => Clients::PassedOver,
        },
        ttl,
        statuses,
        stale_while_revalidate,
        stale_if_error,
    }
}

fn read_status(status: &str, period: Period) -> Result<(u16, Duration), String> {
    let status = crate::units::digits::<u16>(status)
        .filter(|status| (200..=599).contains(status) && ![206, 304].contains(status))
        .ok_or("only 200 to 599 are stored, and of these not 206 and 304")?;
    if period > LONGEST {
        return Err(format!("must be at most {LONGEST}"));
    }
    Ok((status, period.0))
}

fn shape(config: &KeyConfig) -> Result<Shape, Faults> {
    let mut faults = Faults::none();
    let query = faults.collect("query", query(&config.query));
    let headers = faults.collect("headers", headers(&config.headers));
    let device = config.device.0;
    faults.into_result(|| Some(Shape { query: query?, headers: headers?, device }))
}

fn query(config: &QueryConfig) -> Result<Query, Faults> {
    let sort = config.sort.0;
    let Some(keep) = &config.keep else {
        let dropped = patterns(&config.drop).map_err(|faults| faults.under("drop"))?;
        return Ok(Query { choice: Choice::Drop(dropped), sort });
    };
    if !config.drop.is_empty() {
        return Err(Faults::at("drop", "what `keep` does not name is dropped already"));
    }
    let kept = patterns(keep).map_err(|faults| faults.under("keep"))?;
    Ok(Query { choice: Choice::Keep(kept), sort })
}

fn patterns(written: &[String]) -> Result<Vec<Pattern>, Faults> {
    if written.len() > MOST_PATTERNS {
        return Err(Faults::one(format!("has more than {MOST_PATTERNS} names")));
    }
    let mut faults = Faults::none();
    let mut patterns = Vec::new();
    for (index, text) in written.iter().enumerate() {
        let read = Pattern::read(text).map_err(|what| Faults::one(format!("`{text}`: {what}")));
        patterns.extend(faults.collect(index, read));
    }
    faults.into_result(|| Some(patterns))
}

fn headers(written: &[String]) -> Result<Vec<HeaderName>, Faults> {
    if written.len() > MOST_HEADERS {
        return Err(Faults::one(format!("has more than {MOST_HEADERS} names")));
    }
    let mut faults = Faults::none();
    let mut names: Vec<HeaderName> = Vec::new();
    for (index, text) in written.iter().enumerate() {
        match header(text, &names) {
            Ok(name) => names.push(name),
            Err(what) => faults.add(KeyPath::root().child(index), format!("`{text}` {what}")),
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    faults.into_result(|| Some(names))
}

fn header(text: &str, before: &[HeaderName]) -> Result<HeaderName, &'static str> {
    let name = HeaderName::try_from(text).map_err(|_| "is no name of a header field")?;
    let of_a_copy =
        [RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE];
    if name == HOST {
        return Err("is a part of every key");
    }
    if of_a_copy.contains(&name) {
        return Err("is about what a client has, not about what it asks for");
    }
    if before.contains(&name) {
        return Err("is named twice");
    }
    Ok(name)
}

fn prefetch(config: &PrefetchConfig) -> Result<Prefetch, Faults> {
    let mut faults = Faults::none();
    let pattern = config.pattern.as_deref().map(read_pattern).transpose();
    let pattern = faults.collect("pattern", pattern.map_err(Faults::one));
    if !(1..=LARGEST_BUDGET).contains(&config.budget) {
        faults.extend(Faults::at("budget", format!("must be 1 to {LARGEST_BUDGET}")));
    }
    let budget = usize::try_from(config.budget).unwrap_or(usize::MAX);
    let is_by_link = config.link.0;
    faults.into_result(|| Some(Prefetch { pattern: pattern?, is_by_link, budget }))
}

fn read_pattern(text: &str) -> Result<Regex, String> {
    let regex = Regex::new(text).map_err(|fault| {
        // The library draws the place below the text; the last line says what it is.
        let what = fault.to_string();
        let what = what.lines().last().unwrap_or_default().trim_start_matches("error: ");
        format!("`{text}` is no regex: {what}")
    })?;
    // The whole match is a group of its own.
    if regex.captures_len() != 2 {
        return Err(format!(
            "`{text}` needs one group, the number that is counted up: `/seg-(\\d+)\\.ts$`"
        ));
    }
    Ok(regex)
}

fn pace(config: &PaceConfig) -> Result<Option<Pace>, Faults> {
    match config.rate.set() {
        None => Ok(None),
        Some(rate) if rate.0 == 0 => Err(Faults::at("rate", "must be more than 0, or off")),
        Some(rate) => Ok(Some(Pace { burst: config.burst.0, rate: rate.0 })),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(written: Value) -> ProfileConfig {
        serde_json::from_value(written).expect("it reads")
    }

    fn check(written: Value, expected: &[(&str, &str)]) {
        let faults = Profile::new(&config(written.clone())).err().unwrap_or_default();
        let found: Vec<(String, &str)> =
            faults.iter().map(|fault| (fault.at.to_string(), fault.what.as_str())).collect();
        let expected: Vec<_> =
            expected.iter().map(|(at, what)| ((*at).to_owned(), *what)).collect();
        assert_eq!(found, expected, "{written}");
    }

    #[test]
    fn an_empty_profile_is_what_servers_say() {
        let profile = Profile::new(&ProfileConfig::default()).expect("good");
        assert_eq!(profile.rules, Rules::default());
        assert_eq!(profile.shape, Shape::default());
        assert_eq!((profile.slice, profile.pace), (None, None));
        assert!(profile.prefetch.pattern.is_none());
    }

    #[test]
    fn a_full_profile_is_read_whole() {
        let profile = Profile::new(&config(json!({
            "ttl": "1h",
            "statuses": { "404": "1m", "301": "0s" },
            "stale_while_revalidate": "1m",
            "stale_if_error": "2d",
            "slice": "256KiB",
            "key": {
                "query": { "drop": ["utm_*"], "sort": true },
                "headers": ["X-B", "accept-encoding"],
                "device": true,
            },
            "prefetch": { "pattern": "seg-(\\d+)\\.ts$", "link": true, "budget": 8 },
            "pace": { "burst": "1MiB", "rate": "500KiB/s" },
            "policy": "strict_rfc",
            "client_directives": true,
            "max_object": "1GiB",
        })))
        .expect("good");
        let seconds = Duration::from_secs;
        assert_eq!(
            profile.rules,
            Rules {
                strictness: Strictness::Rfc,
                clients: Clients::Heeded,
                ttl: Some(seconds(3600)),
                statuses: [(404, seconds(60)), (301, seconds(0))].into(),
                stale_while_revalidate: seconds(60),
                stale_if_error: seconds(172_800),
            }
        );
        assert_eq!(profile.shape.headers, ["accept-encoding", "x-b"]);
        assert!(profile.shape.device && profile.shape.query.sort);
        let dropped = Pattern::read("utm_*").expect("a pattern");
        assert_eq!(profile.shape.query.choice, Choice::Drop(vec![dropped]));
        assert_eq!(profile.pace, Some(Pace { burst: 1 << 20, rate: 500 << 10 }));
        assert_eq!((profile.slice, profile.max_object), (Some(1 << 18), 1 << 30));
        assert_eq!((profile.prefetch.budget, profile.prefetch.is_by_link), (8, true));
        assert!(profile.prefetch.pattern.expect("one").is_match("/a/seg-12.ts"));
    }

    #[test]
    fn bad_times_name_their_key() {
        let long = "must be at most 365d";
        check(
            json!({ "ttl": "0s" }),
            &[("ttl", "must be longer than 0; leave it out where only the server says")],
        );
        check(json!({ "ttl": "366d" }), &[("ttl", long)]);
        check(json!({ "stale_while_revalidate": "366d" }), &[("stale_while_revalidate", long)]);
        check(json!({ "stale_if_error": "366d" }), &[("stale_if_error", long)]);
        check(json!({ "statuses": { "404": "366d" } }), &[("statuses.404", long)]);
        let status = "only 200 to 599 are stored, and of these not 206 and 304";
        for bad in ["206", "304", "199", "600", "x", "+404"] {
            let at = format!("statuses.{bad}");
            check(json!({ "statuses": { bad: "1m" } }), &[(&at, status)]);
        }
    }

    #[test]
    fn bad_sizes_name_their_key() {
        let slice = "must be a power of two from 256KiB to 8MiB, or off";
        for bad in ["0", "128KiB", "16MiB", "1MB"] {
            check(json!({ "slice": bad }), &[("slice", slice)]);
        }
        check(json!({ "max_object": 0 }), &[("max_object", "must be more than 0")]);
        check(
            json!({ "pace": { "rate": "0B/s" } }),
            &[("pace.rate", "must be more than 0, or off")],
        );
    }

    #[test]
    fn bad_keys_name_the_item() {
        check(
            json!({ "key": { "headers": ["a", "A", "host", "range", "a b"] } }),
            &[
                ("key.headers[1]", "`A` is named twice"),
                ("key.headers[2]", "`host` is a part of every key"),
                (
                    "key.headers[3]",
                    "`range` is about what a client has, not about what it asks for",
                ),
                ("key.headers[4]", "`a b` is no name of a header field"),
            ],
        );
        let many: Vec<String> = (0..99).map(|number| format!("x{number}")).collect();
        check(json!({ "key": { "headers": &many } }), &[("key.headers", "has more than 16 names")]);
        check(
            json!({ "key": { "query": { "keep": ["a"], "drop": ["b"] } } }),
            &[("key.query.drop", "what `keep` does not name is dropped already")],
        );
        check(
            json!({ "key": { "query": { "drop": ["a*", "*b"] } } }),
            &[("key.query.drop[1]", "`*b`: `*` may only be at its end")],
        );
        check(
            json!({ "key": { "query": { "keep": [""] } } }),
            &[("key.query.keep[0]", "``: is empty")],
        );
        check(
            json!({ "key": { "query": { "keep": many } } }),
            &[("key.query.keep", "has more than 64 names")],
        );
    }

    #[test]
    fn a_pattern_has_one_group() {
        let group = "needs one group, the number that is counted up: `/seg-(\\d+)\\.ts$`";
        for bad in ["a", "(a)(b)"] {
            let what = format!("`{bad}` {group}");
            check(json!({ "prefetch": { "pattern": bad } }), &[("prefetch.pattern", &what)]);
        }
        check(
            json!({ "prefetch": { "pattern": "(" } }),
            &[("prefetch.pattern", "`(` is no regex: unclosed group")],
        );
        for bad in [0, 65] {
            let written = json!({ "prefetch": { "budget": bad } });
            check(written, &[("prefetch.budget", "must be 1 to 64")]);
        }
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let written =
            json!({ "ttl": "0s", "slice": 1, "max_object": 0, "pace": { "rate": "0B/s" } });
        let faults = Profile::new(&config(written)).err().unwrap_or_default();
        assert_eq!(faults.iter().count(), 4);
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        for written in
            [json!({ "tll": "1h" }), json!({ "key": { "header": [] } }), json!({ "policy": "x" })]
        {
            assert!(serde_json::from_value::<ProfileConfig>(written.clone()).is_err(), "{written}");
        }
    }
}
