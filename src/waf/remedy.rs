//! What would let a request pass that rules are against: exclusions, as narrow as
//! they can be, and tried.

use std::fmt;
use std::sync::Arc;

use super::config::{Config, Exclude, Part};
use super::{Blocked, Explained, Explanation, Profile, Score, Shelf, Whole};

/// How often a request is judged with further exclusions.
const MOST_ROUNDS: usize = 24;
/// Exclusions that anybody would want to write for one request.
const MOST: usize = 40;

/// Variables that hold what a client sent, or a server, by how their names begin.
const SENT: [&str; 8] = [
    "ARGS",
    "REQUEST_",
    "XML",
    "FILES",
    "MULTIPART_PART_HEADERS",
    "QUERY_STRING",
    "PATH_INFO",
    "RESPONSE_",
];

/// Exclusions that let a request pass.
#[derive(Debug)]
pub(crate) struct Remedy {
    /// To be added to those of the profile.
    pub exclude: Vec<Exclude>,
    /// What the profile makes of the request with them.
    pub after: Explanation,
}

impl Remedy {
    /// Looks for exclusions that let a request and its answer pass which the profile is
    /// against; none where there are none.
    pub(crate) fn find(
        config: &Config,
        whole: &Whole<'_>,
        mut found: Explanation,
        shelf: &mut Shelf,
    ) -> Option<Remedy> {
        let mut search = Search { path: prefix(&whole.asked.head.path), tried: Vec::new() };
        let mut exclude = Vec::new();
        for _ in 0..MOST_ROUNDS {
            if found.against().is_none() {
                return Some(Remedy { exclude, after: found });
            }
            exclude = search.next(exclude, &found)?;
            let with = |exclude: &[Exclude]| {
                let mut config = config.clone();
                config.exclude.extend(exclude.iter().cloned());
                config
            };
            match Profile::new(&with(&exclude), shelf) {
                Ok(profile) => found = Arc::new(profile?).explain(whole),
                Err(_) => {
                    exclude.retain(|one| !search.is_last(one));
                    // What the engine does not take is not tried twice, and the others are.
                    let is_taken = |one: &Exclude| {
                        Profile::new(&with(std::slice::from_ref(one)), shelf).is_ok()
                    };
                    search.forget(is_taken);
                }
            }
        }
        None
    }
}

/// What has been tried, for requests to one path.
struct Search {
    path: Option<String>,
    // The last of them in the last round.
    tried: Vec<(Exclude, Round)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    Last,
    Before,
}

impl Search {
    /// The exclusions to be tried next; none if nothing is left to try.
    fn next(&mut self, mut exclude: Vec<Exclude>, found: &Explanation) -> Option<Vec<Exclude>> {
        self.tried.iter_mut().for_each(|(_, round)| *round = Round::Before);
        let (Blocked::Rule(rule) | Blocked::Answer(rule)) = found.against()? else { return None };
        let rule: u32 = rule.parse().ok()?;
        let mut is_new = false;
        for (rule, names) in culprits(rule, found) {
            for name in names {
                let Some(narrowest) = self.narrowest(rule, name) else { continue };
                // A wider one needs no narrow one beside it.
                exclude.retain(|one| !covers(&narrowest, one));
                self.tried.push((narrowest.clone(), Round::Last));
                exclude.push(narrowest);
                is_new = true;
            }
        }
        (is_new && exclude.len() <= MOST).then_some(exclude)
    }

    /// Forgets those of the last round that are to be tried again.
    fn forget(&mut self, mut is_again: impl FnMut(&Exclude) -> bool) {
        self.tried.retain(|(one, round)| *round == Round::Before || !is_again(one));
    }

    fn is_last(&self, exclude: &Exclude) -> bool {
        self.tried.iter().any(|(tried, round)| tried == exclude && *round == Round::Last)
    }

    /// The narrowest exclusion that was not tried yet; none if one of this round may be enough.
    fn narrowest(&self, rule: u32, name: Option<&[u8]>) -> Option<Exclude> {
        let text = |bytes| str::from_utf8(bytes).ok();
        let whole = name.and_then(|name| text(name.split(|byte| *byte == b':').next()?));
        let exact = name.and_then(text).map(target);
        let targets = exact.into_iter().chain(whole.map(str::to_owned)).map(Some);
        let forms = targets.chain([None]).map(|target| {
            let path_prefix = self.path.clone();
            Exclude::Part(Part { rule: Some(rule), tag: None, target, path_prefix })
        });
        let forms: Vec<_> = forms.collect();
        if forms.iter().any(|form| self.is_last(form)) {
            return None;
        }
        let is_new = |form: &Exclude| !self.tried.iter().any(|(tried, _)| tried == form);
        forms.into_iter().find(|form| form.check().is_ok() && is_new(form))
    }
}

/// The rules that have to be kept from something, and from what: those that made
/// most of the score until it is low enough, or else the one that refuses.
fn culprits(refusing: u32, found: &Explanation) -> Vec<(u32, Vec<Option<&[u8]>>)> {
    let mut of_it = found.matches.iter().filter(|matched| matched.id == refusing);
    if let Some(names) = of_it.find_map(names) {
        return vec![(refusing, names)];
    }
    let (of, Score { sum, threshold }) = found.decisive();
    let scores = |matched: &&Explained| matched.of == of && matched.score > 0;
    let mut scoring: Vec<_> = found.matches.iter().filter(scores).collect();
    if scoring.is_empty() {
        return vec![(refusing, vec![None])];
    }
    scoring.sort_by_key(|matched| std::cmp::Reverse(matched.score));
    let threshold = threshold.unwrap_or(1);
    let mut left = sum.max(threshold);
    let mut chosen = Vec::new();
    for matched in scoring {
        if left < threshold {
            break;
        }
        left -= matched.score;
        chosen.push((matched.id, names(matched).unwrap_or_else(|| vec![None])));
    }
    chosen
}

/// The values that were sent and made a rule match; none if there were none.
fn names(matched: &Explained) -> Option<Vec<Option<&[u8]>>> {
    let is_sent =
        |name: &&[u8]| SENT.iter().any(|beginning| name.starts_with(beginning.as_bytes()));
    let decisive = matched.decisive.iter().map(Vec::as_slice);
    let names: Vec<_> = decisive.filter(is_sent).map(Some).collect();
    (!names.is_empty()).then_some(names)
}

/// A name as the target of an exclusion. The index of an element in an array is
/// another one in the next request, and stands for all of them.
fn target(name: &str) -> String {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let Some((variable, key)) = name.split_once(':') else { return name.to_owned() };
    let is_array = key.starts_with("json.") && key.split('.').any(is_index);
    if !is_array || !key.chars().all(is_plain) {
        return name.to_owned();
    }
    let parts = key.split('.').map(|part| if is_index(part) { "[0-9]+" } else { part });
    format!("{variable}:/^{}$/", parts.collect::<Vec<_>>().join("[.]"))
}

/// Whether an exclusion leaves nothing for another to exclude.
fn covers(wide: &Exclude, narrow: &Exclude) -> bool {
    let (Exclude::Part(wide), Exclude::Part(narrow)) = (wide, narrow) else { return false };
    let is_within = match (&wide.target, &narrow.target) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => {
            narrow.strip_prefix(wide.as_str()).is_some_and(|rest| rest.starts_with(':'))
        }
        (Some(_), None) => false,
    };
    wide.rule == narrow.rule && is_within
}

/// What of a path an exclusion names: up to what looks like a number of something,
/// or cannot be written; nothing if that is all of it.
fn prefix(path: &str) -> Option<String> {
    let can_be_written = |part: &str| {
        Exclude::Part(Part {
            rule: Some(1),
            path_prefix: Some(format!("/{part}")),
            ..Part::default()
        })
        .check()
        .is_ok()
    };
    let parts = path.trim_start_matches('/').trim_end_matches('/').split('/');
    let mut prefix = String::new();
    for part in parts {
        if part.is_empty() || !can_be_written(part) || !prefix.is_empty() && is_number(part) {
            break;
        }
        prefix.push('/');
        prefix.push_str(part);
    }
    (!prefix.is_empty()).then_some(prefix)
}

/// Whether a segment is a number, a UUID or a hash.
fn is_number(part: &str) -> bool {
    let is_decimal = part.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_decimal || part.len() >= 8 && is_hex && part.bytes().any(|byte| byte.is_ascii_digit())
}

/// As in the configuration.
impl fmt::Display for Exclude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = match self {
            Exclude::Rule(id) => return write!(f, "{id}"),
            Exclude::Part(part) => part,
        };
        let quoted = |text: &String| serde_json::Value::from(text.as_str()).to_string();
        let keys = [
            ("rule", part.rule.map(|rule| rule.to_string())),
            ("tag", part.tag.as_ref().map(quoted)),
            ("target", part.target.as_ref().map(quoted)),
            ("path_prefix", part.path_prefix.as_ref().map(quoted)),
        ];
        let keys = keys.into_iter().filter_map(|(key, value)| Some(format!("{key}: {}", value?)));
        write!(f, "{{ {} }}", keys.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

    use super::*;
    use crate::sanitise::{Head, Strict};
    use crate::waf::{Asked, WholeAnswer};

    /// The exclusions that let a GET of `target` pass, as they are written.
    fn remedy(profile: &str, target: &str) -> Option<Vec<String>> {
        remedy_of_answer(profile, target, None)
    }

    /// The same of its answer.
    fn remedy_of_answer(
        profile: &str,
        target: &str,
        answer: Option<WholeAnswer>,
    ) -> Option<Vec<String>> {
        let config: Config = serde_yaml::from_str(profile).expect("well-formed");
        let (method, uri) = (Method::GET, target.parse::<Uri>().expect("a target"));
        let fields = [(header::HOST, "a.example"), (header::USER_AGENT, "Mozilla/5.0")];
        let fields = fields.map(|(name, value)| (name, HeaderValue::from_static(value)));
        let fields = HeaderMap::from_iter(fields);
        let head = Head::read(&method, &uri, Version::HTTP_11, &fields, &Strict::default());
        let address = ([192, 0, 2, 1], 1).into();
        let head = head.expect("sound");
        let asked = Asked {
            head: &head,
            target,
            version: Version::HTTP_11,
            client: address,
            server: address,
            request_id: "1",
        };
        let mut shelf = Shelf::default();
        let profile = Profile::new(&config, &mut shelf).expect("good").expect("not off");
        let profile = Arc::new(profile);
        let whole = Whole { asked, body: None, answer: answer.as_ref() };
        let found = profile.explain(&whole);
        assert!(found.against().is_some(), "{target} passes");
        let remedy = Remedy::find(&config, &whole, found, &mut shelf)?;
        assert!(remedy.after.against().is_none());
        Some(remedy.exclude.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn check(profile: &str, target: &str, expected: &[&str]) {
        assert_eq!(remedy(profile, target).expect("a remedy"), expected, "{target}");
    }

    fn own(rules: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("own.conf");
        std::fs::write(&path, rules).expect("written");
        let profile = format!("{{ rules: {{ files: ['{}'] }} }}", path.display());
        (dir, profile)
    }

    #[test]
    fn a_rule_that_refuses_by_itself_is_kept_from_the_value() {
        let (_dir, profile) = own("SecRule ARGS|REQUEST_URI \"@contains attack\" \
            \"id:7,phase:1,deny,log\"\n\
            SecRule TX:tidegate_path \"@streq /closed/\" \"id:8,phase:1,deny,log\"\n");
        let uri = "{ rule: 7, target: \"REQUEST_URI\", path_prefix: \"/a\" }";
        let q = "{ rule: 7, target: \"ARGS:q\", path_prefix: \"/a\" }";
        check(&profile, "/a/12/b?q=attack", &[q, uri]);
        check(&profile, "/closed", &["{ rule: 8, path_prefix: \"/closed\" }"]);
        let (_dir, profile) = own("SecRule ARGS|TX:tidegate_path \"@contains attack\" \
            \"id:7,phase:1,deny,log\"\n");
        check(&profile, "/attack?q=attack", &["{ rule: 7, path_prefix: \"/attack\" }"]);
    }

    #[test]
    fn what_cannot_be_written_is_excluded_more_widely() {
        let (_dir, profile) = own("SecRule ARGS \"@contains attack\" \"id:7,phase:1,deny,log\"\n");
        check(&profile, "/?a%7Cb=attack", &["{ rule: 7, target: \"ARGS\" }"]);
        check(&profile, "/?a=attack", &["{ rule: 7, target: \"ARGS:a\" }"]);
    }

    #[test]
    fn a_wider_exclusion_stands_for_those_that_were_not_enough() {
        let rules = "SecRule ARGS:c \"@contains attack\" \"id:8,phase:1,deny,log\"\n\
            SecRule ARGS \"@contains attack\" \"id:7,phase:1,deny,log\"\n";
        let (_dir, profile) = own(rules);
        let (c, all) = ("{ rule: 8, target: \"ARGS:c\" }", "{ rule: 7, target: \"ARGS\" }");
        // Names that an exclusion takes for an expression: it matches another, or is none.
        check(&profile, "/?%2F%5Eb%24%2F=attack", &[all]);
        check(&profile, "/?%2F%5Eb%24%2F=attack&a=attack", &[all]);
        check(&profile, "/?%2F%5Eb%24%2F=attack&c=attack", &[c, all]);
        check(&profile, "/?%2F(%2F=attack", &[all]);
        check(&profile, "/?%2F(%2F=attack&c=attack", &[c, all]);
        // Of a name that begins like another one's nothing is said.
        let [ab, a] = ["ab", "a"].map(|name| format!("{{ rule: 7, target: \"ARGS:{name}\" }}"));
        check(&profile, "/?ab=attack&a=attack", &[&ab, &a]);
        // One for all of them, and no wider.
        check(&profile, "/?%2F%5Eb%24%2F=attack&%2F%5Ed%24%2F=attack", &[all]);
        check(&profile, "/?a=attack&a=attack", &["{ rule: 7, target: \"ARGS:a\" }"]);
        let elements = "{ rule: 7, target: \"ARGS:/^json[.]a[.][0-9]+$/\" }";
        check(&profile, "/?json.a.0=attack&json.a.1=attack", &[elements]);
    }

    #[test]
    fn what_is_refused_beside_another_exclusion_makes_that_no_wider() {
        let rules = ["a", "b"].map(|word| {
            let id = word.as_bytes()[0];
            format!(
                "SecRule ARGS \"@contains {word}\" \"id:{id},phase:1,pass,log,\
                 setvar:tx.anomaly_score=+3\"\n"
            )
        });
        let rules = [
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=3\"\n",
            &rules.concat(),
            "SecRule TX:anomaly_score \"@ge %{tx.inbound_anomaly_score_threshold}\" \
             \"id:9,phase:1,deny,log\"\n",
        ];
        let (_dir, profile) = own(&rules.concat());
        let (a, b) = ("{ rule: 97, target: \"ARGS\" }", "{ rule: 98, target: \"ARGS:x\" }");
        check(&profile, "/?%2F(%2F=a&x=b", &[a, b]);
    }

    #[test]
    fn nobody_writes_more_exclusions_than_a_few_dozen() {
        let (_dir, profile) = own("SecRule ARGS \"@contains attack\" \"id:7,phase:1,deny,log\"\n");
        for (count, expected) in [(MOST, Some(MOST)), (MOST + 1, None)] {
            let args: Vec<_> = (0..count).map(|number| format!("n{number}=attack")).collect();
            let found = remedy(&profile, &format!("/?{}", args.join("&")));
            assert_eq!(found.map(|exclude| exclude.len()), expected, "{count} arguments");
        }
    }

    #[test]
    fn only_as_much_of_a_score_is_excluded_as_has_to_be() {
        let score = |id, word, score| {
            format!(
                "SecRule ARGS \"@contains {word}\" \"id:{id},phase:1,pass,log,\
                 setvar:tx.anomaly_score=+{score}\"\n"
            )
        };
        let rules = [
            "SecAction \"id:1,phase:1,pass,nolog,setvar:tx.inbound_anomaly_score_threshold=5\"\n",
            &score(2, "a", 2),
            &score(3, "b", 3),
            &score(4, "c", 3),
            "SecRule TX:anomaly_score \"@ge %{tx.inbound_anomaly_score_threshold}\" \
             \"id:9,phase:1,deny,log\"\n",
        ];
        let (_dir, profile) = own(&rules.concat());
        let three = "{ rule: 3, target: \"ARGS:x\" }";
        check(&profile, "/?x=ab", &[three]);
        check(&profile, "/?x=abc", &[three, "{ rule: 4, target: \"ARGS:x\" }"]);
    }

    #[test]
    fn our_own_rules_are_kept_from_the_value() {
        let found = remedy("{}", "/search?q=1%27%20UNION%20SELECT%20a,b%20FROM%20users--%20");
        let found = found.expect("a remedy");
        assert!(!found.is_empty());
        for one in &found {
            assert!(one.contains("target: \"ARGS:q\", path_prefix: \"/search\""), "{one}");
        }
    }

    #[test]
    fn rules_are_kept_from_what_a_server_says() {
        let (dir, _) =
            own("SecRule RESPONSE_HEADERS:X-Debug \"@rx .\" \"id:3,phase:3,deny,log\"\n\
             SecRule RESPONSE_STATUS \"@streq 200\" \"id:4,phase:4,deny,log,chain\"\n\
             SecRule RESPONSE_BODY \"@contains attack\" \"\"\n");
        let path = dir.path().join("own.conf");
        let profile = format!("{{ responses: true, rules: {{ files: ['{}'] }} }}", path.display());
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let debug = (HeaderName::from_static("x-debug"), HeaderValue::from_static("1"));
        let answer = WholeAnswer {
            status: StatusCode::OK,
            headers: HeaderMap::from_iter([kind, debug]),
            body: Some(b"an attack".to_vec()),
        };
        let found = remedy_of_answer(&profile, "/a", Some(answer)).expect("a remedy");
        let of =
            |rule, target| format!("{{ rule: {rule}, target: \"{target}\", path_prefix: \"/a\" }}");
        let status = of(4, "RESPONSE_STATUS");
        assert_eq!(found, [of(3, "RESPONSE_HEADERS:x-debug"), status, of(4, "RESPONSE_BODY")]);
    }

    #[test]
    fn elements_of_arrays_are_meant_wherever_they_stand() {
        for (name, expected) in [
            ("ARGS:q", "ARGS:q"),
            ("ARGS:q.1", "ARGS:q.1"),
            ("ARGS:json.a.b", "ARGS:json.a.b"),
            ("ARGS:json.a.10.b", "ARGS:/^json[.]a[.][0-9]+[.]b$/"),
            ("REQUEST_URI", "REQUEST_URI"),
        ] {
            assert_eq!(target(name), expected);
        }
    }

    #[test]
    fn a_path_ends_before_numbers_and_what_cannot_be_written() {
        for (path, expected) in [
            ("/", None),
            ("/a", Some("/a")),
            ("/a/b/", Some("/a/b")),
            ("/a/12/b", Some("/a")),
            ("/12/b", Some("/12/b")),
            ("/a/0b1c2d3e-aaaa/b", Some("/a")),
            ("/a/cafe/deadbeef", Some("/a/cafe/deadbeef")),
            ("/a/b%20c/d", Some("/a")),
            ("/b%20c/d", None),
        ] {
            assert_eq!(prefix(path).as_deref(), expected, "{path}");
        }
    }
}
