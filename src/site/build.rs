//! From what was written to what runs; every fault of the file is found here.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::access::{Access, Seal, Sources};
use crate::client::Clients;
use crate::config::{self, Config};
use crate::fault::Faults;
use crate::files::Files;
use crate::limit::{BanPolicy, Shed};
use crate::log::{Logs, Metrics};
use crate::respond::{Compression, Cors, ErrorPages, Fixed, HeaderRules};
use crate::route::{self, Redirect, Rewrite, Router};
use crate::sanitise::Strict;
use crate::units::{OrOff, Period};
use crate::upstream::Upstream;

use super::caches::Caches;
use super::limits::RateLimits;
use super::profiles::Profiles;
use super::{
    Action, Defaults, NamedBy, Route, Site, Targets, caches, exposed, guarded, limits, names,
    needless, profiles,
};

type Upstreams = BTreeMap<String, Arc<Upstream>>;

impl Site {
    /// Builds the site, or says everything that is wrong with it.
    ///
    /// `previous` is the site before a reload.
    pub(crate) fn build(
        config: &Config,
        metrics: &Metrics,
        previous: Option<&Site>,
    ) -> Result<Site, Faults> {
        let mut faults = Faults::none();
        let clients = faults.collect("clients", Clients::new(&config.clients));
        let shed = match previous {
            Some(previous) => previous.shed.clone(),
            None => Shed::new(&config.server.shed, config.server.workers(), metrics.shed()),
        };
        let upstreams = build_upstreams(&config.upstreams, metrics, previous, shed.as_deref());
        let upstreams = faults.collect("upstreams", upstreams);
        let rate_limits = faults.collect("rate_limits", limits::build(config, metrics));
        limits::check_fields(config).map_err(|found| faults.extend(found)).ok();
        let bans = faults.collect("bans", BanPolicy::new(&config.bans));
        let defaults = faults.collect("defaults", Defaults::new(config));
        faults.collect("defaults", limits::check_defaults(config));
        let profiles = faults.collect("waf", profiles::build(config));
        faults.collect("defaults", profiles::check_defaults(config).map_err(|f| f.under("waf")));
        let caches = faults.collect("cache", caches::build(config));
        faults.collect("defaults", caches::check_defaults(config).map_err(|f| f.under("cache")));
        let sources = Sources::open(
            config.routes.iter().map(|route| &route.access),
            &config.clients.geo,
            previous.map(|site| &site.verifiers),
        );
        let shared = Shared {
            config,
            upstreams: upstreams.as_ref(),
            rate_limits: rate_limits.as_ref(),
            defaults: defaults.as_ref(),
            sources: &sources,
            profiles: profiles.as_ref(),
            caches: caches.as_ref(),
        };
        let routes = faults.collect("routes", build_routes(&shared, metrics));
        faults.collect("routes", exposed::check(config));
        faults.collect("log", Logs::check(&config.log));
        let strict = strict_by_listener(&config.listeners);
        faults.into_result(|| {
            let ((routes, by_index), clients) = (routes?, clients?);
            let has_caches = by_index.iter().any(|route| route.cache.is_some());
            Some(Site {
                files: clients.geo().files().chain(sources.files()).collect(),
                secrets: secret_parameters(&by_index),
                clients,
                bans: bans?,
                defaults: defaults?,
                routes,
                by_index,
                upstreams: upstreams?,
                verifiers: sources.verifiers.clone(),
                shed,
                seal: previous.map_or_else(Seal::random, |site| site.seal.clone()),
                turns: previous.map(|site| site.turns.clone()).unwrap_or_default(),
                config: config.clone(),
                caches: has_caches,
                strict,
                lenient: Strict::default(),
            })
        })
    }
}

fn build_upstreams(
    configs: &BTreeMap<String, crate::upstream::Config>,
    metrics: &Metrics,
    previous: Option<&Site>,
    shed: Option<&Shed>,
) -> Result<Upstreams, Faults> {
    let mut faults = Faults::none();
    let mut upstreams = Upstreams::new();
    for (name, config) in configs {
        faults.collect(name.as_str(), names::check(name));
        let before = previous.and_then(|site| site.upstreams.get(name));
        let built = Upstream::new(name, config, before.map(|u| &**u), metrics.upstream(name));
        if let Some(upstream) = faults.collect(name.as_str(), built) {
            let gate = before.and_then(|before| before.gate.clone());
            let gate = gate.or_else(|| shed?.gate(name));
            upstreams.insert(name.clone(), Arc::new(upstream.behind(gate)));
        }
    }
    faults.into_result(|| Some(upstreams))
}

/// What routes have in common; none of what has faults, which are reported
/// where they are.
struct Shared<'a> {
    config: &'a Config,
    upstreams: Option<&'a Upstreams>,
    rate_limits: Option<&'a RateLimits>,
    defaults: Option<&'a Defaults>,
    sources: &'a Sources,
    profiles: Option<&'a Profiles>,
    caches: Option<&'a Caches>,
}

impl Defaults {
    fn new(config: &Config) -> Result<Self, Faults> {
        let written = &config.defaults;
        let mut faults = Faults::none();
        let headers = faults.collect("headers", HeaderRules::new(&written.headers));
        let compression = match &written.compress {
            Some(compress) => faults.collect("compress", Compression::new(compress)).map(Some),
            None => Some(None),
        };
        let error_pages = faults.collect("error_pages", ErrorPages::new(&written.error_pages));
        let total = faults.collect("timeouts", total(&written.timeouts));
        faults.into_result(|| {
            Some(Defaults {
                headers: headers?,
                compression: compression?,
                error_pages: error_pages?,
                total: total?.unwrap_or_default(),
            })
        })
    }
}

/// `timeouts.total`, where it is said.
fn total(written: &config::RouteTimeouts) -> Result<Option<OrOff<Period>>, Faults> {
    match written.total {
        Some(OrOff::Set(total)) if total.0.is_zero() => {
            Err(Faults::at("total", "must be longer than 0; write off for no bound"))
        }
        said => Ok(said),
    }
}

fn build_routes(
    shared: &Shared<'_>,
    metrics: &Metrics,
) -> Result<(Router<usize>, Vec<Arc<Route>>), Faults> {
    let mut faults = Faults::none();
    let mut rules = Vec::new();
    let mut built = Vec::new();
    let routes = &shared.config.routes;
    let names = names::of_routes(routes).map_err(|found| faults.extend(found));
    let names = names.unwrap_or_else(|()| vec![String::new(); routes.len()]);
    for (index, (written, name)) in routes.iter().zip(&names).enumerate() {
        let builder = RouteBuilder { written, shared };
        let route = faults.collect(index, builder.build(name, metrics));
        built.extend(route.flatten());
        let name = written.name.as_deref();
        rules.push(route::Rule { name, when: &written.r#match, then: index });
    }
    // The router is built even where routes have faults, to find its own.
    let router = Router::new(rules).map_err(|found| faults.extend(found)).ok();
    guarded::guard(&mut built);
    faults.into_result(|| Some((router?, built.into_iter().map(Arc::new).collect())))
}

/// Names of query parameters whose values no log shows, each once.
fn secret_parameters(routes: &[Arc<Route>]) -> Vec<String> {
    let mut names = Vec::new();
    for name in routes.iter().filter_map(|route| route.access.secret_parameter()) {
        if !names.iter().any(|other| other == name) {
            names.push(name.to_owned());
        }
    }
    names
}

struct RouteBuilder<'a> {
    written: &'a config::Route,
    shared: &'a Shared<'a>,
}

impl RouteBuilder<'_> {
    /// The route; none where only what it shares with others has faults.
    fn build(&self, name: &str, metrics: &Metrics) -> Result<Option<Route>, Faults> {
        let (written, defaults) = (self.written, self.shared.defaults);
        let mut faults = Faults::none();
        let action = self.action().map_err(|found| faults.extend(found)).ok();
        let rewrite = match &written.rewrite {
            Some(own) => faults.collect("rewrite", Rewrite::new(own, &written.r#match)).map(Some),
            None => Some(None),
        };
        let access = faults.collect("access", self.access());
        let limits = limits::of_route(written, self.shared.config, self.shared.rate_limits);
        let limits = limits.map_err(|found| faults.extend(found)).ok().flatten();
        let waf = profiles::of_route(written, self.shared.config, self.shared.profiles);
        let waf = faults.collect("waf", waf).flatten();
        let cache = caches::of_route(written, self.shared.config, self.shared.caches);
        let cache = faults.collect("cache", cache).flatten();
        let headers = match own(&written.headers) {
            Some(own) => faults.collect("headers", HeaderRules::new(own)),
            None => defaults.map(|defaults| defaults.headers.clone()),
        };
        let compression = match &written.compress {
            Some(own) => faults.collect("compress", Compression::new(own)).map(Some),
            None => defaults.map(|defaults| defaults.compression.clone()),
        };
        let error_pages = match own(&written.error_pages) {
            Some(own) => faults.collect("error_pages", ErrorPages::new(own)),
            None => defaults.map(|defaults| defaults.error_pages.clone()),
        };
        let cors = match &written.cors {
            Some(cors) => faults.collect("cors", Cors::new(cors)).map(Some),
            None => Some(None),
        };
        let total = faults.collect("timeouts", total(&written.timeouts));
        let total = total.map(|own| own.or_else(|| Some(defaults?.total)));
        faults.extend(needless::of(written, self.shared.config));
        if !faults.is_empty() {
            return Err(faults);
        }
        let ahead = cache.iter().flatten().map(|profile| profile.prefetch.budget).sum();
        let route = || {
            Some(Route {
                name: name.into(),
                action: action?,
                access: access?,
                guarded: Vec::new(),
                cors: cors?,
                limits: limits?,
                waf: waf?,
                cache: cache?,
                ahead: Arc::new(Semaphore::new(ahead)),
                priority: written.priority.unwrap_or(self.shared.config.defaults.priority),
                rewrite: rewrite?,
                headers: headers?,
                compression: compression?,
                error_pages: error_pages?,
                body_limit: written.limits.body,
                total: total?.and_then(OrOff::set).map(|total| total.0),
                metrics: metrics.route(name),
            })
        };
        Ok(route())
    }

    fn access(&self) -> Result<Access, Faults> {
        let Shared { config, sources, .. } = self.shared;
        let mut faults = Faults::none();
        let access = Access::new(&self.written.access, sources);
        let access = access.map_err(|found| faults.extend(found)).ok();
        if self.written.access.asks_while_shedding() {
            let at = "challenge";
            let shed = &config.server.shed;
            if self.written.respond.is_some() || self.written.redirect.is_some() {
                let what = "a route that answers at once is never shed; write off or always";
                faults.extend(Faults::at(at, what));
            } else if *shed == Default::default() {
                let what = "nothing is shed without `server.shed`; write its `latency` or `queue`";
                faults.extend(Faults::at(at, what));
            } else if self.written.files.is_some() && shed.latency == OrOff::Off {
                let what = "files are shed by `server.shed.latency` alone, which is off";
                faults.extend(Faults::at(at, what));
            }
        }
        faults.into_result(|| access)
    }

    /// The one thing that the route does.
    fn action(&self) -> Result<Action, Faults> {
        let written = self.written;
        let given: Vec<&str> = [
            ("upstream", written.upstream.is_some()),
            ("upstreams", !written.upstreams.is_empty()),
            ("redirect", written.redirect.is_some()),
            ("respond", written.respond.is_some()),
            ("files", written.files.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, is_given)| is_given.then_some(key))
        .collect();
        match given.as_slice() {
            [] => Err(Faults::one(
                "does nothing; write one of upstream, upstreams, redirect, respond, files",
            )),
            [_] => self.one_action(),
            [first, second, ..] => {
                let what = format!("a route does one thing; this one has `{first}` as well");
                Err(Faults::at(*second, what))
            }
        }
    }

    fn one_action(&self) -> Result<Action, Faults> {
        let written = self.written;
        if let Some(name) = &written.upstream {
            let targets = self.find(name).map_err(|found| found.under("upstream"))?;
            return Ok(Action::Proxy(Targets::one(targets)));
        }
        if let Some(redirect) = &written.redirect {
            let built = Redirect::new(redirect, &written.r#match);
            return under("redirect", built).map(Action::Redirect);
        }
        if let Some(fixed) = &written.respond {
            return under("respond", Fixed::new(fixed)).map(Action::Respond);
        }
        if let Some(files) = &written.files {
            let on = &written.r#match;
            let is_prefix = on.path.is_none() && on.path_regex.is_none();
            let named_by = if is_prefix { NamedBy::Rest } else { NamedBy::Path };
            return under("files", Files::new(files))
                .map(|files| Action::Files { files, named_by });
        }
        under("upstreams", self.weighted()).map(Action::Proxy)
    }

    fn weighted(&self) -> Result<Targets, Faults> {
        let mut faults = Faults::none();
        let mut weighted = Vec::new();
        for (name, weight) in &self.written.upstreams {
            let found = match weight {
                0 => Err(Faults::one("a weight of 0 is never chosen; leave the upstream out")),
                1..=MOST_WEIGHT => self.find(name),
                _ => Err(Faults::one(format!("a weight is at most {MOST_WEIGHT}"))),
            };
            if let Some(upstream) = faults.collect(name.as_str(), found) {
                weighted.push((*weight, upstream));
            }
        }
        faults.into_result(|| Some(Targets::weighted(weighted)))
    }

    fn find(&self, name: &str) -> Result<Arc<Upstream>, Faults> {
        if !self.shared.config.upstreams.contains_key(name) {
            let known = self.shared.config.upstreams.keys().map(String::as_str);
            return Err(Faults::one(config::unknown("upstream", name, known)));
        }
        // An upstream that is written but not built has faults of its own,
        // which are reported where they are.
        let upstream = self.shared.upstreams.and_then(|upstreams| upstreams.get(name));
        upstream.cloned().ok_or_else(Faults::none)
    }
}

const MOST_WEIGHT: u32 = 1_000_000;

/// What a route says itself, if anything.
fn own<T: Default + PartialEq>(written: &T) -> Option<&T> {
    (*written != T::default()).then_some(written)
}

fn under<T>(key: &str, result: Result<T, Faults>) -> Result<T, Faults> {
    result.map_err(|found| found.under(key))
}

fn strict_by_listener(listeners: &[config::Listener]) -> BTreeMap<Arc<str>, Strict> {
    let named = listeners.iter().filter_map(|listener| {
        let address: std::net::SocketAddr = listener.address.parse().ok()?;
        Some((Arc::from(address.to_string()), listener.strict))
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use http::header::{ACCEPT_ENCODING, CONTENT_TYPE};
    use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};

    use super::*;
    use crate::listen::Channel;
    use crate::respond::{Asked, Form, Page};

    #[track_caller]
    fn check(yaml: &str, expected: &[&str]) {
        let config: Config = serde_yaml::from_str(yaml).expect("well-formed");
        let faults = match Site::build(&config, &Metrics::new(), None) {
            Ok(_) => Faults::none(),
            Err(faults) => faults,
        };
        let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(at, expected, "{faults:?}");
    }

    #[test]
    fn a_fault_of_what_routes_share_is_reported_once() {
        let routes = "routes: [{ upstream: app }, { match: { path: /x }, upstream: app }]";
        let good = "upstreams: { app: { servers: [\"127.0.0.1:1\"] } }";
        let bad = "upstreams: { app: { servers: [\"127.0.0.1\"] } }";
        let defaults = "defaults: { error_pages: { 503: /nowhere.html }, compress: { level: 0 } }";
        check(&format!("{good}\n{routes}"), &[]);
        check(&format!("{bad}\n{routes}"), &["upstreams.app.servers[0].address"]);
        let of_defaults = ["defaults.compress.level", "defaults.error_pages.503"];
        check(&format!("{good}\n{defaults}\n{routes}"), &of_defaults);
    }

    #[test]
    fn what_a_route_says_itself_is_reported_there() {
        check(
            "upstreams: { app: { servers: [\"127.0.0.1:1\"] } }\n\
             routes: [{ upstream: ap, compress: { level: 0 } }, { name: idle, match: { path: /x } }]",
            &["routes[0].upstream", "routes[0].compress.level", "routes[1]"],
        );
    }

    /// What a route does to messages: fields of the request and the response, the
    /// one type that it compresses, its page for 404.
    fn effects(route: &Route) -> (HeaderMap, HeaderMap, &'static str, String) {
        let fields = || [("x-gone", "1")].map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()));
        let (mut request, mut response) =
            (HeaderMap::from_iter(fields()), HeaderMap::from_iter(fields()));
        route.headers.request.apply(&mut request);
        route.headers.response.apply(&mut response, Channel::Plain);
        let wish = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let asked = Asked { method: &Method::GET, version: Version::HTTP_11, headers: &wish };
        let is_compressed = |media_type: &&'static str| {
            let value = HeaderValue::from_static(media_type);
            let mut response = HeaderMap::from_iter([(CONTENT_TYPE, value)]);
            let compression = route.compression.as_ref().expect("compresses");
            compression
                .start(&asked, StatusCode::OK, &mut response, &Arc::default())
                .expect("starts")
                .is_some()
        };
        let compressed = ["text/css", "text/html"].into_iter().find(is_compressed);
        let page = Page { status: StatusCode::NOT_FOUND, text: None, request_id: "" };
        let page = page.answer(Form::Html, &route.error_pages).body;
        let page = String::from_utf8(page.to_vec()).expect("text");
        (request, response, compressed.expect("a type"), page)
    }

    #[test]
    fn a_route_has_what_defaults_say_unless_it_says_otherwise() {
        let folder = tempfile::tempdir().expect("a folder");
        for page in ["default", "own"] {
            std::fs::write(folder.path().join(page), page).expect("a file");
        }
        let at = folder.path().display();
        let words = |word: &str, media_type: &str| {
            let changes = format!(
                "{{ set: {{ x-set: {word} }}, add: {{ x-add: {word} }}, remove: [x-gone] }}"
            );
            format!(
                "headers: {{ request: {changes}, response: {changes} }}, \
                 compress: {{ types: [{media_type}] }}, error_pages: {{ 404: {at}/{word} }}"
            )
        };
        let yaml = format!(
            "upstreams: {{ app: {{ servers: ['127.0.0.1:1'] }} }}\ndefaults: {{ {} }}\n\
             routes: [{{ respond: {{}} }}, {{ match: {{ path: /own }}, upstream: app, {} }}]",
            words("default", "text/css"),
            words("own", "text/html"),
        );
        let config: Config = serde_yaml::from_str(&yaml).expect("well-formed");
        let site = Site::build(&config, &Metrics::new(), None).expect("good");
        for (route, word, media_type) in [(0, "default", "text/css"), (1, "own", "text/html")] {
            let (request, response, compressed, page) = effects(&site.by_index[route]);
            let fields =
                ["x-set", "x-add"].map(|name| (name.parse().unwrap(), word.parse().unwrap()));
            let expected = HeaderMap::from_iter(fields);
            assert_eq!((&request, &response), (&expected, &expected));
            assert_eq!((compressed, page.as_str()), (media_type, word));
        }
    }
}
