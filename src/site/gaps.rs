//! Routes that guard `/api/` and leave `/api` to another one, as warnings: many
//! servers take both for the same.

use crate::config::{Config, Route};
use crate::route::Match;

/// A warning for each.
pub(super) fn of(config: &Config) -> Vec<String> {
    let mut gaps = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let Some(bare) = route.r#match.path_prefix.as_deref().and_then(|at| at.strip_suffix('/'))
        else {
            continue;
        };
        if bare.is_empty() || !is_guarded(route) {
            continue;
        }
        let others = config.routes.iter().enumerate();
        let gets_by =
            |(_, other): &(usize, &Route)| takes(&other.r#match, bare) && meets(route, other);
        // One that is as narrow is there for it; the widest is where it ends up.
        let by = others.filter(gets_by).max_by_key(|(_, other)| length(&other.r#match));
        if let Some((by, other)) = by
            && !is_guarded(other)
        {
            gaps.push(format!(
                "routes[{index}] guards {bare}/ and not {bare}, which routes[{by}] lets through to \
                 the same servers; write `path_prefix: {bare}`"
            ));
        }
    }
    gaps
}

fn is_guarded(route: &Route) -> bool {
    route.access != Default::default()
}

/// Whether a request for `path` may be for this, as far as the path goes.
fn takes(of: &Match, path: &str) -> bool {
    match (&of.path, &of.path_prefix, &of.path_regex) {
        (Some(whole), _, _) => whole == path,
        (_, Some(prefix), _) => {
            let rest = path.strip_prefix(prefix.as_str());
            rest.is_some_and(|rest| {
                prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')
            })
        }
        // What a pattern takes is its own affair.
        (_, _, Some(_)) => false,
        (None, None, None) => true,
    }
}

/// How much of a path it names.
fn length(of: &Match) -> usize {
    let whole = of.path.as_ref().map(|path| path.len() + 1);
    whole.or_else(|| of.path_prefix.as_ref().map(String::len)).unwrap_or(0)
}

/// Whether both ask a server of the same upstream.
fn meets(route: &Route, other: &Route) -> bool {
    let asks = |route: &Route, name: &str| {
        route.upstream.as_deref() == Some(name) || route.upstreams.contains_key(name)
    };
    let names = route.upstream.as_deref().into_iter();
    names.chain(route.upstreams.keys().map(String::as_str)).any(|name| asks(other, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(routes: &str, expected: &[&str]) {
        let config: Config = serde_yaml::from_str(&format!("routes: [{routes}]")).unwrap();
        let gaps = of(&config);
        assert_eq!(gaps.len(), expected.len(), "{gaps:?}");
        for (gap, part) in gaps.iter().zip(expected) {
            assert!(gap.contains(part), "{gap}");
        }
    }

    #[test]
    fn a_path_beside_what_is_guarded_is_known() {
        let guarded =
            "{ match: { path_prefix: /api/ }, upstream: app, access: { methods: [GET] } }";
        let said = "routes[0] guards /api/ and not /api, which routes[1] lets through";
        check(&format!("{guarded}, {{ upstream: app }}"), &[said]);
        check(
            &format!("{guarded}, {{ match: {{ path_prefix: / }}, upstreams: {{ app: 1 }} }}"),
            &[said],
        );
        check(&format!("{guarded}, {{ match: {{ path: /api }}, upstream: app }}"), &[said]);
        // Nothing gets by.
        check(guarded, &[]);
        check(&format!("{guarded}, {{ upstream: other }}"), &[]);
        check(&format!("{guarded}, {{ match: {{ path_prefix: /apis }}, upstream: app }}"), &[]);
        let bare = "{ match: { path: /api }, upstream: app, access: { methods: [GET] } }";
        check(&format!("{guarded}, {bare}, {{ upstream: app }}"), &[]);
        check("{ match: { path_prefix: /api/ }, upstream: app }, { upstream: app }", &[]);
        check(&guarded.replace("/api/", "/api"), &[]);
    }
}
