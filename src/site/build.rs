//! From what was written to what runs; every fault of the file is found here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::client::Clients;
use crate::config::{self, Config};
use crate::fault::Faults;
use crate::files::Files;
use crate::log::{AccessLog, Metrics};
use crate::respond::{Compression, ErrorPages, Fixed, HeaderRules};
use crate::route::{self, Redirect, Rewrite, Router};
use crate::sanitise::Strict;
use crate::upstream::Upstream;

use super::{Action, NamedBy, Route, Site, Targets};

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
        let upstreams =
            faults.collect("upstreams", build_upstreams(&config.upstreams, metrics, previous));
        let routes = build_routes(config, upstreams.as_ref(), metrics);
        let routes = faults.collect("routes", routes);
        let access = AccessLog::check(&config.log.access).map_err(|found| found.under("access"));
        faults.collect("log", access);
        let strict = strict_by_listener(&config.listeners);
        faults.into_result(|| {
            let (routes, by_index) = routes?;
            Some(Site {
                clients: clients?,
                routes,
                by_index,
                upstreams: upstreams?,
                config: config.clone(),
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
) -> Result<Upstreams, Faults> {
    let mut faults = Faults::none();
    let mut upstreams = Upstreams::new();
    for (name, config) in configs {
        let before = previous.and_then(|site| site.upstreams.get(name));
        let built = Upstream::new(name, config, before.map(|u| &**u), metrics.upstream(name));
        if let Some(upstream) = faults.collect(name.as_str(), built) {
            upstreams.insert(name.clone(), Arc::new(upstream));
        }
    }
    faults.into_result(|| Some(upstreams))
}

/// Builds every route; `upstreams` is none when they have faults of their own.
fn build_routes(
    config: &Config,
    upstreams: Option<&Upstreams>,
    metrics: &Metrics,
) -> Result<(Router<usize>, Vec<Arc<Route>>), Faults> {
    let mut faults = Faults::none();
    let mut rules = Vec::new();
    let mut built = Vec::new();
    for (index, written) in config.routes.iter().enumerate() {
        let builder = RouteBuilder { written, config, upstreams };
        let name = written.name.clone().unwrap_or_else(|| format!("route-{index}"));
        built.extend(faults.collect(index, builder.build(&name, metrics)).map(Arc::new));
        let name = written.name.as_deref();
        rules.push(route::Rule { name, when: &written.r#match, then: index });
    }
    // The router is built even where routes have faults, to find its own.
    let router = Router::new(rules).map_err(|found| faults.extend(found)).ok();
    faults.into_result(|| Some((router?, built)))
}

struct RouteBuilder<'a> {
    written: &'a config::Route,
    config: &'a Config,
    upstreams: Option<&'a Upstreams>,
}

impl RouteBuilder<'_> {
    fn build(&self, name: &str, metrics: &Metrics) -> Result<Route, Faults> {
        let (written, defaults) = (self.written, &self.config.defaults);
        let mut faults = Faults::none();
        let action = self.action().map_err(|found| faults.extend(found)).ok();
        let rewrite = written
            .rewrite
            .as_ref()
            .map(|rewrite| faults.collect("rewrite", Rewrite::new(rewrite, &written.r#match)));
        let headers = or_default(&written.headers, &defaults.headers);
        let headers = faults.collect("headers", HeaderRules::new(headers));
        let compress = written.compress.as_ref().or(defaults.compress.as_ref());
        let compression =
            compress.map(|compress| faults.collect("compress", Compression::new(compress)));
        let pages = or_default(&written.error_pages, &defaults.error_pages);
        let error_pages = faults.collect("error_pages", ErrorPages::new(pages));
        if written.rewrite.is_some() && !matches!(action, Some(Action::Proxy(_)) | None) {
            faults.extend(Faults::at(
                "rewrite",
                "changes what servers are asked; this route asks none",
            ));
        }
        faults.into_result(|| {
            Some(Route {
                name: name.into(),
                action: action?,
                rewrite: rewrite.map_or(Some(None), |built| built.map(Some))?,
                headers: headers?,
                compression: compression.map_or(Some(None), |built| built.map(Some))?,
                error_pages: error_pages?,
                body_limit: written.limits.body,
                metrics: metrics.route(name),
            })
        })
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
        if !self.config.upstreams.contains_key(name) {
            let known = self.config.upstreams.keys().map(String::as_str);
            return Err(Faults::one(config::unknown("upstream", name, known)));
        }
        // An upstream that is written but not built has faults of its own,
        // which are reported where they are.
        let upstream = self.upstreams.and_then(|upstreams| upstreams.get(name));
        upstream.cloned().ok_or_else(Faults::none)
    }
}

const MOST_WEIGHT: u32 = 1_000_000;

/// What a route says, or where it says nothing what all routes have.
fn or_default<'a, T: Default + PartialEq>(written: &'a T, default: &'a T) -> &'a T {
    if *written == T::default() { default } else { written }
}

fn under<T>(key: &str, result: Result<T, Faults>) -> Result<T, Faults> {
    result.map_err(|found| found.under(key))
}

fn strict_by_listener(listeners: &[config::Listener]) -> HashMap<Arc<str>, Strict> {
    let named = listeners.iter().filter_map(|listener| {
        let address: std::net::SocketAddr = listener.address.parse().ok()?;
        Some((Arc::from(address.to_string()), listener.strict))
    });
    named.collect()
}
