//! Keys that a route says itself and that would change nothing there: whoever
//! wrote them meant something. What `defaults` say is for routes that can use it.

use crate::config::{Config, Route};
use crate::fault::{Faults, KeyPath};
use crate::limit::{Counted, Listed};
use crate::units::Switch;

/// A fault for each.
pub(super) fn of(route: &Route, config: &Config) -> Faults {
    let mut faults = Faults::none();
    let asks_servers = route.upstream.is_some() || !route.upstreams.is_empty();
    let answers_at_once = route.redirect.is_some() || route.respond.is_some();
    // What the route does is one thing, or a fault of its own.
    if !asks_servers && (answers_at_once || route.files.is_some()) {
        for_servers(route, config, &mut faults);
    }
    if !asks_servers && answers_at_once && route.priority.is_some() {
        let what = "says who is shed first; a route that answers at once is never shed";
        faults.extend(Faults::at("priority", what));
    }
    let access = &route.access;
    if access.challenge == Default::default() {
        let keys = [
            ("challenge_difficulty", access.challenge_difficulty == Default::default()),
            ("challenge_lasts", access.challenge_lasts == Default::default()),
        ];
        for (key, _) in keys.iter().filter(|(_, is_default)| !is_default) {
            let what = "is of the challenge, which is off; write `challenge`, or leave it out";
            faults.add(path(&["access", key]), what);
        }
    }
    faults
}

/// What changes requests to servers, on a route that sends none.
fn for_servers(route: &Route, config: &Config, faults: &mut Faults) {
    let asked = "changes what servers are asked; this route asks none";
    let told = "changes what servers are told; this route asks none";
    let access = &route.access;
    let is_written = |key: &[&str], is: bool, what: &str, faults: &mut Faults| {
        if is {
            faults.add(path(key), what);
        }
    };
    is_written(&["rewrite"], route.rewrite.is_some(), asked, faults);
    let changes = route.headers.request != Default::default();
    is_written(&["headers", "request"], changes, told, faults);
    let claims = access.jwt.as_ref().is_some_and(|jwt| !jwt.headers.is_empty());
    is_written(&["access", "jwt", "headers"], claims, told, faults);
    let copies = access.forward.as_ref().is_some_and(|forward| !forward.headers.is_empty());
    is_written(&["access", "forward", "headers"], copies, told, faults);
    let hides = access.basic.as_ref().is_some_and(|basic| basic.pass == Switch::OFF);
    is_written(&["access", "basic", "pass"], hides, told, faults);
    let Listed::Names(own) = &route.rate_limits else { return };
    for (index, name) in own.iter().enumerate() {
        let limit = config.rate_limits.get(name);
        if limit.is_some_and(|limit| limit.count == Counted::BodyBytes) {
            let what = format!("`{name}` counts what servers are sent; this route asks none");
            faults.add(path(&["rate_limits"]).child(index), what);
        }
    }
}

fn path(keys: &[&str]) -> KeyPath {
    keys.iter().fold(KeyPath::root(), |path, key| path.child(*key))
}

/// Rate limits that neither a route nor `defaults` list, as warnings.
pub(super) fn unlisted(config: &Config) -> Vec<String> {
    let of_routes = config.routes.iter().filter_map(|route| match &route.rate_limits {
        Listed::Names(names) => Some(names),
        Listed::None(_) => None,
    });
    let listed: Vec<&String> = of_routes.chain([&config.defaults.rate_limits]).flatten().collect();
    let unlisted = config.rate_limits.keys().filter(|name| !listed.contains(name));
    let warning = |name: &String| {
        format!(
            "rate_limits.{name} limits nobody: neither a route nor `defaults` has it in its \
             `rate_limits`"
        )
    };
    unlisted.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(route: &str, expected: &[&str]) {
        let yaml = format!(
            "rate_limits: {{ bytes: {{ count: body_bytes, rate: 1MiB/s }}, few: {{ rate: 1/s }} }}
defaults: {{ rate_limits: [bytes], priority: low, headers: {{ request: {{ set: {{ a: b }} }} }} }}
routes: [{{ {route} }}]"
        );
        let config: Config = serde_yaml::from_str(&yaml).expect("well-formed");
        let faults = of(&config.routes[0], &config);
        let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(at, expected, "{route}");
    }

    #[test]
    fn what_changes_nothing_on_a_route_is_a_fault_unless_defaults_say_it() {
        let all = "rewrite: { strip_prefix: /a }, headers: { request: { set: { a: b } } },
            access: { basic: { file: f, pass: off }, jwt: { jwks: k, headers: { a: sub } },
              forward: { url: u, headers: [a] } },
            rate_limits: [few, bytes], priority: high";
        let told = [
            "rewrite",
            "headers.request",
            "access.jwt.headers",
            "access.forward.headers",
            "access.basic.pass",
            "rate_limits[1]",
        ];
        let at_once = [&told[..], &["priority"]].concat();
        check(&format!("upstream: app, {all}"), &[]);
        check(&format!("upstreams: {{ app: 1 }}, {all}"), &[]);
        check(&format!("respond: {{}}, {all}"), &at_once);
        check(&format!("redirect: {{ to: / }}, {all}"), &at_once);
        check(&format!("files: {{ root: / }}, {all}"), &told);
        let answers = "headers: { response: { set: { a: b } } }, rate_limits: [few]";
        check(&format!("respond: {{}}, {answers}, limits: {{ body: 4 }}"), &[]);
        // What it does is a fault already.
        check(all, &[]);
    }

    #[test]
    fn a_challenge_that_is_off_has_no_other_keys() {
        let keys = "challenge_difficulty: 20, challenge_lasts: 1h";
        let expected = ["access.challenge_difficulty", "access.challenge_lasts"];
        check(&format!("upstream: app, access: {{ {keys} }}"), &expected);
        check(&format!("upstream: app, access: {{ challenge: off, {keys} }}"), &expected);
        check(&format!("upstream: app, access: {{ challenge: always, {keys} }}"), &[]);
        check("upstream: app, access: { challenge_difficulty: 16, challenge_lasts: 12h }", &[]);
    }

    #[test]
    fn a_rate_limit_that_nobody_lists_is_known() {
        let yaml = "rate_limits: { a: { rate: 1/s }, b: { rate: 1/s }, c: { rate: 1/s } }
defaults: { rate_limits: [a] }
routes: [{ respond: {}, rate_limits: [b] }, { respond: {}, rate_limits: none }]";
        let config: Config = serde_yaml::from_str(yaml).expect("well-formed");
        let warnings = unlisted(&config);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("rate_limits.c limits nobody"), "{warnings:?}");
    }
}
