//! Routes that guard `/api/` and leave `/api` to another one, as warnings: many
//! servers take both for the same.

use crate::config::{Config, Route};
use crate::route::Router;

/// A warning for each; `router` leads to the places of routes in `config`.
pub(super) fn of(config: &Config, router: &Router<usize>) -> Vec<String> {
    let mut gaps = Vec::new();
    for (index, route) in config.routes.iter().enumerate() {
        let written = &route.r#match;
        let Some(bare) = written.path_prefix.as_deref().and_then(|at| at.strip_suffix('/')) else {
            continue;
        };
        if bare.is_empty() || !is_guarded(route) {
            continue;
        }
        // Any name will do where any, or every one below another, is meant.
        let host = written.hosts.first().map(|host| host.replace('*', "any")).unwrap_or_default();
        if let Some(&by) = router.first_at(&host, bare)
            && let Some(other) = config.routes.get(by)
            && meets(route, other)
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
    use crate::route::Rule;

    #[track_caller]
    fn check(routes: &str, expected: &[&str]) {
        let config: Config = serde_yaml::from_str(&format!("routes: [{routes}]")).unwrap();
        let rules = config.routes.iter().enumerate();
        let rules = rules.map(|(then, route)| Rule { name: None, when: &route.r#match, then });
        let gaps = of(&config, &Router::new(rules.collect()).unwrap());
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
        check(&format!("{guarded}, {{ match: {{ path_regex: /ap. }}, upstream: app }}"), &[said]);
        // Nothing gets by.
        let hosts = "hosts: [a.example]";
        let of_host = guarded.replace("path_prefix", &format!("{hosts}, path_prefix"));
        check(&format!("{of_host}, {{ match: {{ hosts: [b.example] }}, upstream: app }}"), &[]);
        check(guarded, &[]);
        check(&format!("{guarded}, {{ upstream: other }}"), &[]);
        check(&format!("{guarded}, {{ match: {{ path_prefix: /apis }}, upstream: app }}"), &[]);
        let bare = "{ match: { path: /api }, upstream: app, access: { methods: [GET] } }";
        check(&format!("{guarded}, {bare}, {{ upstream: app }}"), &[]);
        check("{ match: { path_prefix: /api/ }, upstream: app }, { upstream: app }", &[]);
        check(&guarded.replace("/api/", "/api"), &[]);
    }
}
